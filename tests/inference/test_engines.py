from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from targets import funnel, gaussian, two_modes

from bayescale.errors import InputError
from bayescale.inference import numpyro as numpyro_engine
from bayescale.inference import symbolic
from bayescale.inference.engines import ENGINES, auto, engine_of
from bayescale.inference.target import Draws, Settings

SHORT = Settings(draws=300, tune=200, chains=4, random_seed=1, progressbar=False)


def stub(monkeypatch, name):
    """Replace an engine that `auto` may call by one that only says it was called."""
    monkeypatch.setattr(
        f"bayescale.inference.engines.{name}", lambda *_: Draws(engine=name, notes={"seconds": 0.0})
    )


def interrupted_after(parts):
    """A progress bar at which the user loses patience after so many parts."""

    @contextmanager
    def progress(what, total, shown):
        seen = []

        def advance(steps, remark=""):
            seen.append(steps)
            if len(seen) == parts:
                raise KeyboardInterrupt

        yield advance

    return progress


def test_every_engine_is_found_by_its_name():
    assert {name: engine_of(name) for name in ENGINES} == dict(ENGINES)


def test_an_unknown_engine_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"no engine 'stan'.*auto, grouped, laplace, numpyro, nutpie, pymc"):
        engine_of("stan")


def test_auto_keeps_the_fast_posterior_where_it_certifies_itself(monkeypatch):
    stub(monkeypatch, "numpyro")
    drawn = auto(gaussian(3)[0], SHORT)
    assert drawn.engine == "laplace"
    assert "certified itself" in drawn.notes["why"]


def test_auto_samples_where_the_fast_posterior_refuses(monkeypatch):
    stub(monkeypatch, "numpyro")
    drawn = auto(funnel(), SHORT)
    assert drawn.engine == "numpyro"
    assert "refused: Pareto k-hat" in drawn.notes["why"]


def test_auto_samples_where_it_met_a_second_mode(monkeypatch):
    stub(monkeypatch, "numpyro")
    drawn = auto(two_modes(6.0), SHORT)
    assert drawn.engine == "numpyro"
    assert "1 other mode" in drawn.notes["why"]


def test_auto_samples_where_there_are_too_many_unknowns(monkeypatch):
    stub(monkeypatch, "numpyro")
    drawn = auto(gaussian(41)[0], SHORT)
    assert drawn.engine == "numpyro"
    assert "41 unknowns" in drawn.notes["why"]


def test_auto_samples_where_groups_have_no_coordinates(monkeypatch):
    from dataclasses import replace

    def broken():
        raise np.linalg.LinAlgError("Singular matrix")

    stub(monkeypatch, "numpyro")
    drawn = auto(replace(gaussian(41)[0], parts=broken), SHORT)
    assert drawn.engine == "numpyro"
    assert "found no coordinates" in drawn.notes["why"]


@pytest.fixture(scope="module")
def sampled():
    target, mean, covariance = gaussian(3)
    return numpyro_engine.numpyro(target, SHORT), mean, covariance


def test_numpyro_samples_a_normal_target(sampled):
    drawn, mean, covariance = sampled
    assert drawn.points.shape == (4, 300, 3)
    assert drawn.points.dtype == np.float64
    sd = np.sqrt(np.diag(covariance))
    points = drawn.points.reshape(-1, 3)
    np.testing.assert_allclose((points.mean(0) - mean) / sd, 0.0, atol=0.2)
    np.testing.assert_allclose(points.std(0) / sd, 1.0, atol=0.12)
    assert not drawn.partial
    for name in ("lp", "n_steps", "acceptance_rate", "energy", "diverging"):
        assert drawn.statistics[name].shape == (4, 300)
    assert drawn.notes["gradients"] == drawn.statistics["n_steps"].sum()


def test_numpyro_statistics_tell_the_height_of_each_draw(sampled):
    drawn, mean, covariance = sampled
    target = gaussian(3)[0]
    heights = target.log_density(drawn.points)
    difference = drawn.statistics["lp"] - heights
    np.testing.assert_allclose(difference, difference[0, 0], atol=1e-9)


def test_numpyro_leaves_the_precision_of_jax_as_it_was(sampled):
    import jax

    assert not jax.config.jax_enable_x64
    assert jax.numpy.ones(1).dtype == np.float32


def test_numpyro_gives_the_same_draws_for_the_same_seed(sampled):
    again = numpyro_engine.numpyro(gaussian(3)[0], SHORT)
    np.testing.assert_array_equal(again.points, sampled[0].points)


def test_an_interrupted_numpyro_run_keeps_its_draws(monkeypatch):
    monkeypatch.setattr(numpyro_engine, "progress", interrupted_after(6))
    drawn = numpyro_engine.numpyro(gaussian(3)[0], SHORT)
    assert drawn.partial
    assert drawn.points.shape == (4, 100, 3)  # six parts of 50 steps, of which 200 are warm-up
    assert drawn.statistics["energy"].shape == (4, 100)


def test_numpyro_interrupted_in_warm_up_hands_out_nothing(monkeypatch):
    monkeypatch.setattr(numpyro_engine, "progress", interrupted_after(2))
    with pytest.raises(KeyboardInterrupt, match="before the first draw"):
        numpyro_engine.numpyro(gaussian(3)[0], SHORT)


def test_numpyro_chains_start_at_every_mode_that_was_found():
    from bayescale.diagnostics.statistics import rhat

    drawn = numpyro_engine.numpyro(two_modes_of_any_array(), SHORT)
    assert rhat(drawn.points).max() > 1.5


def two_modes_of_any_array():
    from targets import target_of

    from bayescale.laws.elementwise import logaddexp

    return target_of(
        lambda q: logaddexp(-0.5 * ((q + 12.0) ** 2).sum(-1), -0.5 * ((q - 12.0) ** 2).sum(-1)), 2
    )


def test_an_engine_that_is_not_installed_says_how_to_get_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "nutpie", None)
    with pytest.raises(InputError, match=r"nutpie.*pip install nutpie"):
        symbolic.nutpie(gaussian(2)[0], SHORT)


def tree_of(draws):
    """What a sampler of the symbolic model hands back, with the draws never made left empty."""
    stats = {
        "depth": SimpleNamespace(values=np.ones(draws.shape[:2])),
        "logp": SimpleNamespace(values=np.zeros(draws.shape[:2])),
    }
    return {"posterior": {"x": SimpleNamespace(values=draws)}, "sample_stats": stats}


MODEL = SimpleNamespace(free_RVs=[SimpleNamespace(name="x", ndim=1)])


def test_chains_cut_short_are_brought_to_one_length():
    draws = np.random.default_rng(0).normal(size=(2, 10, 3))
    draws[1, 7:] = np.nan
    found = symbolic._normalised("nutpie", tree_of(draws), MODEL, 0.0, partial=False)
    assert found.named["x"].shape == (2, 7, 3)
    assert found.statistics["tree_depth"].shape == (2, 7)
    assert found.statistics["lp"].shape == (2, 7)
    assert found.partial


def test_chains_cut_before_the_first_draw_hand_out_nothing():
    draws = np.full((2, 10, 3), np.nan)
    with pytest.raises(KeyboardInterrupt):
        symbolic._normalised("nutpie", tree_of(draws), MODEL, 0.0, partial=True)


def test_whole_chains_are_not_called_partial():
    draws = np.random.default_rng(0).normal(size=(2, 10, 3))
    assert not symbolic._normalised("pymc", tree_of(draws), MODEL, 0.0, partial=False).partial
