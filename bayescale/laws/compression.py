"""Laws of raw data in several modalities, each divided by what one of its tokens holds.

The compression factor C of a modality is its raw bytes per token, so T / C counts tokens. A modality
that a table lacks is left out of the law with its factor; one that a run lacks (no bytes) adds nothing.
"""

from collections.abc import Mapping

from bayescale.errors import InputError
from bayescale.laws.elementwise import Array, log, positive, where
from bayescale.laws.law import (
    Amplitude,
    Compression,
    Exponent,
    Intercept,
    Irreducible,
    Law,
    Slope,
    law,
)

__all__ = ["TYPICAL_BYTES_PER_TOKEN", "in_tokens"]

_INPUTS = ("n_params", "bytes_text", "bytes_audio", "bytes_image", "bytes_video")
_OPTIONAL = {name: (f"C_{name.removeprefix('bytes_')}",) for name in _INPUTS[1:]}
_ACTIVE = {"n_params": "n_active_params"}

# Text: byte-pair encodings of web text. Audio: 16-bit samples at 24 kHz under 150 tokens a second. Image and
# video: 8-bit RGB in patches of 16 by 16, and in blocks of 8 frames of 8 by 8.
TYPICAL_BYTES_PER_TOKEN: Mapping[str, float] = {
    "C_text": 4.0,
    "C_audio": 320.0,
    "C_image": 768.0,
    "C_video": 1536.0,
}
"""Where default priors are centred: raw bytes of one token, uncompressed, a factor e either way."""


def _log_tokens(raw: Array, factor: Array) -> Array:
    """Log of the tokens of one modality; 0 where there are none."""
    here = positive(raw)
    return where(here, log(where(here, raw, 1.0)) - log(factor), 0.0)


@law(
    inputs=_INPUTS,
    optional=_OPTIONAL,
    scaling={"k0": {"n": "-k1", "text": "-k1", "audio": "-k1", "image": "-k1", "video": "-k1"}},
    typical=TYPICAL_BYTES_PER_TOKEN,
    stands_in=_ACTIVE,
    reference="sun2024",
)
def compression_sum(
    n,
    text,
    audio,
    image,
    video,
    *,
    k0: Intercept,
    k1: Slope,
    C_text: Compression,
    C_audio: Compression,
    C_image: Compression,
    C_video: Compression,
):
    r"""Performance as a line in the sum of log tokens over modalities and log size.

    .. math:: L = \kappa_0 + \kappa_1 \Big[\sum_i \log(T_i / C_i) + \log P\Big]

    As printed, with the sum over the modalities that a run has; :math:`\kappa_1` is negative for a loss.
    The logs of the :math:`C_i` enter as one sum, and that sum trades off with :math:`\kappa_0`: losses of
    runs of the same modalities teach nothing of any :math:`C_i`. A modality counts from one token on, so
    adding one moves the value by :math:`\kappa_1` times the log of all its tokens, and for a given
    number of tokens equal shares are always best. No floor.
    """
    tokens = _log_tokens(text, C_text) + _log_tokens(audio, C_audio)
    tokens = tokens + _log_tokens(image, C_image) + _log_tokens(video, C_video)
    return k0 + k1 * (tokens + log(n))


@law(
    inputs=_INPUTS,
    optional={k: (*v, f"k_{k.removeprefix('bytes_')}") for k, v in _OPTIONAL.items()},
    scaling={
        "k0": {"n": "-k_P", "text": "-k_text", "audio": "-k_audio", "image": "-k_image", "video": "-k_video"}
    },
    typical=TYPICAL_BYTES_PER_TOKEN,
    stands_in=_ACTIVE,
    reference="sun2024",
)
def compression_slopes(
    n,
    text,
    audio,
    image,
    video,
    *,
    k0: Intercept,
    k_P: Slope,
    k_text: Slope,
    k_audio: Slope,
    k_image: Slope,
    k_video: Slope,
    C_text: Compression,
    C_audio: Compression,
    C_image: Compression,
    C_video: Compression,
):
    r"""Performance as a line in log size and the log tokens of each modality, each with its own slope.

    .. math:: L = \kappa_0 + \sum_i \kappa_i \log(T_i / C_i) + \kappa_P \log P

    `compression_sum` with the slopes set free. The :math:`C_i` enter as
    :math:`\sum_i \kappa_i \log C_i`, which still trades off with :math:`\kappa_0`.
    """
    tokens = k_text * _log_tokens(text, C_text) + k_audio * _log_tokens(audio, C_audio)
    tokens = tokens + k_image * _log_tokens(image, C_image) + k_video * _log_tokens(video, C_video)
    return k0 + tokens + k_P * log(n)


