"""The misfit of a law: its path, its coordinates, and what it leaves alone."""

import json

import numpy as np
import pytest
from small_runs import small_runs
from test_model_contract import central_difference, points_of, pymc_log_density

import bayescale as bs
from bayescale.errors import InputError
from bayescale.model.density import Density, with_middle
from bayescale.model.drift import (
    WEIGHTS,
    Bends,
    _stretch,
    axes_for,
    bends_at,
    beyond,
    conditional,
    held_near,
    per_bend,
    slopes,
)
from bayescale.model.misfit import with_drift
from bayescale.model.noise import log_slope
from bayescale.model.spec import specify

LAWS = {"chinchilla": None, "power_compute": None, "chinchilla_shared": {"A": "family"}}


def drifting(law="chinchilla", pool=None, **options):
    return Density(with_drift(specify(small_runs(law), law, pool=pool, **options), "drift"))


@pytest.mark.parametrize("law", LAWS)
def test_pymc_and_numpy_give_one_log_density(law):
    density = drifting(law, LAWS[law])
    evaluate, points = pymc_log_density(density.spec), points_of(density, 3)
    expected, found = [], []
    at = density.slices[WEIGHTS][1]
    for q in points:
        blocks = density.blocks(q)
        bends = density.spec.structure.drift
        named = q.copy()
        named[at : at + len(bends.labels)] = blocks[WEIGHTS]
        expected.append(evaluate(named))
        found.append(float(density(q)) - float(np.log(conditional(bends, blocks)[1]).sum()))
    jacobian = float(np.sum(log_slope("log", density.spec.value)))
    np.testing.assert_allclose(np.array(found) - jacobian, expected, rtol=1e-8)


@pytest.mark.parametrize("law", LAWS)
def test_gradients_are_those_of_differences(law):
    density = with_middle(drifting(law, LAWS[law]))
    for q in points_of(density, 2):
        np.testing.assert_allclose(
            density.gradient(q)[1], central_difference(density, q), rtol=2e-4, atol=2e-3
        )


def test_flattened_unknowns_come_back():
    density = with_middle(drifting())
    q = points_of(density, 1)[0]
    np.testing.assert_allclose(density.flatten(density.blocks(q)), q, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("parts", [40, 400])
def test_stretches_add_up_to_an_integrated_random_walk(parts):
    ends = np.linspace(0, 2, parts + 1)
    place = np.array([0.5, 1.0, 2.0, 3.0])
    variance = sum(_stretch(place, a, b) ** 2 for a, b in zip(ends[:-1], ends[1:], strict=True))
    inside = np.minimum(place, 2.0)
    exact = (place**3 - (place - inside) ** 3) / 3
    np.testing.assert_allclose(variance, exact, rtol=3 / parts)


def test_bends_leave_to_the_law_what_the_law_can_do():
    density = drifting(priors={"E": bs.between(0.1, 10.0)})
    s, spec = density.spec.structure, density.spec
    bends = bends_at(s.drift, s.law, s.reference, spec.inputs, "log")
    steep = slopes(s.law, s.reference, spec.inputs, "log", s.drift.tangent)
    share = np.abs(np.corrcoef(np.hstack([bends, steep]).T)[: bends.shape[1], bends.shape[1] :])
    raw = Bends.from_dict(s.drift.to_dict() | {"taken_out": np.zeros((5, bends.shape[1])).tolist()})
    straight = bends_at(raw, s.law, s.reference, spec.inputs, "log")
    before = np.abs(np.corrcoef(np.hstack([straight, steep]).T)[: bends.shape[1], bends.shape[1] :])
    assert np.median(share) < 0.35 * np.median(before)


def test_a_path_beyond_the_runs_is_the_same_in_every_question():
    s = drifting().spec.structure
    sizes = [np.full(50, 0.1), np.full(50, 0.2)]
    far = {"n_params": np.array([1e11, 1e12, 1e13]), "n_tokens": np.array([1e12, 1e14, 1e14])}
    together = beyond(s.drift, far, sizes)
    for i in range(3):
        alone = beyond(s.drift, {k: v[i : i + 1] for k, v in far.items()}, sizes)
        np.testing.assert_allclose(alone[:, 0], together[:, i])
    assert np.ptp(together[:, 2]) > np.ptp(together[:, 0]) > 0


def test_among_the_runs_nothing_lies_beyond():
    density = drifting()
    found = beyond(density.spec.structure.drift, density.spec.inputs, [np.ones(5), np.ones(5)])
    assert not found.any()


def test_inputs_held_near_the_runs_keep_their_compute():
    bends = drifting().spec.structure.drift
    wild = {"n_params": np.array([1e3, 1e9, 1e15]), "n_tokens": np.array([1e18, 2e10, 1e6])}
    held = held_near(bends, wild)
    np.testing.assert_allclose(held["n_params"] * held["n_tokens"], wild["n_params"] * wild["n_tokens"])
    place = bends.axes[1].at(held)
    assert (place <= bends.axes[1].above[-1] + 1e-9).all()
    assert (place >= -bends.axes[1].below[-1] - 1e-9).all()


def test_the_size_along_compute_leans_on_the_other():
    bends = drifting().spec.structure.drift
    small, large = (
        per_bend(bends, {"drift": np.array(q), "drift_compute": np.array(1.0)}) for q in (0.05, 0.2)
    )
    compute = np.array(bends.axis) == 0
    np.testing.assert_allclose((large / small)[compute], 2.0)
    np.testing.assert_allclose((large / small)[~compute], 4.0)


def test_bends_survive_json():
    bends = drifting().spec.structure.drift
    assert Bends.from_dict(json.loads(json.dumps(bends.to_dict()))) == bends


def test_a_law_without_a_scale_cannot_drift():
    assert axes_for(bs.law(inputs=("n_experts",), name="only_experts")(_only_experts), {}) == ()


def _only_experts(e, *, A: "bs.laws.Amplitude"):
    return A / e


@pytest.mark.parametrize("wrong", ["gp", 3, True])
def test_an_unknown_discrepancy_is_refused_with_those_that_exist(wrong):
    with pytest.raises(InputError, match="'auto', 'drift'.*None"):
        with_drift(specify(small_runs("chinchilla"), "chinchilla"), wrong)


def test_noise_without_a_scatter_cannot_carry_a_drift():
    score = small_runs("chinchilla", value=np.linspace(0.2, 0.9, 24), metric=["accuracy"] * 24)
    spec = specify(score, "chinchilla", noise="beta")
    with pytest.raises(InputError, match="Beta noise.*logit_normal"):
        with_drift(spec, "drift")
    assert with_drift(spec, "auto") is spec


def test_auto_takes_the_drift_where_it_was_backtested():
    """Unpooled and pooled over families; not over other columns, where asking for it gives it."""
    runs = small_runs("chinchilla")
    plain = specify(runs, "chinchilla")
    assert with_drift(plain, None) is plain
    assert with_drift(plain, "auto").structure.drift is not None
    families = specify(runs, "chinchilla", pool={"A": "family"})
    assert with_drift(families, "auto").structure.drift is not None
    frame = runs.frame.assign(seed=np.arange(len(runs)) % 2)
    seeds = specify(bs.read_runs(frame), "chinchilla", pool={"A": "seed"})
    assert with_drift(seeds, "auto") is seeds
    assert with_drift(seeds, "drift").structure.drift is not None
