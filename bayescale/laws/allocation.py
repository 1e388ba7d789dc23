"""Laws of the best choice itself, where the optima have been read off already."""

from bayescale.laws.law import Exponent, Level, law


@law(
    inputs=("flops",),
    scaling={"k": {"c": "-a"}},
    typical={"a": 0.5},
    rises_with=("flops",),
    reference="hoffmann2022",
)
def optimal_size(c, *, k: Level, a: Exponent):
    r"""Best model size, or best data size, as one power of compute.

    .. math:: N^*(C) = k\, C^{a}

    Values are optima, one for each budget, taken from valleys of loss at equal compute; give them
    their standard errors (``value_se``), for a valley is flat. Where the points around each optimum are
    at hand, fit the surface (`chinchilla`) and ask `allocate` instead: minima of parabolas are biased
    when the exponents differ or the grid is off-centre.
    """
    return k * c**a
