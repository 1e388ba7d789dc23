"""Laws of models made cheaper to run: fewer bits, fewer weights, a larger teacher."""

from bayescale.laws.elementwise import exp, expm1, log, softplus
from bayescale.laws.law import Amplitude, Exponent, Factor, Irreducible, Rate, Sharpness, law


@law(
    inputs=("n_params", "n_tokens", "precision_weights", "precision_activations", "precision_kv"),
    scaling={"A": {"n": "alpha"}, "B": {"d": "beta"}},
    typical={"gamma_w": 2.0, "gamma_a": 2.0, "gamma_kv": 2.0},
    falls_with=("n_params", "n_tokens", "precision_weights", "precision_activations", "precision_kv"),
    reference="kumar2024",
)
def precision(
    n,
    d,
    w,
    a,
    kv,
    *,
    E: Irreducible,
    A: Amplitude,
    alpha: Exponent,
    B: Amplitude,
    beta: Exponent,
    gamma_w: Rate,
    gamma_a: Rate,
    gamma_kv: Rate,
):
    r"""Loss of models trained in few bits, each part of which costs parameters.

    .. math:: L = E + A N_{eff}^{-\alpha} + B D^{-\beta}, \quad
              N_{eff} = N \prod_{x \in \{w, a, kv\}} \left(1 - e^{-P_x / \gamma_x}\right)

    P are the bits in which weights, activations and the attention cache are held during training,
    gamma how many bits it takes to keep 63 % of the parameters' worth. Each gamma is known only from
    runs below about three times its size: a column of 16 throughout leaves it at its prior.
    """
    kept = log(-expm1(-w / gamma_w)) + log(-expm1(-a / gamma_a)) + log(-expm1(-kv / gamma_kv))
    return E + A * n**-alpha * exp(-alpha * kept) + B * d**-beta


@law(
    inputs=("n_params", "n_tokens", "precision_post"),
    scaling={"A": {"n": "alpha"}, "B": {"d": "beta"}, "C_T": {"n": "gamma_N", "d": "-gamma_D"}},
    typical={"gamma_post": 2.0},
    falls_with=("n_params", "precision_post"),
    reference="kumar2024",
)
def quantised(
    n,
    d,
    p,
    *,
    E: Irreducible,
    A: Amplitude,
    alpha: Exponent,
    B: Amplitude,
    beta: Exponent,
    C_T: Amplitude,
    gamma_D: Exponent,
    gamma_N: Exponent,
    gamma_post: Rate,
):
    r"""Loss of models whose weights are rounded after training, worse the longer they trained.

    .. math:: L = E + A N^{-\alpha} + B D^{-\beta}
              + C_T \frac{D^{\gamma_D}}{N^{\gamma_N}} e^{-P_{post} / \gamma_{post}}

    P_post are the bits after rounding. The last term grows with data: past some D more training
    makes the rounded model worse. The paper finds gamma_D close to gamma_N, tokens per parameter then
    deciding. C_T is the loss that rounding to zero bits would add at the reference scales.
    """
    damage = C_T * d**gamma_D * n**-gamma_N * exp(-p / gamma_post)
    return E + A * n**-alpha + B * d**-beta + damage


@law(
    inputs=("n_params", "n_tokens", "sparsity"),
    scaling={"a_S": {"n": "b_N"}, "c_S": {"n": "b_N"}, "B": {"t": "b_D"}},
    falls_with=("n_params", "n_tokens", "sparsity"),
    reference="frantar2023",
)
def sparse_weights(
    n,
    t,
    s,
    *,
    c: Irreducible,
    a_S: Amplitude,
    b_S: Exponent,
    c_S: Amplitude,
    b_N: Exponent,
    B: Amplitude,
    b_D: Exponent,
):
    r"""Loss of models most of whose weights are zero, by the number that are not.

    .. math:: L(S, N, D) = \left(a_S (1 - S)^{b_S} + c_S\right) N^{-b_N} + B D^{-b_D} + c

    N counts the weights that are not zero, S is the share that is: at equal N the sparser model is
    better, having been chosen from more. B stands for the paper's :math:`a_D^{b_D}`. A table that
    counts all weights needs n_params times 1 - S first.
    """
    return (a_S * (1 - s) ** b_S + c_S) * n**-b_N + B * t**-b_D + c


@law(
    inputs=("n_params", "n_tokens", "teacher_loss", "supervised_loss"),
    scaling={"A": {"n": "alpha"}, "B": {"d": "beta"}},
    reference="busbridge2025",
)
def distillation(
    n,
    d,
    teacher,
    supervised,
    *,
    c0: Factor,
    c1: Factor,
    d1: Factor,
    f1: Sharpness,
    A: Amplitude,
    alpha: Exponent,
    B: Amplitude,
    beta: Exponent,
    gamma: Factor,
):
    r"""Loss of a student from that of its teacher, its own size and its distillation tokens.

    .. math:: L_S = L_T + \frac{1}{L_T^{c_0}}
              \left(1 + \left(\frac{L_T}{\tilde{L}_S d_1}\right)^{1/f_1}\right)^{-c_1 f_1}
              \left(\frac{A}{N_S^{\alpha}} + \frac{B}{D_S^{\beta}}\right)^{\gamma}

    :math:`L_T` is the teacher's loss, :math:`\tilde{L}_S` the loss that the student's size and tokens
    would reach without a teacher; both are columns in nats, the latter usually from a law fitted
    first. The bracket with d1 is the capacity gap: far below a ratio of d1 the teacher is too strong to
    help further. c0 and A, B trade off unless teachers differ widely; gamma with alpha and beta.
    """
    gap = -c1 * f1 * softplus(log(teacher / (supervised * d1)) / f1)
    size_and_data = A * n**-alpha + B * d**-beta
    return teacher + exp(gap - c0 * log(teacher) + gamma * log(size_and_data))
