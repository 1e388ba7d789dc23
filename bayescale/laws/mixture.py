"""Laws of what the data are mixed from: domains, or modalities, by their shares of the tokens.

Shares are columns named ``share_...`` and lie between 0 and 1. A domain that a run does not have has
share 0, which every law here takes.
"""

from bayescale.laws.elementwise import Array, exp, where
from bayescale.laws.law import Amplitude, Coefficient, Exponent, Factor, Fraction, Irreducible, Rate, law

_ACTIVE = {"n_params": "n_active_params"}


@law(
    inputs=("share_image", "share_interleaved"),
    scaling={},
    reference="ye2024",
)
def data_mixing(r2, r3, *, c: Irreducible, k: Amplitude, t2: Coefficient, t3: Coefficient):
    r"""Loss on one target as an exponential of the shares of the training data.

    .. math:: L(r) = c + k \exp\Big(\sum_j t_j r_j\Big), \quad t_1 = 0

    Three domains, of which the first is whatever the two shares leave (text, by the names of the
    columns). A negative t says that its domain helps this target more than the first does. The paper
    gives every domain a t of its own; since shares sum to one, a constant added to all of them
    vanishes in k, and only differences are known. So the first is 0 here, and k is what the first
    domain alone leaves above the floor. Size and steps are held fixed: the floor c and k belong to them.
    """
    return c + k * exp(t2 * r2 + t3 * r3)


@law(
    inputs=("n_params", "n_tokens", "share_text", "share_image", "share_interleaved"),
    scaling={"A": {"n": "alpha"}, "B": {"d": "beta"}},
    typical={"C1": 2.0, "C2": 2.0, "C3": 2.0},
    falls_with=("n_params", "n_tokens"),
    stands_in=_ACTIVE,
    reference="shukor2025mixtures",
)
def mixture_additive(
    n,
    d,
    h1,
    h2,
    h3,
    *,
    E: Irreducible,
    A: Amplitude,
    alpha: Exponent,
    B: Amplitude,
    beta: Exponent,
    C1: Rate,
    gamma1: Exponent,
    C2: Rate,
    gamma2: Exponent,
    C3: Rate,
    gamma3: Exponent,
):
    r"""Loss as `chinchilla` plus a term of the mixture alone.

    .. math:: L(N, D, h) = E + \frac{1}{\sum_i C_i h_i^{\gamma_i}} + A N^{-\alpha} + B D^{-\beta}

    Shares of three domains that sum to one; the losses of one target. The best mixture is the same at
    every size and data size, which `mixture_joint` lets go. E and the mixture's term are told apart
    only by mixtures far from one another, and a C only by runs with little or none of the others. A
    handful of mixtures (ten to twenty) is what the paper finds enough.
    """
    mixture = C1 * _power(h1, gamma1) + C2 * _power(h2, gamma2) + C3 * _power(h3, gamma3)
    return E + 1 / mixture + A * n**-alpha + B * d**-beta


@law(
    inputs=("n_params", "n_tokens", "share_text", "share_image", "share_interleaved"),
    scaling={"A": {"n": "alpha"}, "B": {"d": "beta"}},
    typical={"C1": 2.0, "C2": 2.0, "C3": 2.0},
    falls_with=("n_params", "n_tokens"),
    stands_in=_ACTIVE,
    reference="shukor2025mixtures",
)
def mixture_joint(
    n,
    d,
    h1,
    h2,
    h3,
    *,
    E: Irreducible,
    C1: Rate,
    gamma1: Exponent,
    C2: Rate,
    gamma2: Exponent,
    C3: Rate,
    gamma3: Exponent,
    A: Amplitude,
    alpha: Exponent,
    a2: Factor,
    a3: Factor,
    gamma_A: Factor,
    B: Amplitude,
    beta: Exponent,
    b2: Factor,
    b3: Factor,
    gamma_B: Factor,
):
    r"""Loss in which the mixture also sets what size and data win.

    .. math:: L(N, D, h) = E + \frac{1}{\sum_i C_i h_i^{\gamma_i}} + A_h N^{-\alpha} + B_h D^{-\beta}

    .. math:: A_h = A \Big(\sum_i a_i h_i\Big)^{\gamma_A}, \quad
              B_h = B \Big(\sum_i b_i h_i\Big)^{\gamma_B}, \quad a_1 = b_1 = 1

    The best mixture moves with scale. A and B are the amplitudes of the first domain alone, a and b
    how the others compare with it: the paper's :math:`(\sum_i C_i^A h_i)^{\gamma_A}` with
    :math:`A = (C_1^A)^{\gamma_A}` taken out. That form of :math:`A_h` is second-hand; it agrees with
    the paper in the number of its parameters. With equal a, gamma_A says nothing. Seventeen
    parameters: mixtures must vary at several sizes and several data sizes.
    """
    mixture = C1 * _power(h1, gamma1) + C2 * _power(h2, gamma2) + C3 * _power(h3, gamma3)
    size = A * (h1 + a2 * h2 + a3 * h3) ** gamma_A
    data = B * (h1 + b2 * h2 + b3 * h3) ** gamma_B
    return E + 1 / mixture + size * n**-alpha + data * d**-beta


