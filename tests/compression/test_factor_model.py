"""The hierarchy of log factors: its density and draws against dense arithmetic, and what a fit says."""

import json
import warnings

import numpy as np
import pytest
from made_tables import made_measurements
from scipy.stats import halfnorm, multivariate_normal

import bayescale as bs
from bayescale.compression.model import PRIORS, Design, FactorPrior, _System, draw_hierarchy

PRIOR = FactorPrior(3.0, 1.0, 0.5, 0.4, 0.3)


def design(n_tokenizers, n_materials, rows, error, seed=0):
    rng = np.random.default_rng(seed)
    t, m = rng.integers(n_tokenizers, size=rows), rng.integers(n_materials, size=rows)
    t[:n_tokenizers], m[:n_materials] = np.arange(n_tokenizers), np.arange(n_materials)
    se = rng.uniform(0.01, 0.2, rows) if error else np.zeros(rows)
    return Design(rng.normal(1, 0.5, rows), se, t, m, n_tokenizers, n_materials)


def dense(d, spreads):
    """Covariance of the data, and of (middle, effects) with them."""
    a, b, s = np.exp(spreads)
    x = np.column_stack(
        [np.ones(len(d.y)), np.eye(d.n_tokenizers)[d.tokenizer], np.eye(d.n_materials)[d.material]]
    )
    prior = np.diag([PRIOR.centre_sd**2, *[a**2] * d.n_tokenizers, *[b**2] * d.n_materials])
    return x @ prior @ x.T + np.diag(s**2 + d.se**2), prior @ x.T


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (1, 4), (4, 1)])
@pytest.mark.parametrize("error", [False, True])
def test_density_of_the_spreads_is_that_of_the_dense_normal(shape, error):
    d = design(*shape, 12, error)
    points = np.log([[0.4, 0.2, 0.1], [0.1, 0.7, 0.3], [0.02, 0.3, 0.5]])
    found = _System(d, PRIOR).log_density(points)
    scales = [PRIOR.tokenizer_sd, PRIOR.material_sd, PRIOR.scatter_sd]
    expected = [
        multivariate_normal(np.full(12, np.log(3.0)), dense(d, p)[0]).logpdf(d.y)
        + halfnorm(scale=scales).logpdf(np.exp(p)).sum()
        + p.sum()
        for p in points
    ]
    np.testing.assert_allclose(np.diff(found), np.diff(expected), rtol=1e-8)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3)])
@pytest.mark.parametrize("error", [False, True])
def test_effects_are_drawn_from_the_dense_conditional(shape, error):
    d, n = design(*shape, 12, error), 40_000
    point = np.log([0.4, 0.2, 0.1])
    drawn = _System(d, PRIOR).effects(np.tile(point, (n, 1)), np.random.default_rng(0))
    flat = np.column_stack([drawn[0] - np.log(3.0), *drawn[1:]])
    among, across = dense(d, point)
    gain = across @ np.linalg.inv(among)
    mean = gain @ (d.y - np.log(3.0))
    prior = np.diag([1.0, *[0.16] * d.n_tokenizers, *[0.04] * d.n_materials])
    covariance = prior - gain @ across.T
    spread = np.sqrt(np.diag(covariance))
    assert (np.abs(flat.mean(0) - mean) / spread < 5 / np.sqrt(n)).all()
    np.testing.assert_allclose(np.cov(flat.T), covariance, atol=0.03 * spread.max() ** 2)


def test_chains_follow_the_density_of_the_spreads():
    d = design(4, 6, 20, False)
    drawn = draw_hierarchy(d, PRIOR, draws=2000, chains=4, rng=np.random.default_rng(1))
    spreads = np.stack([drawn[k].ravel() for k in ("tokenizer_sd", "material_sd", "scatter")])
    edges = (np.arange(50) + 0.5) / 25  # middles of cells
    a, b, s = np.meshgrid(*[edges] * 3, indexing="ij")
    grid = np.log(np.stack([a, b, s], axis=-1).reshape(-1, 3))
    weight = _System(d, PRIOR).log_density(grid) - grid.sum(axis=1)
    weight = np.exp(weight - weight.max())
    mean = (np.exp(grid) * weight[:, None]).sum(0) / weight.sum()
    np.testing.assert_allclose(spreads.mean(axis=1), mean, rtol=0.04)


