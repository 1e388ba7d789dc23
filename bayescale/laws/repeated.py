"""Laws of data seen more than once."""

from bayescale.laws.elementwise import Array, exp, expm1, log, maximum, minimum
from bayescale.laws.law import Amplitude, Exponent, Irreducible, Rate, law

_LOG_2 = 0.6931471805599453
_PASSES = 16  # each is a few nodes of the graph; the study has at most ten


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


@law(
    inputs=("n_tokens", "tokens_unique"),
    scaling={"a": {"n": "b"}},
    falls_with=("n_tokens", "tokens_unique"),
    reference="goyal2024",
)
def quality_decay(n, u, *, d: Irreducible, a: Amplitude, b: Exponent, tau: Rate):
    r"""Error when data repeat: each further pass has a smaller exponent.

    .. math:: y = a\, n_1^{-b} \prod_{k \ge 1} \left(\frac{n_{k+1}}{n_k}\right)^{-b_k} + d,
              \quad b_k = b\, 2^{-k / \tau}

    :math:`n_k` are the samples seen by the end of pass k (or by the end of training, in the last one):
    the first pass falls with the paper's exponent b (negative there), and tau passes halve it. In
    `data_constrained` the worth of a sample fades instead, which levels off; here the curve keeps
    falling, ever more slowly. Pools of image-text pairs differ in b, their quality: pool it by data
    set. Passes beyond the 16th all count like the 16th.
    """
    u = minimum(u, n)
    passes, learnt = n / u, log(u)
    for k in range(1, _PASSES):
        within = minimum(maximum(passes, k), k + 1.0) if k + 1 < _PASSES else maximum(passes, k)
        learnt = learnt + exp(-k * _LOG_2 / tau) * log(within / k)
    return d + a * exp(-b * learnt)


def _worth(repeats: Array, half: Array) -> Array:
    """How many fresh copies one original and its `repeats` are worth: at most 1 + `half`."""
    return 1 - half * expm1(-repeats / half)
