"""Laws of the steps of one training: learning curves."""

from bayescale.laws.law import Amplitude, Exponent, Irreducible, Level, law


@law(
    inputs=("n_params", "step"),
    scaling={"A": {"n": "alpha"}, "B": {"s": "beta"}},
    typical={"alpha": 0.077, "beta": 0.76},
    falls_with=("n_params", "step"),
    stands_in={"n_params": "n_active_params"},
    reference="kaplan2020",
)
def learning_curve(n, s, *, A: Level, alpha: Exponent, B: Amplitude, beta: Exponent):
    r"""Loss in the course of a training with endless data, by size and steps.

    .. math:: L(N, S) = \left(\frac{N_c}{N}\right)^{\alpha} + \left(\frac{S_c}{S}\right)^{\beta},
              \quad A = N_c^{\alpha},\; B = S_c^{\beta}

    The paper's S are the fewest steps that would do, at batches far above the critical size; raw steps
    at one batch size give another B. Points of one run share its seed and its schedule: a rate not yet
    decayed, and the first steps of warm-up, lie above the curve. Pool A by run, or take last points.
    """
    return A * n**-alpha + B * s**-beta


@law(
    inputs=("n_params", "step"),
    scaling={"b": {"n": "x"}, "c": {"s": "y"}},
    typical={"x": 0.3, "y": 0.8},
    falls_with=("n_params", "step"),
    reference="rokosbasilisk2025",
)
def compression_ratio(n, s, *, a: Irreducible, b: Amplitude, x: Exponent, c: Amplitude, y: Exponent):
    r"""Size of data compressed by a language model over its raw size, by parameters and steps.

    .. math:: CR(P, S) = a + b P^{-x} + c S^{-y}

    Text, pictures and sound given to models trained on text alone, as bytes: the floor a and the
    exponents differ by modality (pool them by it). From a blog without review. A ratio below 1
    compresses; models too small for a modality rise again with steps, which the law does not know.
    """
    return a + b * n**-x + c * s**-y
