"""The door: options, faults said before any sampling, and what a fit leaves behind."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.errors import BayescaleWarning, InputError

QUICK = {"progressbar": False, "random_seed": 0, "draws": 500}


def good(n=24):
    """A clean table: three families, a wide design, half a percent of scatter."""
    rng = np.random.default_rng(1)
    size, data = 10 ** rng.uniform(7.5, 10, n), 10 ** rng.uniform(9, 11.5, n)
    value = (1.8 + 0.36 * (size / 1e9) ** -0.35 + 0.45 * (data / 1e10) ** -0.37) * np.exp(
        rng.normal(0, 0.005, n)
    )
    return pd.DataFrame(
        {
            "run_id": [f"r{i:03d}" for i in range(n)],
            "family": np.array(["llama", "pythia", "olmo"])[np.arange(n) % 3],
            "metric": "loss_nats",
            "n_params": size,
            "n_tokens": data,
            "flops": 6 * size * data,
            "value": value,
        }
    )


def record(posterior):
    return json.loads(posterior.attrs["bayescale"])


def codes(posterior):
    return {finding["code"] for finding in record(posterior)["findings"]}


@pytest.fixture(scope="module")
def plain():
    return bs.fit(good(), discrepancy=None, **QUICK)  # warnings are errors here: a good fit has none


@pytest.fixture(scope="module")
def drifting():
    return bs.fit(good(), **QUICK)


class Flat:
    """Stands for any library's improper prior."""


