"""Laws of one scale: size, data or compute alone."""

from bayescale.laws.elementwise import log
from bayescale.laws.law import Amplitude, Exponent, Intercept, Irreducible, Slope, law


@law(
    inputs=("n_params",),
    scaling={"A": {"n": "alpha"}},
    falls_with=("n_params",),
    stands_in={"n_params": "n_active_params"},
    reference="henighan2020",
)
def power_params(n, *, E: Irreducible, A: Amplitude, alpha: Exponent):
    r"""Loss as a floor plus one power of model size.

    .. math:: L(N) = E + A N^{-\alpha}

    For models trained until more data would not help. The paper writes the amplitude as a
    size, :math:`A = N_0^\alpha`; its exponents lie between .07 (language) and .24 (image, video).
    """
    return E + A * n**-alpha


@law(
    inputs=("n_tokens",),
    scaling={"B": {"d": "beta"}},
    falls_with=("n_tokens",),
    reference="henighan2020",
)
def power_data(d, *, E: Irreducible, B: Amplitude, beta: Exponent):
    r"""Loss as a floor plus one power of data size.

    .. math:: L(D) = E + B D^{-\beta}

    For one model size, or models so large that their size does not bind. Vision studies know it
    as M2 (with :math:`\beta` written as a negative c).
    """
    return E + B * d**-beta


@law(
    inputs=("flops",),
    scaling={"K": {"c": "gamma"}},
    typical={"gamma": 0.17},
    falls_with=("flops",),
    reference="henighan2020",
)
def power_compute(c, *, E: Irreducible, K: Amplitude, gamma: Exponent):
    r"""Loss as a floor plus one power of training compute.

    .. math:: L(C) = E + K C^{-\gamma}

    Meant for runs near the best use of their compute; size and data then both grow with C, which
    makes gamma about half an exponent of size or data: where both are held in the law of Hoffmann
    et al., :math:`\gamma = \alpha\beta / (\alpha + \beta)`.
    """
    return E + K * c**-gamma


@law(
    inputs=("flops",),
    scaling={"a": {"c": "-b"}},
    reference="guo2024",
)
def log_linear(c, *, a: Intercept, b: Slope):
    r"""Score or loss as a straight line in the logarithm of compute.

    .. math:: y(C) = a + b \log C

    The logarithm is natural, so b is the change for 2.7 times the compute. A line leaves any bounds
    the metric has, upwards or downwards, if it is followed far enough.
    """
    return a + b * log(c)