@law(
    inputs=_INPUTS,
    optional=_OPTIONAL,
    scaling={"k0": {"n": "-k1", "text": "-k1"}},
    typical=TYPICAL_BYTES_PER_TOKEN,
    stands_in=_ACTIVE,
    reference="guo2024",
)
def compression_log(
    n,
    text,
    audio,
    image,
    video,
    *,
    k0: Intercept,
    k1: Slope,
    C_text: Compression,
    C_audio: Compression,
    C_image: Compression,
    C_video: Compression,
):
    r"""Performance as a line in the log of all tokens and log size.

    .. math:: L = \kappa_0 + \kappa_1 \Big[\log \sum_i T_i / C_i + \log P\Big]

    The log of total compute, of which `compression_sum` is the printed generalisation; the two agree
    for one modality. Runs of varied mixtures tell the ratios :math:`C_i / C_j`; a common factor on all
    :math:`C_i` trades off with :math:`\kappa_0`.
    """
    return k0 + k1 * (log(text / C_text + audio / C_audio + image / C_image + video / C_video) + log(n))


@law(
    inputs=_INPUTS,
    optional=_OPTIONAL,
    scaling={"A": {"n": "alpha"}, "B": {"text": "beta"}},
    typical=TYPICAL_BYTES_PER_TOKEN,
    falls_with=_INPUTS,
    stands_in=_ACTIVE,
    reference="hoffmann2022",
)
def compression_power(
    n,
    text,
    audio,
    image,
    video,
    *,
    E: Irreducible,
    A: Amplitude,
    alpha: Exponent,
    B: Amplitude,
    beta: Exponent,
    C_text: Compression,
    C_audio: Compression,
    C_image: Compression,
    C_video: Compression,
):
    r"""Loss as a floor plus a power of size and a power of the tokens of all modalities.

    .. math:: L = E + A P^{-\alpha} + B D^{-\beta}, \quad D = \sum_i T_i / C_i

    `chinchilla` with its tokens counted by the :math:`C_i`, so that all modalities share one floor and
    one exponent. Varied mixtures tell the ratios :math:`C_i / C_j`; a common factor on all :math:`C_i`
    trades off with B.
    """
    tokens = text / C_text + audio / C_audio + image / C_image + video / C_video
    return E + A * n**-alpha + B * tokens**-beta


def in_tokens(law: str | Law) -> Law:
    """The same hypothesis for runs whose tokens were counted: ``tokens_<modality>`` with every C at 1.

    Parameters
    ----------
    law : str or Law
        One of this module, or a law of your own whose inputs are ``bytes_<modality>``.

    Returns
    -------
    Law
        Without compression factors. `fit` does the same by itself, modality by modality, for a table
        that has ``tokens_<modality>`` and not ``bytes_<modality>``. `compression_power` then is
        `chinchilla` on the sum of the tokens.

    Raises
    ------
    InputError
        If the law divides no input by a compression factor.
    """
    from bayescale.laws.law import find

    found = find(law)
    if not found.factors:
        raise InputError(f"law {found.name!r} has no compression factor, so it counts tokens already.")
    columns = (f"tokens_{c.removeprefix('bytes_')}" if c in found.factors else c for c in found.inputs)
    letters = [k for k in found.factors.values() if k in found.parameters]
    return found.reading(*columns).holding(**dict.fromkeys(letters, 1.0))
