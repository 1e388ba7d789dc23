"""Laws whose power changes on the way: broken neural scaling laws."""

from bayescale.laws.elementwise import Array, exp, log, softplus
from bayescale.laws.law import Amplitude, Coefficient, Exponent, Irreducible, Rate, Scale, Sharpness, law


@law(
    inputs=("n_tokens",),
    scaling={"B": {"x": "c0"}, "d1": {"x": 1.0}},
    reference="caballero2022",
)
def bnsl_one(x, *, E: Irreducible, B: Amplitude, c0: Exponent, c1: Coefficient, d1: Scale, f1: Sharpness):
    r"""Value as a floor plus a power that changes once.

    .. math:: y(x) = E + B x^{-c_0} \left(1 + (x / d_1)^{1/f_1}\right)^{-c_1 f_1}

    Far below the break at d1 the exponent is c0, far above it c0 + c1; f1 is the width of the bend
    on the log axis, small for a sharp one. A negative c1 makes the curve flatter, and below -c0 it
    turns the curve up. B is the amplitude of the first power, continued to the reference scale.

    Runs on one side of the break only say nothing of the other: d1, c1 and f1 are then their priors.
    """
    return E + B * x**-c0 * exp(_bend(x, c1, d1, f1))


@law(
    inputs=("n_tokens",),
    scaling={"B": {"x": "c0"}, "d1": {"x": 1.0}},
    reference="caballero2022",
)
def bnsl_two(
    x,
    *,
    E: Irreducible,
    B: Amplitude,
    c0: Exponent,
    c1: Coefficient,
    d1: Scale,
    f1: Sharpness,
    c2: Coefficient,
    gap: Rate,
    f2: Sharpness,
):
    r"""Value as a floor plus a power that changes twice.

    .. math:: y(x) = E + B x^{-c_0} \prod_{i=1}^{2} \left(1 + (x / d_i)^{1/f_i}\right)^{-c_i f_i},
              \quad d_2 = d_1 (1 + gap)

    The exponent is c0, then c0 + c1, then c0 + c1 + c2; see `bnsl_one`. The second break is written
    as a distance beyond the first, since breaks that may change places are two answers for one curve.
    """
    return E + B * x**-c0 * exp(_bend(x, c1, d1, f1) + _bend(x, c2, d1 * (1 + gap), f2))


def _bend(x: Array, c: Array, d: Array, f: Array) -> Array:
    """Logarithm of the factor by which a break at `d` changes the curve."""
    return -c * f * softplus(log(x / d) / f)
