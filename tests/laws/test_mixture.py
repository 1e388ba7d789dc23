"""What laws of mixtures say at their ends: one domain alone, none of a domain, domains that change places."""

import numpy as np
import pytest
from examples_further import FURTHER

import bayescale as bs
from bayescale.laws import find
from bayescale.testing import synthetic_posterior

N, D = np.array([1e8, 1e9, 6e9]), np.array([4e9, 5e10, 2e11])
PAIR = FURTHER["mixed_modal"].parameters
MIXED = FURTHER["mixture_joint"].parameters


def test_runs_of_one_modality_follow_the_law_of_that_modality():
    law, chinchilla = find("mixed_modal"), find("chinchilla")
    for share, m in ((0.0, "i"), (1.0, "j")):
        alone = {k: PAIR[f"{k}_{m}"] for k in ("E", "A", "alpha", "B", "beta")}
        np.testing.assert_allclose(
            law(N, D, np.full(3, share), **PAIR), chinchilla(N, D, **alone), rtol=1e-14
        )


def test_a_pair_of_modalities_is_symmetric():
    law = find("mixed_modal")
    swapped = {k: PAIR[k if "ij" in k else k[:-1] + ("j" if k[-1] == "i" else "i")] for k in PAIR}
    share = np.array([0.2, 0.5, 1.0])
    np.testing.assert_allclose(law(N, D, share, **PAIR), law(N, D, 1 - share, **swapped), rtol=1e-14)


def test_synergy_and_competition_cancel_at_the_barrier():
    law = find("mixed_modal")
    n, d, share = 1e9, 5e10, 0.5
    alone = [law(n, d * 0.5, s, **PAIR) for s in (0.0, 1.0)]
    competition = PAIR["A_ij"] * n ** -PAIR["alpha_ij"] + PAIR["B_ij"] * d ** -PAIR["beta_ij"]
    at_barrier = PAIR | {"C_ij": competition}
    assert law(n, d, share, **at_barrier) == pytest.approx(np.mean(alone), rel=1e-14)
    assert law(n, d, share, **at_barrier | {"C_ij": 2 * competition}) < np.mean(alone)


def test_the_letters_of_a_modality_that_a_run_lacks_do_not_move_it():
    law, step = find("mixed_modal"), 1e-30
    for letter in ("E_j", "A_j", "alpha_j", "B_j", "beta_j", "C_ij", "A_ij", "beta_ij"):
        moved = law(N, D, np.zeros(3), **PAIR | {letter: PAIR[letter] + step * 1j})
        assert np.all(np.imag(moved) == 0), letter


def test_without_a_domain_its_letters_do_not_matter():
    law = find("mixture_joint")
    mixture = (np.full(3, 0.4), np.full(3, 0.6), np.zeros(3))
    other = MIXED | {"C3": 9.0, "gamma3": 0.1, "a3": 5.0, "b3": 0.2}
    np.testing.assert_allclose(law(N, D, *mixture, **MIXED), law(N, D, *mixture, **other), rtol=1e-14)


def best_mixture(law, n, d, parameters):
    grid = [(h, k, 1 - h - k) for h in np.linspace(0, 1, 41) for k in np.linspace(0, 1 - h, 41)]
    values = [law(n, d, *map(float, h), **parameters) for h in grid]
    return np.array(grid[int(np.argmin(values))])


def test_the_best_mixture_stays_under_the_additive_law_and_moves_under_the_joint_one():
    additive = FURTHER["mixture_additive"].parameters
    small, large = ((1e8, 1e10), (1e10, 1e12))
    law = find("mixture_additive")
    np.testing.assert_allclose(best_mixture(law, *small, additive), best_mixture(law, *large, additive))
    law = find("mixture_joint")
    moved = best_mixture(law, *small, MIXED) - best_mixture(law, *large, MIXED)
    assert np.abs(moved).max() > 0.05


def test_equal_weights_make_the_joint_law_the_additive_one():
    alike = MIXED | {"a2": 1.0, "a3": 1.0, "b2": 1.0, "b3": 1.0}
    mixture = (np.array([0.2, 0.5, 1.0]), np.array([0.5, 0.5, 0.0]), np.array([0.3, 0.0, 0.0]))
    additive = {k: MIXED[k] for k in find("mixture_additive").parameters}
    np.testing.assert_allclose(
        find("mixture_joint")(N, D, *mixture, **alike), find("mixture_additive")(N, D, *mixture, **additive)
    )


@pytest.mark.parametrize("law", ["mixed_modal", "domain_mixing", "data_mixing"])
def test_a_study_answers_for_runs_without_a_domain(law):
    post = synthetic_posterior(law, draws=50)
    rows = {name: np.full(3, {"n_params": 1e9, "n_tokens": 2e10}.get(name, 0.2)) for name in find(law).inputs}
    share = next(name for name in rows if name.startswith("share_"))
    found = bs.predict(post, rows | {share: np.array([0.0, 0.2, 0.9])}, kind="curve")
    assert np.isfinite(found["median"]).all()
    assert float(found["decades_beyond"].max()) == 0
    with pytest.raises(bs.InputError, match=rf"{share}.*from 0 to 1"):
        bs.predict(post, rows | {share: 30.0})
    assert set(bs.intervals(post)) >= set(find(law).parameters) - {"E_i"}


def test_no_share_is_told_to_span_decades(recwarn):
    rng = np.random.default_rng(0)
    share = rng.choice([0.0, 0.25, 0.5], 24)
    table = {
        "n_params": 10 ** rng.uniform(7.5, 10, 24),
        "n_tokens": 10 ** rng.uniform(9, 11.5, 24),
        "share_text": 1 - share,
        "share_image": share,
        "value": rng.uniform(2, 3, 24),
    }
    from bayescale.model.spec import specify

    spec = specify(bs.read_runs(table), "mixed_modal")
    assert spec.structure.reference["share_image"] == 1.0
    told = [f for f in spec.findings if "share" in f.message and f.severity != "note"]
    assert not told
    constant = specify(
        bs.read_runs(table | {"share_image": [0.25] * 24, "share_text": [0.75] * 24}), "mixed_modal"
    )
    assert any("'share_image' is constant" in f.message for f in constant.findings)


def test_along_a_size_the_shares_of_one_run_are_held_together():
    post = synthetic_posterior("mixture_additive", draws=50)
    runs = post["constant_data"].to_dataset()
    curve = bs.curve(post, over="n_params", points=5)
    held = {k: curve[f"held_{k}"].values for k in find("mixture_additive").inputs if k.startswith("share_")}
    assert all(len(set(values)) == 1 for values in held.values())
    mixtures = {tuple(float(runs[k][i]) for k in held) for i in range(runs.sizes["run"])}
    assert tuple(float(values[0]) for values in held.values()) in mixtures
    alone = {"share_text": 1.0, "share_image": 0.0, "share_interleaved": 0.0}
    assert np.isfinite(bs.curve(post, over="n_params", points=5, at=alone)["median"]).all()
    with pytest.raises(bs.InputError, match="levels lie from 0 to 1"):
        bs.curve(post, over="n_params", points=5, at={"share_text": 40})
