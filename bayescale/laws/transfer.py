"""Laws of what one training is worth to the next."""

from bayescale.laws.law import Exponent, Level, law


@law(
    inputs=("tokens_finetune", "n_params"),
    scaling={"k": {"f": "-alpha", "n": "-beta"}},
    typical={"alpha": 0.18, "beta": 0.38},
    rises_with=("tokens_finetune", "n_params"),
    reference="hernandez2021",
)
def transfer(f, n, *, k: Level, alpha: Exponent, beta: Exponent):
    r"""Data that pre-training was worth to fine-tuning.

    .. math:: D_T(D_F, N) = k\, D_F^{\alpha} N^{\beta}

    D_T is the data one would have to add to D_F to reach the same loss from scratch, so a value here
    is an amount of data, derived from two learning curves, and spans decades: fit it with a noise on
    the log. It holds where data are scarce (D_F a tenth or less of what the size could use); where
    they are plenty pre-training may even hurt. The paper counts characters, and parameters without
    embeddings.
    """
    return k * f**alpha * n**beta
