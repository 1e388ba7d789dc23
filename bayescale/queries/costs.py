"""What a training costs: functions of size and data for `allocate`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bayescale.errors import InputError

__all__ = ["late_fusion_flops"]


def late_fusion_flops(
    n_vision: float | Callable[[Any], Any], *, vision_share: float = 0.544
) -> Callable[[Any, Any], Any]:
    r"""Training compute of a late-fusion model: a vision encoder beside the decoder.

    .. math:: C = 6\,(N_v D_v + N D), \quad D_v = s D

    No closed form gives the best N and D under it, since the encoder's part grows with the data and not
    with N: `allocate` and `compute_exponents` search.

    Parameters
    ----------
    n_vision : float or callable
        Parameters of the vision encoder, or a function that gives them for a decoder of ``n_params``.
        Zero gives early fusion, C = 6ND.
    vision_share : float, default 0.544
        Share s of all tokens that pass through the encoder. The default is that of 45 % image-caption,
        45 % interleaved and 10 % text (Shukor et al. 2025, arXiv 2504.07951). That paper's image-to-text
        ratios of 1.19, .65, .59 and .49 are shares of .543, .394, .371 and .329.

    Returns
    -------
    callable
        ``cost(n_params, n_tokens)`` in floating-point operations, with n_params the decoder's and n_tokens
        all tokens, as `allocate` takes it.

    Raises
    ------
    InputError
        If a number is impossible.

    Examples
    --------
    >>> import bayescale as bs
    >>> cost = bs.late_fusion_flops(n_vision=3e8)
    >>> cost(1e9, 2e10) / (6 * 1e9 * 2e10)
    1.1632
    """
    if not callable(n_vision):
        number = isinstance(n_vision, int | float | np.number) and not isinstance(n_vision, bool)
        if not number or not np.isfinite(n_vision) or n_vision < 0:
            raise InputError(
                f"n_vision={n_vision!r} must be a count of parameters such as 3e8, 0 for early fusion, or a "
                "function of n_params."
            )
    if (
        not isinstance(vision_share, int | float)
        or isinstance(vision_share, bool)
        or not 0 <= vision_share <= 1
    ):
        raise InputError(
            f"vision_share={vision_share!r} must be a share of the tokens from 0 to 1, as in 0.544."
        )

    def cost(n_params: Any, n_tokens: Any) -> Any:
        encoder = n_vision(n_params) if callable(n_vision) else n_vision
        return 6.0 * (encoder * vision_share + n_params) * n_tokens

    size = getattr(n_vision, "__name__", "own") if callable(n_vision) else f"{n_vision:g}"
    cost.__name__ = f"6 ({size} × {vision_share:g} D + N D)"
    return cost
