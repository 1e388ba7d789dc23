"""Laws of data seen more than once."""

from bayescale.laws.elementwise import Array, exp, expm1, log, maximum, minimum
from bayescale.laws.law import Amplitude, Exponent, Irreducible, Rate, law


@law(
    inputs=("n_params", "n_tokens", "tokens_unique"),
    scaling={"A": {"n": "alpha"}, "B": {"d": "beta"}},
    typical={"RD": 15.4, "RN": 5.3},
    falls_with=("n_params", "n_tokens", "tokens_unique"),
    stands_in={"n_params": "n_active_params"},
    reference="muennighoff2023",
)
def data_constrained(
    n,
    d,
    u,
    *,
    E: Irreducible,
    A: Amplitude,
    alpha: Exponent,
    B: Amplitude,
    beta: Exponent,
    RD: Rate,
    RN: Rate,
):
    r"""Loss when data repeat: later passes, and parameters beyond what the data feed, count for less.

    .. math:: L(N, D, U) = E + A N'^{-\alpha} + B D'^{-\beta}

    .. math:: D' = U + U R_D^* (1 - e^{-R_D / R_D^*}), \quad R_D = D / U - 1

    .. math:: N' = U_N + U_N R_N^* (1 - e^{-R_N / R_N^*}), \quad U_N = \min(N, N_{opt}(U)),
              \quad R_N = N / U_N - 1

    D counts every token seen, U the distinct ones (all of D where U is larger). :math:`N_{opt}(U)` is
    the size whose term falls as fast as that of U unique tokens,
    :math:`\alpha A N^{-\alpha} = \beta B U^{-\beta}`, so A, B, alpha and beta also set where
    parameters become excess. RD and RN (:math:`R_D^*`, :math:`R_N^*`) are the repeats after which
    most of the worth of another pass, or of more parameters, is gone: the paper finds 15.4 and 5.3.

    `n_tokens` and `tokens_unique` must be divided by one common reference, as the model does: a
    ratio of the two is part of the law, and B carries the unit of both. The law never rises with
    more passes; runs that overfit so far that the loss turns up again are outside it.
    """
    u = minimum(u, d)
    data = u * _worth(d / u - 1, RD)
    log_best = (log(alpha * A) - log(beta * B) + beta * log(u)) / alpha
    excess = maximum(log(n) - log_best, 0.0)
    # Past e^60 repeats nothing is left to lose; the cap keeps the exponential within range.
    size = n * exp(-excess) * _worth(expm1(minimum(excess, 60.0)), RN)
    return E + A * size**-alpha + B * data**-beta


def _worth(repeats: Array, half: Array) -> Array:
    """How many fresh copies one original and its `repeats` are worth: at most 1 + `half`."""
    return 1 - half * expm1(-repeats / half)
