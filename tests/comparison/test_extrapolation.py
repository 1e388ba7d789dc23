import json

import pytest
from made_budgets import EXACT, made_budgets

import bayescale as bs


@pytest.fixture(scope="module")
def bent():
    return bs.fit(made_budgets(bend=0.015), **EXACT)


@pytest.fixture(scope="module")
def sound():
    return bs.fit(made_budgets(), **EXACT)


@pytest.fixture(scope="module")
def failed(bent):
    return bs.check_extrapolation(bent)


def codes(found):
    return {f.code: f.severity for f in found.findings}


def test_a_law_that_fits_but_bends_away_fails_the_exam(failed):
    assert float(failed.rows["r2"]) > 0.99
    assert not failed.ok
    assert codes(failed)["misses-one-way"] == "warning"
    assert codes(failed)["poor-coverage"] == "warning"
    assert (failed.rows["error"] < 0).all()
    assert float(failed.rows["bias_z"]) < -3


def test_it_says_so_in_words(failed):
    told = str(failed)
    assert told.startswith("Failed: did not foretell 12 runs up to 1.0 decades beyond")
    assert "lower than foretold" in told
    assert "12 of 12 miss to one side" in told
    assert "discrepancy='auto'" in told
    assert "Failed" in failed._repr_html_()


def test_a_law_that_holds_passes(sound):
    found = bs.check_extrapolation(sound)
    assert found.ok
    assert found.headline.startswith("Passed")
    assert set(codes(found).values()) == {"note"}


def test_scales_farther_than_the_exam_reached_are_named(sound):
    near = bs.check_extrapolation(sound, {"n_params": 2e9, "n_tokens": 1.2e11})
    far = bs.check_extrapolation(sound, {"n_params": 7e10, "n_tokens": 1.4e12})
    assert codes(near)["within-what-was-examined"] == "note"
    assert codes(far)["farther-than-examined"] == "warning"
    assert "3.3 decades of compute beyond the runs; the exam reached 1.0" in str(far)


def test_few_rows_held_back_are_an_easy_exam():
    few = bs.fit(made_budgets(seed=4).where(lambda frame: frame["run_id"] < "r33"), **EXACT)
    found = bs.check_extrapolation(few, held=1)
    assert found.rows.sizes["run"] == 3
    assert codes(found)["few-held-back"] == "warning"


def test_an_interval_of_other_mass_is_examined_by_its_own_mass(bent):
    found = bs.check_extrapolation(bent, prob=0.5)
    inside = (found.rows["lower"] <= found.rows["observed"]) & (found.rows["observed"] <= found.rows["upper"])
    assert float(found.rows["coverage"]) == pytest.approx(float(inside.mean()))
    with pytest.raises(bs.InputError, match="prob"):
        bs.check_extrapolation(bent, prob=1.0)


def test_what_is_no_study_is_refused():
    with pytest.raises(bs.InputError, match="no fitted study"):
        bs.check_extrapolation(json)


@pytest.mark.published
def test_chinchillas_form_explains_porians_runs_and_misses_the_largest_one_way():
    """Porian et al. 2024, RefinedWeb: R2 .99 below 6.4e18 FLOP, all 11 runs above it come out lower."""
    runs = bs.load_runs("porian-isoflop").where(family="rw|base|warmup-short|decay-chinchilla")
    post = bs.fit(runs, discrepancy=None, random_seed=0, draws=500, progressbar=False)
    found = bs.check_extrapolation(post)
    assert float(found.rows["r2"]) > 0.985
    assert (found.rows["error"] < 0).all()
    assert codes(found)["misses-one-way"] == "warning"


@pytest.mark.slow
def test_the_drift_allows_for_what_the_law_alone_missed():
    runs = bs.load_runs("porian-isoflop").where(family="rw|base|warmup-short|decay-chinchilla")
    post = bs.fit(runs, random_seed=0, progressbar=False)
    assert bs.check_extrapolation(post).ok
