"""Laws of the vocabulary."""

from bayescale.laws.law import Amplitude, Exponent, Level, law


@law(
    inputs=("n_params_nonembed", "n_params_vocab", "chars_text"),
    scaling={"A1": {"n": "alpha1"}, "A2": {"v": "alpha2"}, "B": {"h": "beta"}},
    typical={"alpha1": 0.45, "alpha2": 0.67, "beta": 0.45},
    falls_with=("n_params_nonembed", "n_params_vocab", "chars_text"),
    reference="tao2024",
)
def vocabulary(
    n, v, h, *, E: Level, A1: Amplitude, alpha1: Exponent, A2: Amplitude, alpha2: Exponent, B: Amplitude,
    beta: Exponent,
):  # fmt: skip
    r"""Loss below that of a unigram model, by the rest of the model, its vocabulary, and characters.

    .. math:: L_u = -E + \frac{A_1}{N_{nv}^{\alpha_1}} + \frac{A_2}{N_v^{\alpha_2}} + \frac{B}{H^{\beta}}

    Vocabularies make losses per token incomparable; the loss of a unigram model over the same tokens
    is taken off, and values are negative. N_v is entries times width, H characters of text seen: a
    larger vocabulary packs them into fewer tokens, which is how it pays. At one compute H follows from
    the sizes and the vocabulary's characters per token. The authors hold alpha1 = beta.
    """
    return -E + A1 * n**-alpha1 + A2 * v**-alpha2 + B * h**-beta