@law(
    inputs=("n_params", "n_tokens", "share_domain"),
    scaling={"A": {"n": "alpha"}, "B": {"d": "beta"}},
    typical={"epsilon": 0.1},
    falls_with=("n_params", "n_tokens"),
    stands_in=_ACTIVE,
    reference="que2024",
)
def domain_mixing(
    n,
    d,
    r,
    *,
    E: Irreducible,
    A: Amplitude,
    alpha: Exponent,
    B: Amplitude,
    beta: Exponent,
    eta: Exponent,
    C: Amplitude,
    gamma: Exponent,
    epsilon: Fraction,
):
    r"""Loss on a domain while training goes on with a share of its data (D-CPT).

    .. math:: L(N, D, r) = E + A N^{-\alpha} + B r^{\eta} D^{-\beta} + C (r + \epsilon)^{-\gamma}

    r is the share of the domain in the continued training. More of it lowers the last term and raises
    the weight of data; epsilon keeps the law finite without the domain, and trades off with gamma
    unless some runs have a share near 0. One fit for the domain's loss, another for the general one
    (with r the share of general data).
    """
    return E + A * n**-alpha + B * _power(r, eta) * d**-beta + C * (r + epsilon) ** -gamma


@law(
    inputs=("n_params", "n_tokens", "share_image"),
    scaling={
        "A_i": {"n": "alpha_i"},
        "B_i": {"d": "beta_i"},
        "A_j": {"n": "alpha_j"},
        "B_j": {"d": "beta_j"},
        "A_ij": {"n": "alpha_ij"},
        "B_ij": {"d": "beta_ij"},
    },
    # Exponents of the paper's single modalities: text, image.
    typical={"alpha_i": 0.18, "beta_i": 0.22, "alpha_j": 0.13, "beta_j": 0.13},
    falls_with=("n_params", "n_tokens"),
    stands_in=_ACTIVE,
    reference="aghajanyan2023",
)
def mixed_modal(
    n,
    d,
    s,
    *,
    E_i: Irreducible,
    A_i: Amplitude,
    alpha_i: Exponent,
    B_i: Amplitude,
    beta_i: Exponent,
    E_j: Irreducible,
    A_j: Amplitude,
    alpha_j: Exponent,
    B_j: Amplitude,
    beta_j: Exponent,
    C_ij: Amplitude,
    A_ij: Amplitude,
    alpha_ij: Exponent,
    B_ij: Amplitude,
    beta_ij: Exponent,
):
    r"""Loss of two modalities trained together, with synergy and competition.

    .. math:: L(N, D_i) = E_i + A_i N^{-\alpha_i} + B_i D_i^{-\beta_i}

    .. math:: L(N, D_i, D_j) = \tfrac12 \left[L(N, D_i) + L(N, D_j)\right] - C_{ij}
              + A_{ij} N^{-\alpha_{ij}} + B_{ij} (D_i + D_j)^{-\beta_{ij}}

    D counts all tokens, s is the share of modality j (image, by the name of the column), so
    :math:`D_j = s D` and :math:`D_i = (1 - s) D`. Runs of one modality, with s of 0 or 1, follow the
    first line and belong in the same fit: without them C_ij, the greatest synergy, trades off with
    E_i + E_j, and at one scale with both terms of competition. Synergy outweighs competition beyond
    :math:`C_{ij} = A_{ij} N^{-\alpha_{ij}} + B_{ij} D^{-\beta_{ij}}`. The pair is symmetric: changing
    the places of i and j, and s for 1 - s, changes nothing.

    Towards a share of 0 the law does not run into the runs of one modality: B_j D_j^-beta_j grows
    without bound. Shares of a hundredth and less are outside it. The paper holds exponents below .5,
    and weighs both losses alike, whatever the share.
    """
    only_i, only_j = s <= 0, s >= 1
    loss_i = E_i + A_i * n**-alpha_i + B_i * (d * where(only_j, 1.0, 1.0 - s)) ** -beta_i
    loss_j = E_j + A_j * n**-alpha_j + B_j * (d * where(only_i, 1.0, s)) ** -beta_j
    both = 0.5 * (loss_i + loss_j) - C_ij + A_ij * n**-alpha_ij + B_ij * d**-beta_ij
    return where(only_i, loss_i, where(only_j, loss_j, both))


def _power(share: Array, exponent: Array) -> Array:
    """Power of a share; 0, and without derivative, where the share is 0."""
    present = share > 0
    return where(present, where(present, share, 1.0) ** exponent, 0.0)
