"""Laws of models of which each token meets a part: routed experts."""

from bayescale.laws.elementwise import exp, log
from bayescale.laws.law import Amplitude, Coefficient, Exponent, Irreducible, Level, Rate, Scale, law


@law(
    inputs=("n_params", "n_experts"),
    scaling={"A": {"n": "a"}, "P": {"n": 1.0}},
    typical={"a": 0.084, "c": 0.0047, "P": 700.0, "E_start": 2.5, "span": 100.0},
    stands_in={"n_params": "n_active_params"},
    reference="clark2022",
)
def routed(n, e, *, A: Level, a: Exponent, c: Exponent, P: Scale, E_start: Rate, span: Rate):
    r"""Loss as powers of size and of the number of experts, whose worth fades with size.

    .. math:: \log L = \log A - a \log N - c \log\frac{P}{N} \log\hat{E}

    .. math:: \frac{1}{\hat{E}} = \frac{1}{E - 1 + \left(1/E_{start} - 1/E_{max}\right)^{-1}}
              + \frac{1}{E_{max}}, \quad E_{max} = E_{start} (1 + span)

    N are the parameters that a token meets, E the experts of a routed layer (1 for a dense model). At
    size P experts stop helping, which is the paper's cut-off: its bilinear form
    :math:`a \log N + b \log\hat{E} + c \log N \log\hat{E} + d`, in logarithms of base 10, has
    :math:`P = 10^{-b/c}`, :math:`A = 10^d`, a with the other sign, and a c that is ln 10 times ours.
    All runs had the same 130 billion tokens. a is well known; c, P, E_start and span trade off strongly.
    """
    capacity = 1 / (e - 1 + E_start * (1 + span) / span) + 1 / (E_start * (1 + span))
    return A * n**-a * exp(c * log(P / n) * log(capacity))


@law(
    inputs=("n_params", "n_tokens", "granularity"),
    scaling={"g": {"n": "alpha"}, "a": {"n": "alpha"}, "b": {"t": "beta"}},
    typical={"alpha": 0.115, "beta": 0.147, "gamma": 0.58},
    falls_with=("n_params", "n_tokens", "granularity"),
    reference="krajewski2024",
)
def fine_grained(
    n,
    t,
    grain,
    *,
    c: Irreducible,
    g: Amplitude,
    gamma: Exponent,
    a: Amplitude,
    alpha: Exponent,
    b: Amplitude,
    beta: Exponent,
):
    r"""Loss of a mixture of experts by how finely the experts are cut.

    .. math:: L(N, D, G) = c + \left(g\, G^{-\gamma} + a\right) N^{-\alpha} + b\, D^{-\beta}

    Granularity G is the width of a dense feed-forward layer over that of one expert: 1 for experts as
    wide as the layer they replace. N counts all parameters. The study has 64 times as many parameters
    in its experts as a dense model throughout, and G from 1 to 16; beyond that routing costs take over.
    """
    return c + (g * grain**-gamma + a) * n**-alpha + b * t**-beta


@law(
    inputs=("n_params", "n_tokens", "sparsity"),
    scaling={"a": {"n": "alpha"}, "b": {"t": "beta"}, "d": {"n": "gamma"}},
    typical={"alpha": 0.6, "beta": 0.4, "gamma": 0.16, "delta": 0.16, "lam": -0.17},
    falls_with=("n_params", "n_tokens"),
    reference="abnar2025",
)
def expert_sparsity(
    n,
    t,
    s,
    *,
    e: Irreducible,
    a: Amplitude,
    alpha: Exponent,
    b: Amplitude,
    beta: Exponent,
    c: Amplitude,
    lam: Coefficient,
    d: Amplitude,
    delta: Exponent,
    gamma: Exponent,
):
    r"""Loss of a mixture of experts by the share of its experts that idle.

    .. math:: L(N, D, S) = \frac{a}{N^{\alpha}} + \frac{b}{D^{\beta}} + \frac{c}{(1 - S)^{\lambda}}
              + \frac{d}{(1 - S)^{\delta} N^{\gamma}} + e

    N counts all parameters, S = 1 - active / total experts, from 0 up to but not 1. At one sparsity
    nothing tells e from c, or d from its power of 1 - S: then fit `chinchilla`. lam (lambda) came out
    negative, so that c falls as experts are added. Ten parameters: several sparsities at several sizes.
    """
    return a * n**-alpha + b * t**-beta + c * (1 - s) ** -lam + d * (1 - s) ** -delta * n**-gamma + e
