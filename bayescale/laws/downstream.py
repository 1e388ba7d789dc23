"""Laws of scores: from the loss, from compute, from size and data by way of a bounded curve.

Scores are fractions. Fit them with ``noise="logit_normal"`` or ``noise="beta"``, which know the bounds.
"""

from bayescale.laws.elementwise import exp, log, sigmoid
from bayescale.laws.law import Coefficient, Exponent, Fraction, Intercept, Level, Rate, Scale, law

_BILLION, _HUNDRED_BILLION = 1e9, 1e11


@law(
    inputs=("validation_loss",),
    scaling={"gamma": {"loss": -1.0}},
    typical={"epsilon": 0.85, "k": 2.2, "gamma": 2.0},
    rises_with=("validation_loss",),
    reference="gadre2024",
)
def error_from_loss(loss, *, epsilon: Level, k: Level, gamma: Rate):
    r"""Error of downstream tasks as an exponential of the loss.

    .. math:: Err(L) = \epsilon - k\, e^{-\gamma L}

    epsilon is the error at a hopeless loss (chance, over the tasks), k and gamma how fast it falls as
    the loss improves. For a mean over many tasks: single ones jump. The loss must be that of one
    validation text under one tokenizer; the error of the loss itself is not in the law.
    """
    return epsilon - k * exp(-gamma * loss)


@law(
    inputs=("validation_loss",),
    scaling={"k": {"loss": -1.0}, "L0": {"loss": 1.0}},
    typical={"a": 0.6, "b": 0.25, "k": 5.0, "L0": 1.0},
    falls_with=("validation_loss",),
    reference="bhagia2024",
)
def accuracy_from_loss(loss, *, a: Fraction, b: Fraction, k: Rate, L0: Scale):
    r"""Accuracy of a task as a sigmoid of the loss on its right answers.

    .. math:: Acc(L) = b + \frac{a}{1 + e^{k (L - L_0)}}

    b is the accuracy of guessing, b + a the best there can be, L0 the loss half-way. Known only from
    models on both sides of L0: weak models say b alone, and the ceiling is then the prior's. Llama 3
    and the ladders of smaller models predict scores this way, with a power law for the loss.
    """
    return b + a * sigmoid(k * (L0 - loss))


@law(
    inputs=("flops",),
    scaling={"a": {"c": "-b"}},
    typical={"a": 0.0, "b": 0.3},
    rises_with=("flops",),
    reference="ruan2024",
)
def observational(c, *, a: Intercept, b: Exponent):
    r"""Score of public models as a logistic curve in the logarithm of compute.

    .. math:: \mathrm{logit}\, y(C) = a + b \log C

    Families of public models turn compute into skill at rates of their own: pool a, and b where there
    are runs for it, by family. In the paper the middle step is a few principal components of many
    benchmarks, each a straight line in log C within a family; with one benchmark that step drops out.
    The curve goes from 0 to 1: take chance off the score first, or use `skills`.
    """
    return sigmoid(a + b * log(c))


@law(
    inputs=("n_params", "n_tokens"),
    scaling={},
    typical={"b_s": 0.4, "b_t": 0.3},
    reference="polo2024",
)
def skills(n, d, *, gamma: Fraction, b: Coefficient, b_s: Coefficient, b_t: Coefficient, b_st: Coefficient):
    r"""Score between chance and 1 by a skill that is linear in log size, log data and their product.

    .. math:: y = \gamma + (1 - \gamma)\, \sigma\!\left(b + b_s \log s + b_t \log t
              + b_{st} \log s \log t\right)

    s are billions of parameters, t hundreds of billions of tokens: fixed units, so that families and
    studies share the meaning of b, the skill at one billion and one hundred billion. One skill for one
    benchmark; pool b by family (its efficiency) and everything by benchmark. The paper's several
    skills with loadings can be turned and mirrored without changing a score, which one skill cannot.
    Chance is known better than gamma can be learnt: ``priors={"gamma": between(0.24, 0.26)}``.
    """
    s, t = log(n / _BILLION), log(d / _HUNDRED_BILLION)
    return gamma + (1 - gamma) * sigmoid(b + b_s * s + b_t * t + b_st * s * t)
