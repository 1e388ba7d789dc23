"""Laws of model size and data size together."""

from bayescale.laws.elementwise import exp, log, logaddexp
from bayescale.laws.law import Amplitude, Coefficient, Exponent, Irreducible, Level, Scale, law

_ACTIVE = {"n_params": "n_active_params"}  # a mixture of experts counts the parameters a token meets


@law(
    inputs=("n_params", "n_tokens"),
    scaling={"A": {"n": "alpha"}, "B": {"d": "beta"}},
    falls_with=("n_params", "n_tokens"),
    stands_in=_ACTIVE,
    reference="hoffmann2022",
)
def chinchilla(n, d, *, E: Irreducible, A: Amplitude, alpha: Exponent, B: Amplitude, beta: Exponent):
    r"""Loss as a floor plus one power of model size and one of data size.

    .. math:: L(N, D) = E + A N^{-\alpha} + B D^{-\beta}

    In nats per token. Swapping (n, A, alpha) with (d, B, beta) changes nothing.
    """
    return E + A * n**-alpha + B * d**-beta


@law(
    inputs=("n_params", "n_tokens"),
    scaling={"A": {"n": "alpha"}, "B": {"d": "alpha"}},
    falls_with=("n_params", "n_tokens"),
    stands_in=_ACTIVE,
    reference="muennighoff2023",
)
def chinchilla_shared(n, d, *, E: Irreducible, A: Amplitude, B: Amplitude, alpha: Exponent):
    r"""Loss as a floor plus a power of model size and the same power of data size.

    .. math:: L(N, D) = E + A N^{-\alpha} + B D^{-\alpha}

    One exponent for both says that the best size and the best data grow alike with compute, as its
    square root. Worth it where runs are few, or lie along one line of tokens per parameter.
    """
    return E + A * n**-alpha + B * d**-alpha


@law(
    inputs=("n_params", "n_tokens"),
    scaling={"a": {"n": "alpha"}, "b": {"d": "alpha"}},
    typical={"alpha": 0.26},
    falls_with=("n_params", "n_tokens"),
    stands_in=_ACTIVE,
    reference="gadre2024",
)
def overtraining(n, d, *, E: Irreducible, a: Amplitude, b: Amplitude, alpha: Exponent):
    r"""Loss of models trained past the best use of their compute, by tokens per parameter.

    .. math:: L(C, M) = E + (a M^{\eta} + b M^{-\eta})\, C^{-\eta},
              \quad C = 6 N D,\; M = D / N,\; \alpha = 2 \eta

    At any fixed M the loss falls with the same exponent eta of compute. Put into size and data it is
    :math:`E + 6^{-\eta}(a N^{-2\eta} + b D^{-2\eta})`: `chinchilla_shared` with the paper's a and b in
    place of A and B. The two fit alike; this one speaks in the letters of its paper, whose common
    exponent :math:`2\eta` (.24 to .27 on three data sets) is alpha here.
    """
    return E + exp(-alpha / 2 * log(6.0)) * (a * n**-alpha + b * d**-alpha)


@law(
    inputs=("n_params", "n_tokens"),
    scaling={"A": {"n": "alpha"}, "B": {"d": "beta"}},
    typical={"alpha": 0.076, "beta": 0.103},
    falls_with=("n_params", "n_tokens"),
    stands_in=_ACTIVE,
    reference="kaplan2020",
)
def kaplan(n, d, *, A: Level, alpha: Exponent, B: Level, beta: Exponent):
    r"""Loss without a floor, in which the scarcer of size and data rules.

    .. math:: L(N, D) = \left[\left(\frac{N_c}{N}\right)^{\alpha/\beta} + \frac{D_c}{D}\right]^{\beta},
              \quad A = N_c^{\alpha},\; B = D_c^{\beta}

    With endless data the loss is :math:`A N^{-\alpha}`, with an endless model :math:`B D^{-\beta}`:
    A and B are whole losses, which a fit knows far better than the paper's scales
    :math:`N_c = A^{1/\alpha}` and :math:`D_c = B^{1/\beta}`. The paper counts parameters without
    embeddings (read them with ``find("kaplan").reading("n_params_nonembed", "n_tokens")``) and
    stops each run early, at its best loss.
    """
    size = (log(A) - alpha * log(n)) / beta
    data = log(B) / beta - log(d)
    return exp(beta * logaddexp(size, data))


@law(
    inputs=("n_params", "n_tokens"),
    scaling={
        "a1": {"n": "-alpha"},
        "a2": {"n": "beta"},
        "a3": {"n": "-gamma"},
        "P": {"d": 1.0},
    },
    # The published law, rewritten for a billion parameters and a pivot of 2e10 tokens.
    typical={"alpha": 0.12, "beta": 0.1, "gamma": 0.17, "k": 1.5, "a1": -1.6, "a2": -3.0, "a3": -0.7},
    falls_with=("n_tokens",),
    stands_in=_ACTIVE,
    reference="farseer2025",
)
def farseer(
    n,
    d,
    *,
    E: Level,
    a3: Coefficient,
    gamma: Exponent,
    B: Level,
    a2: Coefficient,
    beta: Exponent,
    k: Exponent,
    a1: Coefficient,
    alpha: Exponent,
    P: Scale,
):
    r"""Loss whose floor, amplitude and exponent of data all change with model size.

    .. math:: L(N, D) = E\, e^{a_3 N^{\gamma}}
              + B\, e^{a_2 N^{-\beta}} \left(\frac{D}{P}\right)^{-k\, e^{a_1 N^{\alpha}}}

    E, B and k are the exponentials of the paper's b3, b2 and b1, and its :math:`\beta` is negative.
    The paper counts D in single tokens, that is P = 1, and then a2 is positive. That choice of unit
    is part of its law, since the exponent of data depends on N; the pivot P makes the law the same
    in any unit. P is known only loosely from data: fix it, or leave it to its prior.

    Ten parameters: it wants hundreds of runs over a hundredfold range of both size and data.
    """
    floor = E * exp(a3 * n**gamma)
    amplitude = B * exp(a2 * n**-beta)
    exponent = k * exp(a1 * n**alpha)
    return floor + amplitude * exp(-exponent * log(d / P))


@law(
    inputs=("n_params", "n_tokens", "year"),
    scaling={"A": {"n": "alpha"}, "B": {"d": "beta"}},
    # Effective compute doubled every 8.4 months: an e-fold a year, size and data together.
    typical={"g_N": 0.5, "g_D": 0.5},
    falls_with=("n_params", "n_tokens"),
    stands_in=_ACTIVE,
    reference="ho2024",
)
def algorithmic_progress(
    n,
    d,
    y,
    *,
    E: Irreducible,
    A: Amplitude,
    alpha: Exponent,
    B: Amplitude,
    beta: Exponent,
    g_N: Coefficient,
    g_D: Coefficient,
):
    r"""Loss in which parameters and tokens are worth more every year.

    .. math:: L(N, D, Y) = E + A \left(N e^{g_N (Y - 2020)}\right)^{-\alpha}
              + B \left(D e^{g_D (Y - 2020)}\right)^{-\beta}

    g_N and g_D are growth rates of effective size and data, per year; A and B belong to 2020. Sizes
    grew with the years, so rates and exponents trade off: a table of the largest models of each year
    cannot tell them apart, one with small late models can. One validation text for all is a must.
    """
    years = y - 2020.0
    return E + A * n**-alpha * exp(-alpha * g_N * years) + B * d**-beta * exp(-beta * g_D * years)
