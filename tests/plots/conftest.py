import matplotlib
import numpy as np
import pytest

from bayescale.testing import synthetic_posterior

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def no_figure_left():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture(scope="session")
def study():
    """An unpooled study of size and data."""
    return synthetic_posterior("chinchilla", draws=100)


@pytest.fixture(scope="session")
def pooled():
    """A study whose first exponent varies over three families."""
    return with_effects(synthetic_posterior("chinchilla", ("llama", "olmo", "pythia"), draws=100))


def with_effects(tree):
    """The study with the effects of its groups in standard units, as a fit stores them."""
    draws = tree["posterior"].to_dataset()
    shared, spread = np.log(draws["alpha_population"]), draws["alpha_sd_family"]
    draws["alpha_offset_family"] = (np.log(draws["alpha"]) - shared) / spread
    tree["posterior"] = type(tree)(draws)
    return tree