# Options that cannot be: what is given, and what the message must hold.
REFUSED = {
    "an unknown engine": ({"engine": "stan"}, r"'stan'.*auto, grouped, laplace, numpyro, nutpie, pymc"),
    "an option of another sampler": (
        {"engine": "pymc", "chain_method": "vectorized"},
        r"chain_method.*vectorized.*pymc",
    ),
    "no draws": ({"draws": 0}, r"draws=0.*at least 1"),
    "negative draws": ({"draws": -5}, r"draws=-5"),
    "half a draw": ({"draws": 1000.5}, r"draws=1000\.5.*whole"),
    "draws as text": ({"draws": "1000"}, r"draws='1000'.*whole"),
    "draws that are no number": ({"draws": float("nan")}, r"draws=nan.*whole"),
    "endless draws": ({"draws": float("inf")}, r"draws=inf.*whole"),
    "draws as a flag": ({"draws": True}, r"draws=True.*whole"),
    "draws beyond any memory": ({"draws": 10_000_000}, r"draws.*GB of memory"),
    "no chains": ({"chains": 0}, r"chains=0.*at least 1"),
    "negative warm-up": ({"tune": -1}, r"tune=-1"),
    "acceptance 0": ({"target_accept": 0}, r"target_accept=0.*between 0 and 1"),
    "acceptance 1": ({"target_accept": 1}, r"target_accept=1.*between 0 and 1"),
    "acceptance above 1": ({"target_accept": 1.2}, r"target_accept=1\.2"),
    "acceptance that is no number": ({"target_accept": float("nan")}, r"target_accept=nan"),
    "acceptance as text": ({"target_accept": "high"}, r"target_accept='high'"),
    "a negative seed": ({"random_seed": -1}, r"random_seed=-1"),
    "a seed beyond 32 bits": ({"random_seed": 2**40}, r"random_seed=1099511627776.*4294967295"),
    "a misspelt argument": ({"draw": 500}, r"no argument 'draw'.*Did you mean 'draws'"),
    "a column map": ({"columns": {"params": "N"}}, r"columns=\{'params': 'N'\}"),
    "a prior turned round": (
        {"priors": {"alpha": {"distribution": "Uniform", "lower": 2, "upper": 1}}},
        r"'alpha'.*Uniform\(2, 1\)",
    ),
    "a floor above every loss": (
        {"priors": {"E": bs.Prior("LogNormal", mu=float(np.log(50)), sigma=0.01)}},
        r"prior of E.*loss.*data|prior of E.*data.*loss",
    ),
    "a flat prior": ({"priors": {"alpha": Flat()}}, r"'alpha'.*not proper"),
    "a prior of nothing": ({"priors": {"gamma": bs.Prior("Normal")}}, r"'gamma'.*Learnt: E, A, alpha"),
    "priors in a list": ({"priors": ["alpha"]}, r"priors=\['alpha'\].*by parameter"),
    "pooling in a list": ({"pool": ["family"]}, r"pool=\['family'\].*by parameter"),
    "pooling over no column": ({"pool": {"alpha": "tribe"}}, r"'tribe'"),
    "a misfit of the law": ({"discrepancy": "gp"}, r"discrepancy='gp' must be 'auto'"),
    "a law of another column": ({"law": "data_constrained"}, r"tokens_unique"),
    "an unknown law": ({"law": "hoffman"}, r"no law called 'hoffman'.*chinchilla"),
    "an unknown noise": ({"noise": "gaussian"}, r"'gaussian'.*student_t"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_options_that_cannot_be_are_refused_in_words(case):
    options, pattern = REFUSED[case]
    with pytest.raises(InputError, match=f"(?s){pattern}") as refused:
        bs.fit(good(), **({"progressbar": False} | options))
    assert len(str(refused.value)) < 2000


def test_an_engine_that_is_not_installed_says_how_to_get_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "nutpie", None)
    with pytest.raises(InputError, match=r"nutpie.*pip install nutpie"):
        bs.fit(good(), engine="nutpie", **QUICK)


def test_a_column_map_to_a_column_that_is_not_there_names_both():
    with pytest.raises(InputError, match=r"(?s)\bN\b.*n_params|n_params.*\bN\b"):
        bs.read_runs(good().drop(columns="n_params"), rename={"N": "n_params"})


def test_draws_written_as_a_power_of_ten_are_whole():
    assert record(bs.fit(good(), progressbar=False, draws=2e2))["settings"]["draws"] == 200


def test_three_draws_are_called_too_few():
    with pytest.warns(BayescaleWarning, match=r"3 draws a chain: too few.*Raise draws"):
        found = bs.fit(good(), progressbar=False, draws=3, random_seed=0)
    assert "few-draws" in codes(found)


def test_no_warm_up_is_said():
    with pytest.warns(BayescaleWarning, match=r"tune=0.*warm-up"):
        found = bs.fit(good(), tune=0, **QUICK)
    assert "short-warm-up" in codes(found)


def test_laplace_needs_no_warm_up_and_says_nothing():
    assert "short-warm-up" not in codes(bs.fit(good(), tune=0, engine="laplace", **QUICK))


def test_laplace_refuses_what_it_cannot_certify():
    with pytest.raises(InputError, match=r"k-hat.*engine='auto'"):
        bs.fit(good(), law="bnsl_two", engine="laplace", **QUICK)


def test_a_plain_good_fit_has_no_warning_and_says_what_ran(plain):
    told = record(plain)
    assert told["engine"]["name"] == "laplace"
    assert told["engine"]["asked"] == "auto"
    assert "certified itself" in told["engine"]["why"]
    assert not told["partial"]
    assert all(finding["severity"] == "note" for finding in told["findings"])


def test_a_fit_is_a_tree_of_labelled_groups(plain):
    assert set(plain.children) >= {
        "posterior",
        "sample_stats",
        "log_likelihood",
        "log_prior",
        "observed_data",
        "constant_data",
        "runs",
    }
    assert dict(plain["posterior"].sizes) == {"chain": 4, "draw": 500}
    assert {"E", "A", "A_ref", "alpha", "B", "B_ref", "beta", "sigma", "nu"} == set(
        plain["posterior"].data_vars
    )
    assert list(plain["observed_data"]["run"].values) == list(good()["run_id"])
    np.testing.assert_array_equal(plain["observed_data"]["value"], good()["value"])
    np.testing.assert_array_equal(plain["constant_data"]["n_params"], good()["n_params"])


def test_a_fit_lets_its_law_drift_unless_told_not_to(drifting, plain):
    found = set(drifting["posterior"].data_vars) - set(plain["posterior"].data_vars)
    assert found == {"drift", "drift_compute", "drift_weights"}
    assert drifting["posterior"]["drift_weights"].dims == ("chain", "draw", "drift_part")
    assert drifting["posterior"]["drift_part"].values[0] == "compute 1"
    assert {"drift", "drift_compute"} <= set(bs.intervals(drifting)) - set(bs.intervals(plain))


def test_a_drift_widens_what_lies_beyond_the_runs_and_leaves_the_parameters(drifting, plain):
    far = [{"n_params": 3e11, "n_tokens": 6e12}]
    with pytest.warns(BayescaleWarning, match="beyond the runs"):
        widths = [
            float((p["upper"] - p["lower"])[0])
            for p in (bs.predict(s, far, kind="curve") for s in (plain, drifting))
        ]
    assert widths[1] > 1.5 * widths[0]
    exact, allowed = (bs.intervals(s)["alpha"].values for s in (plain, drifting))
    assert abs(exact[0] - allowed[0]) < 0.5 * (exact[2] - exact[1])


def test_the_papers_amplitudes_are_those_at_the_reference_carried_to_raw_inputs(plain):
    told, draws = record(plain), plain["posterior"].to_dataset()
    expected = draws["A_ref"] * told["reference"]["n_params"] ** draws["alpha"]
    np.testing.assert_allclose(draws["A"], expected, rtol=1e-12)


def test_pointwise_densities_are_of_the_values_in_their_own_unit(plain):
    from scipy import stats

    draws, data = plain["posterior"].to_dataset(), plain["constant_data"].to_dataset()
    curve = (
        draws["E"]
        + draws["A"] / data["n_params"] ** draws["alpha"]
        + draws["B"] / data["n_tokens"] ** draws["beta"]
    )
    value = plain["observed_data"]["value"]
    away = np.log(value) - np.log(curve)
    scaled = (away / draws["sigma"]).transpose("chain", "draw", "run").values
    nu, sigma = draws["nu"].values[..., None], draws["sigma"].values[..., None]
    expected = stats.t.logpdf(scaled, nu) - np.log(sigma) - np.log(value.values)
    np.testing.assert_allclose(plain["log_likelihood"]["value"], expected, rtol=1e-8)


def test_the_truth_lies_within_the_intervals_of_a_plain_fit(plain):
    found = bs.intervals(plain, prob=0.99)
    for name, truth in {"E": 1.8, "alpha": 0.35, "beta": 0.37}.items():
        assert found[name].sel(bound="lower") < truth < found[name].sel(bound="upper")


def test_the_same_seed_gives_the_same_study(drifting):
    again = bs.fit(good(), **QUICK)
    assert again["posterior"].to_dataset().equals(drifting["posterior"].to_dataset())
    other = bs.fit(good(), **(QUICK | {"random_seed": 1}))
    assert not other["posterior"].to_dataset().equals(drifting["posterior"].to_dataset())


def test_a_seed_that_was_not_given_is_drawn_saved_and_reproduces_the_fit():
    first, second = (bs.fit(good(), progressbar=False, draws=200) for _ in range(2))
    seeds = [record(study)["random_seed"] for study in (first, second)]
    assert seeds[0] != seeds[1]
    again = bs.fit(good(), progressbar=False, draws=200, random_seed=seeds[0])
    assert again["posterior"].to_dataset().equals(first["posterior"].to_dataset())


def test_the_callers_random_state_is_left_alone():
    before = np.random.get_state()  # noqa: NPY002
    bs.fit(good(), progressbar=False, draws=200)
    after = np.random.get_state()  # noqa: NPY002
    assert before[2:] == after[2:]
    np.testing.assert_array_equal(before[1], after[1])


def test_the_table_given_is_left_as_it_was():
    table = good()
    copy = table.copy(deep=True)
    bs.fit(table, progressbar=False, draws=200)
    pd.testing.assert_frame_equal(table, copy)


def test_the_order_of_the_rows_does_not_move_the_posterior():
    first = bs.intervals(bs.fit(good(), discrepancy=None, **QUICK))
    turned = bs.intervals(bs.fit(good().iloc[::-1], discrepancy=None, **QUICK))
    for name in ("E", "alpha", "beta"):
        np.testing.assert_allclose(first[name], turned[name], rtol=1e-6)


def test_a_run_that_went_wrong_is_named_and_weighs_little():
    table = good()
    table.loc[[3, 11, 17], "value"] *= 1.3
    with pytest.warns(BayescaleWarning, match=r"3 outlying runs.*r0(03|11|17)"):
        found = bs.fit(table, **QUICK)
    assert abs(float(found["posterior"]["E"].median()) - 1.8) < 0.15


def test_warnings_of_a_fit_are_kept_in_the_study():
    table = good()
    table.loc[[3, 11, 17], "value"] *= 1.3
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        found = bs.fit(table, **QUICK)
    said = "\n".join(str(w.message) for w in heard)
    kept = [f["message"] for f in record(found)["findings"] if f["severity"] == "warning"]
    assert kept
    assert all(message in said for message in kept)


def test_prior_predictions_lie_where_losses_lie():
    found = bs.prior_predictive(good(), draws=400)
    assert found["value"].sizes == {"draw": 400, "run": 24}
    share = float(((found["value"] > 0) & (found["value"] < 12)).mean())
    assert share > 0.95
    low, high = np.quantile(found["value"], [0.05, 0.95])
    assert low < good()["value"].min() < good()["value"].max() < high * 1.5


def test_the_pymc_model_has_the_names_of_the_posterior(plain):
    model = bs.build_model(good(), pool={"alpha": "family"})
    names = {variable.name for variable in model.free_RVs}
    assert names == {
        "E",
        "A_ref",
        "alpha_population",
        "B_ref",
        "beta",
        "alpha_sd_family",
        "alpha_offset_family",
        "sigma",
        "nu",
    }
    assert list(model.coords["family"]) == ["llama", "olmo", "pythia"]


def test_pooled_draws_are_labelled_by_group(monkeypatch):
    """The sampler is replaced by points about the mode, so that nothing is compiled."""
    from bayescale.inference.mode import find_mode
    from bayescale.inference.target import Draws

    def mocked(target, settings, mode=None):
        top = find_mode(target)
        scatter = np.random.default_rng(0).multivariate_normal(np.zeros(target.dim), top.covariance, (4, 200))
        return Draws("mocked", points=top.point + 0.1 * scatter)

    monkeypatch.setattr("bayescale.inference.engines.ENGINES", {"auto": mocked})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        found = bs.fit(good(), pool={"alpha": "family"}, **(QUICK | {"draws": 200}))
    draws = found["posterior"].to_dataset()
    assert draws["alpha"].dims == ("chain", "draw", "family")
    assert draws["A"].dims == ("chain", "draw", "family")
    assert list(draws["family"].values) == ["llama", "olmo", "pythia"]
    by_hand = draws["alpha_population"] * np.exp(draws["alpha_sd_family"] * draws["alpha_offset_family"])
    np.testing.assert_allclose(draws["alpha"], by_hand, rtol=1e-10)
    assert list(found["constant_data"]["group_family"].values) == list(good()["family"])
    assert found["log_likelihood"]["value"].shape == (4, 200, 24)


def test_an_interrupted_fit_is_marked_and_said(monkeypatch):
    from dataclasses import replace

    from bayescale.inference.laplace import laplace

    def interrupted(target, settings, mode=None):
        drawn = laplace(target, settings)
        return replace(drawn, points=drawn.points[:, :150], partial=True)

    monkeypatch.setattr("bayescale.inference.engines.ENGINES", {"auto": interrupted})
    with pytest.warns(BayescaleWarning, match=r"interrupted: 150 of 500 draws"):
        found = bs.fit(good(), **QUICK)
    assert record(found)["partial"]
    assert found["posterior"].sizes["draw"] == 150


def test_pointwise_densities_that_would_not_fit_are_left_out_and_said(monkeypatch):
    monkeypatch.setattr("bayescale.model.posterior.LARGEST_POINTWISE", 1000)
    with pytest.warns(BayescaleWarning, match=r"pointwise log likelihood would take .* GB and is left out"):
        found = bs.fit(good(), **QUICK)
    assert "log_likelihood" not in found.children
