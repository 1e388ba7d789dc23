"""Simulated runs say that they are, follow the laws they were drawn from, and never stand among real ones."""

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.errors import InputError
from bayescale.laws import find
from bayescale.runs.check import check_runs
from bayescale.simulated import native_multimodal_truth, simulate_native_multimodal


@pytest.fixture(scope="module")
def made():
    return simulate_native_multimodal()


def test_made_up_runs_say_so_in_every_row_and_place(made):
    assert made.source.startswith("simulated-")
    assert (made.frame["study"].str.startswith("simulated-")).all()
    assert (made.frame["simulated"] == 1).all()
    assert any("made up" in f.message for f in made.findings)
    told = bs.card("simulated-native-multimodal")
    assert "SIMULATED" in told.title
    assert all("SIMULATED" in note.meaning for note in told.metrics.values())


def test_the_design_is_that_of_the_paper(made):
    """Table 6, and 76 runs for each mixture and architecture (457 in all are printed)."""
    runs = made.frame.drop_duplicates(["family", "run_id"])
    assert (runs.groupby("family")["run_id"].count() == 76).all()
    assert len(runs) == 456
    assert set(runs["mixture"]) == {"45-45-10", "40-20-40", "30-30-40", "20-40-40"}
    assert runs["n_tokens"].min() == 2.5e9
    assert runs["n_active_params"].between(2.7e8, 3.8e9).all()
    late = runs[runs["architecture"] == "late"]
    assert late["n_params_vision"].between(4e7, 7e8).all()
    assert (runs.loc[runs["architecture"] != "late", "n_params_vision"] == 0).all()
    experts = runs[runs["architecture"] == "experts"]
    assert (experts["n_params"] > 3 * experts["n_active_params"]).all()
    assert not [f for f in check_runs(made.frame) if f.severity != "note"]


def test_losses_scatter_about_the_laws_as_stated(made):
    law, frame = find("chinchilla"), made.frame
    for truth in native_multimodal_truth().to_dict(orient="records"):
        rows = frame[
            (frame["family"] == f"{truth['architecture']} {truth['mixture']}")
            & (frame["eval_name"] == truth["target"])
        ]
        letters = {k: truth[k] for k in law.parameters}
        away = np.log(rows["value"] / law(rows["n_active_params"], rows["n_tokens"], **letters))
        assert abs(away.mean()) < 4 * 0.0108 / np.sqrt(76)
        assert away.std() == pytest.approx(0.0108, rel=0.3)


def test_reconstructed_laws_meet_what_they_were_worked_out_from():
    """At 1e21 FLOP: the printed frontier, and 56 tokens for each parameter."""
    law = find("chinchilla")
    truth = native_multimodal_truth().set_index(["architecture", "mixture", "target"])
    early = truth.loc[("early", "45-45-10", "average")]
    n = np.sqrt(1e21 / 6 / 56) * np.exp(np.linspace(-0.5, 0.5, 2001))
    loss = law(n, 1e21 / 6 / n, **{k: early[k] for k in law.parameters})
    best = n[loss.argmin()]
    assert 1e21 / 6 / best**2 == pytest.approx(56, rel=5e-3)
    assert loss.min() == pytest.approx(29.574 * 1e21**-0.0492, rel=1e-6)
    assert early["A"] == pytest.approx(2.7e2, rel=0.05)
    assert early["B"] == pytest.approx(1.9e3, rel=0.05)


@pytest.mark.published
def test_the_printed_law_of_experts_misses_its_printed_frontiers():
    """Table 12 gives 2.625 at 1e21 FLOP; the frontier of figure 26 gives 2.659, that of figure 9 2.709."""
    law = find("chinchilla")
    row = native_multimodal_truth().set_index("architecture").loc["experts"]
    assert row["amplitudes"] == "printed"
    n = np.geomspace(1e8, 1e10, 4001)
    least = law(n, 1e21 / 6 / n, **{k: float(row[k]) for k in law.parameters}).min()
    assert least == pytest.approx(2.625, abs=1e-3)
    frontiers = [27.086 * 1e21**-0.048, 26.287 * 1e21**-0.047]
    np.testing.assert_allclose(frontiers, [2.659, 2.709], atol=1e-3)


def test_a_seed_gives_the_same_runs_and_the_shipped_study_has_those_of_seed_0(made):
    assert made.frame.equals(simulate_native_multimodal().frame)
    assert not made.frame["value"].equals(simulate_native_multimodal(random_seed=1).frame["value"])
    shipped = bs.load_runs("simulated-native-multimodal", all_rows=True).frame
    pd.testing.assert_frame_equal(shipped, made.frame, check_dtype=False, rtol=1e-9)


@pytest.mark.parametrize("noise", [0, -0.1, 1.5, "small", True, float("nan")])
def test_an_impossible_noise_is_refused(noise):
    with pytest.raises(InputError, match="noise="):
        simulate_native_multimodal(noise=noise)


def test_simulated_runs_join_one_another_but_no_real_ones(made):
    other = simulate_native_multimodal(random_seed=1).frame.assign(study="simulated-again")
    assert len(made.join(bs.RunTable(other))) == 2 * len(made)
    real = bs.load_runs("datablations")
    for mixed in (lambda: made + real, lambda: real.join(made)):
        with pytest.raises(InputError, match=r"684 simulated runs.*never mixed"):
            mixed()


def test_a_catalogue_of_simulated_and_real_studies_is_refused():
    with pytest.raises(InputError, match="never mixed"):
        bs.load_runs("simulated-native-multimodal", "datablations")


@pytest.mark.parametrize("mark", [{"simulated": [1, 0]}, {"study": ["simulated-mine", "mine"]}])
def test_a_table_that_mixes_them_is_refused_at_reading(mark):
    frame = pd.DataFrame({"run_id": ["a", "b"], "value": [2.0, 3.0], "metric": "loss_nats"} | mark)
    with pytest.raises(InputError, match="1 simulated runs"):
        bs.read_runs(frame)


def test_rows_of_a_simulated_table_can_be_chosen_and_read_back(made, tmp_path):
    few = made.where(eval_name="text")
    again = bs.read_runs(few.export(tmp_path / "few.csv"))
    assert (again.frame["simulated"] == 1).all()
    assert len(again) == 76
