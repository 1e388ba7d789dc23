"""Laws that also know where a curve starts or where it stops: M3 and M4 of the vision studies."""

from bayescale.laws.elementwise import Array, constant, log, maximum, minimum, sigmoid, softplus
from bayescale.laws.law import Amplitude, Exponent, Factor, Irreducible, Level, Scale, law


@law(
    inputs=("n_tokens",),
    scaling={"B": {"x": "c"}, "S": {"x": 1.0}},
    typical={"c": 0.2},
    falls_with=("n_tokens",),
    reference="alabdulmohsin2022",
)
def m3(x, *, B: Level, c: Exponent, S: Scale):
    r"""Value as a power that stops at a scale of saturation.

    .. math:: \varepsilon(x) = B \left(x^{-1} + \gamma\right)^{c}, \quad \gamma = 1 / S

    Far below S this is the power :math:`B x^{-c}`, far above it the constant :math:`B S^{-c}`. B is a
    whole value, the floor being part of the power. S stands for the paper's gamma because a scale
    can be read off a plot.
    """
    return B * (1 / x + 1 / S) ** c


@law(
    inputs=("n_tokens",),
    scaling={"B": {"x": "c"}},
    typical={"c": 0.5},
    falls_with=("n_tokens",),
    reference="alabdulmohsin2022",
)
def m4(x, *, E: Irreducible, span: Level, B: Amplitude, c: Exponent, alpha: Factor):
    r"""Value between a start and a floor, a power of scale where both are far.

    .. math:: \frac{\varepsilon - E}{\left(1 - (\varepsilon - E) / span\right)^{\alpha}} = B x^{-c}

    E + span is the value before any learning (the paper's :math:`\varepsilon_0`, chance for an error
    rate), E the floor. Far below the start the law is `power_data`, E + B x^-c; alpha says how soon
    the start is felt, and alpha = 0 would be never. The paper writes the right-hand side as
    :math:`\beta x^{c}` over :math:`(\varepsilon_0 - \varepsilon)^{\alpha}`: its c is negative, and
    :math:`\beta = B\, span^{-\alpha}`.

    The equation is solved for the value by a fixed number of steps, exact to rounding for alpha
    between .01 and 50.
    """
    return E + span * sigmoid(_log_odds(log(B / span) - c * log(x), alpha))


def _log_odds(t: Array, alpha: Array) -> Array:
    """The u at which log sigmoid(u) - alpha log sigmoid(-u) = t.

    The left side is u + (alpha - 1) softplus(u): it rises, with a slope between 1 and alpha, and bends
    one way only, so steps from where its asymptotes meet t cannot miss. Three of Halley's find u, and
    two of Newton's, which alone are differentiated, carry the first and second derivatives.
    """
    u = _near(constant(t), constant(alpha))
    for _ in range(2):
        u = u - (u + (alpha - 1) * softplus(u) - t) / (1 + (alpha - 1) * sigmoid(u))
    return u


def _near(t: Array, alpha: Array) -> Array:
    """`_log_odds` to about six digits."""
    u = minimum(t, 0.0) + maximum(t, 0.0) / alpha
    for _ in range(3):
        above = u + (alpha - 1) * softplus(u) - t
        odds = sigmoid(u)
        slope = 1 + (alpha - 1) * odds
        curvature = (alpha - 1) * odds * (1 - odds)
        u = constant(u - 2 * above * slope / (2 * slope * slope - above * curvature))
    return u
