"""Laws of image and image-text encoders by compute."""

from bayescale.laws.law import Amplitude, Exponent, Irreducible, Level, Scale, law


@law(
    inputs=("flops",),
    scaling={"beta": {"c": "alpha"}},
    typical={"alpha": 0.11},
    falls_with=("flops",),
    reference="cherti2022",
)
def contrastive(c, *, beta: Level, alpha: Exponent):
    r"""Zero-shot error of an image-text encoder as one power of training compute.

    .. math:: E(C) = \beta C^{-\alpha}

    Error is 1 - accuracy, or 1 - recall among five. The paper draws its line through the best run of
    each of five ranges of compute: the least of noisy values, which is optimistic, and through three
    models only where it speaks of OpenAI's. There is no floor, so a task with unreadable labels is not
    told from a hard one; `power_compute` has one.
    """
    return beta * c**-alpha


@law(
    inputs=("flops",),
    scaling={"a": {"x": "b"}, "d": {"x": 1.0}},
    typical={"b": 0.35, "d": 0.05},
    falls_with=("flops",),
    reference="zhai2022",
)
def double_saturation(x, *, c: Irreducible, a: Amplitude, d: Scale, b: Exponent):
    r"""Error that levels off at both ends of compute.

    .. math:: E(C) = a (C + d)^{-b} + c

    c is the error that compute cannot remove, :math:`a\, d^{-b} + c` that of no training at all
    (chance, for classes). d is known only from runs of little compute, c only from runs of much.
    """
    return a * (x + d) ** -b + c