def test_a_fit_converges_and_its_draws_do_not_depend_on_one_another():
    post = bs.fit_compression(bs.load_measurements(where="modality in (image, video)"), draws=400)
    verdict = bs.convergence(post)
    assert verdict.ok, str(verdict)
    assert verdict.table["ess_bulk"].min() > 800
    assert all(f["severity"] == "note" for f in json.loads(post.attrs["bayescale"])["findings"])


def test_the_same_seed_gives_the_same_draws_and_another_others():
    table = made_measurements()
    one, two, three = (bs.fit_compression(table, draws=250, random_seed=s) for s in (1, 1, 2))
    assert one.identical(two)
    assert not one["posterior"].dataset.equals(three["posterior"].dataset)


def test_known_parameters_lie_in_the_intervals_of_a_large_table():
    post = bs.fit_compression(made_measurements(25, 30, seed=4), draws=300)
    drawn = post["posterior"].dataset.quantile([0.005, 0.995], dim=("chain", "draw"))
    for name, truth in {"tokenizer_sd": 0.4, "material_sd": 0.2, "scatter": 0.1, "log_factor": 1.0}.items():
        low, high = drawn[f"{name}_text"].values
        assert low < truth < high, name


def test_an_error_of_measurement_is_not_taken_for_scatter():
    table = made_measurements(12, 12, scatter=0.02, error=0.2, seed=3)
    known = bs.fit_compression(table, draws=200)["posterior"]["scatter_text"].median().item()
    blind = bs.read_measurements(table.frame.assign(se_log=0.0))
    taken = bs.fit_compression(blind, draws=200)["posterior"]["scatter_text"].median().item()
    assert known < 0.1 < 0.17 < taken


def test_a_study_comes_back_from_its_file(tmp_path):
    post = bs.fit_compression(made_measurements(), draws=250)
    again = bs.open(bs.save(post, tmp_path / "factors.nc"))
    assert again.identical(post)
    assert bs.compression_factors(again).equals(bs.compression_factors(post))


def test_verbs_for_laws_point_to_those_for_factors():
    post = bs.fit_compression(made_measurements(), draws=250)
    with pytest.raises(bs.InputError, match="predict_compression"):
        bs.intervals(post)


def test_copies_of_a_tokenizer_are_warned_about():
    with pytest.warns(bs.BayescaleWarning, match=r"GPT-2 and RoBERTa \(text\)"):
        bs.fit_compression(
            bs.load_measurements(copies=True, where='tokenizer in ("GPT-2", RoBERTa, BLOOM, mT5)'), draws=250
        )


def test_what_the_rows_cannot_tell_is_said():
    table = bs.load_measurements(where="modality == video")
    [note] = json.loads(bs.fit_compression(table, draws=250).attrs["bayescale"])["findings"]
    assert "hardly a tokenizer was measured on several materials" in note["message"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"draws": 10}, "draws is 10"),
        ({"draws": True}, "draws is True"),
        ({"chains": 0}, "chains is 0"),
        ({"priors": {"txt": FactorPrior(1.0)}}, "priors names 'txt'"),
        ({"priors": {"text": FactorPrior(-1.0)}}, "positive numbers"),
        ({"priors": {"text": 3.0}}, "must be a FactorPrior"),
    ],
)
def test_bad_arguments_of_a_fit_are_refused(how, said):
    with pytest.raises(bs.InputError) as caught:
        bs.fit_compression(made_measurements(), **how)
    assert said in str(caught.value)


def test_only_a_table_of_measurements_is_fitted():
    with pytest.raises(bs.InputError, match="not DataFrame"):
        bs.fit_compression(made_measurements().frame)
    with pytest.raises(bs.InputError, match="empty"):
        bs.fit_compression(made_measurements().where("tokens < 0"))


def test_a_prior_of_the_users_own_is_taken():
    few = made_measurements(2, 1)
    narrow = {"text": FactorPrior(3.0, 1.0, 0.05, 0.05, 0.05)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        post = bs.fit_compression(few, priors=narrow, draws=250)
    assert post["posterior"]["tokenizer_sd_text"].max() < 0.4
    assert PRIORS["text", "bytes"].tokenizer_sd == 0.5
