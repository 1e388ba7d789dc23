"""Laws of the number of visual tokens that a language model is given for one image."""

from bayescale.laws.law import Amplitude, Coefficient, Exponent, Irreducible, Level, Scale, law


@law(
    inputs=("n_vision_tokens",),
    scaling={"c": {"n": "alpha"}},
    typical={"alpha": -0.1},
    reference="li2025",
)
def vision_tokens(n, *, c: Level, alpha: Coefficient):
    r"""Score as one power of the number of visual tokens.

    .. math:: S(n) = c\, n^{-\alpha}

    c is the score at one token; alpha is negative where the score rises with n, and the printed ones
    lie between -.41 (text in images) and +.03. The first version of the paper wrote
    :math:`(c / n)^{\alpha}`, whose c has another unit. The power passes any bound that the score has.
    """
    return c * n**-alpha


@law(
    inputs=("n_vision_tokens",),
    scaling={"c": {"n": "alpha"}, "n_bal": {"n": 1.0}},
    typical={"alpha": -0.1},
    reference="li2025",
)
def vision_tokens_crossover(n, *, c: Level, alpha: Coefficient, n_bal: Scale):
    r"""Score as a power of the number of visual tokens that doubles its exponent in passing.

    .. math:: S(n) = c \left[n \left(1 + n / n_{bal}\right)\right]^{-\alpha}

    The later version of the paper lets the exponent go from :math:`-\beta_s / 2` for few tokens to
    :math:`-\beta_s` for many, with a crossover at :math:`n_{bal}`; this is its closed form, with
    :math:`\alpha = -\beta_s / 2`, so that an endless n_bal leaves `vision_tokens`. The score at one
    token is :math:`c\, (1 + 1 / n_{bal})^{-\alpha}`. On a log-log plot the curve bends upwards only
    (alpha negative): it cannot level off.
    """
    return c * (n * (1 + n / n_bal)) ** -alpha


@law(
    inputs=("n_vision_tokens",),
    scaling={"k": {"n": "gamma"}},
    rises_with=("n_vision_tokens",),
    reference="li2025",
)
def saturating_tokens(n, *, S_inf: Level, k: Amplitude, gamma: Exponent):
    r"""Score that rises to a ceiling, short of it by one power of the number of visual tokens.

    .. math:: S(n) = S_\infty - k\, n^{-\gamma}

    S_inf is the score that endless tokens would give, k what is missing at one token. It is the
    rising sister of `power_data`, and can turn negative where few tokens lack more than there is.
    """
    return S_inf - k * n**-gamma


@law(
    inputs=("n_params", "n_vision_tokens"),
    scaling={"A": {"n": "alpha", "t": "beta"}},
    typical={"alpha": 0.077, "beta": 0.015},
    falls_with=("n_params", "n_vision_tokens"),
    reference="li2024",
)
def tokens_params(n, t, *, D: Irreducible, A: Amplitude, alpha: Exponent, beta: Exponent):
    r"""Error as a product of powers of language-model size and of visual tokens, over a floor.

    .. math:: Y(N, T) = A N^{-\alpha} T^{-\beta} + D

    Y is the mean error of many tasks, N the parameters of the language model, T the visual tokens of
    one image after compression. The paper's two amplitudes appear as a product only, which is A. Where
    both exponents are small the floor trades off with them and is not known from the points, while
    :math:`\alpha / \beta`, which decides how a budget is split, is: report the ratio.
    """
    return A * n**-alpha * t**-beta + D
