"""Tables with and without each modality, as a law with compression factors reads them."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import bayescale as bs
from bayescale.errors import InputError
from bayescale.laws import find
from bayescale.laws.compression import TYPICAL_BYTES_PER_TOKEN, in_tokens
from bayescale.model.density import Density, with_middle
from bayescale.model.spec import specify
from bayescale.model.structure import from_dict, to_dict

LAWS = ("compression_sum", "compression_slopes", "compression_log", "compression_power")


@cache
def runs(experiment="two", **options):
    return bs.simulate_compression(experiment, **({"families": 4, "runs": 8} | options))


def changed(table, **columns):
    return replace(table, frame=table.frame.assign(**columns))


def said(spec):
    return {f.code: (f.severity, f.message) for f in spec.findings}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("empty", ["absent", "zero", "NaN"])
def test_a_modality_without_bytes_is_left_out_of_the_law(law, empty):
    table = runs("text")
    if empty != "absent":
        table = changed(table, bytes_audio=0.0 if empty == "zero" else np.nan)
    spec = specify(table, law)
    assert spec.structure.law.inputs == ("n_params", "bytes_text")
    assert [k for k in spec.structure.law.parameters if k.startswith("C_")] == ["C_text"]
    again = from_dict(to_dict(spec.structure))
    assert again == spec.structure


def test_an_empty_cell_of_a_modality_is_none_of_it():
    table = runs()
    cells = table.frame["bytes_image"].to_numpy(copy=True)
    cells[:5] = np.nan
    spec = specify(
        changed(table, bytes_image=cells, bytes_text=np.full(len(table), 1e11)), "compression_power"
    )
    assert (spec.inputs["bytes_image"][:5] == 0).all()


def test_a_run_with_nothing_at_all_is_named():
    table = runs("text")
    cells = table.frame["bytes_text"].to_numpy(copy=True)
    cells[3] = 0.0
    name = table.frame["run_id"].iloc[3]
    with pytest.raises(InputError, match=f"1 rows have nothing in any of bytes_text: run {name}"):
        specify(changed(table, bytes_text=cells), "compression_log")


def test_negative_sizes_are_refused_under_any_name():
    frame = runs().frame.rename(columns={"bytes_text": "words", "bytes_image": "pictures"})
    frame.loc[2, "pictures"] = -1.0
    law = find("compression_power").only("n_params", "bytes_text", "bytes_image")
    with pytest.raises(InputError, match="'pictures' must be finite and not negative: run 'family 1 run 03'"):
        specify(replace(runs(), frame=frame), law.reading("n_params", "words", "pictures"))


def test_a_table_without_raw_sizes_is_told_what_would_do():
    table = replace(runs("text"), frame=runs("text").frame.drop(columns="bytes_text"))
    with pytest.raises(InputError, match=r"at least one of the columns bytes_text, bytes_audio.*it has: "):
        specify(table, "compression_power")


def test_counted_tokens_are_read_and_their_factor_is_held():
    frame = runs().frame
    tokens = frame["bytes_image"] / 700
    table = replace(runs(), frame=frame.drop(columns="bytes_image").assign(tokens_image=tokens))
    spec = specify(table, "compression_power")
    assert spec.structure.law.inputs == ("n_params", "bytes_text", "tokens_image")
    assert "C_image" not in spec.structure.law.parameters
    assert said(spec)["tokens-counted"][1].startswith("tokens_image: tokens are read as counted")
    assert from_dict(to_dict(spec.structure)) == spec.structure


def test_all_tokens_counted_is_chinchilla_on_their_sum():
    frame = runs().frame
    both = {"tokens_text": frame["bytes_text"] / 4, "tokens_image": frame["bytes_image"] / 700}
    table = replace(runs(), frame=frame.drop(columns=["bytes_text", "bytes_image"]).assign(**both))
    counted = specify(table, in_tokens("compression_power"))
    summed = specify(changed(table, n_tokens=both["tokens_text"] + both["tokens_image"]), "chinchilla")
    assert set(counted.structure.priors) == set(summed.structure.priors)
    for letter, prior in summed.structure.priors.items():
        assert counted.structure.priors[letter] == prior
    assert counted.structure.reference["tokens_text"] == summed.structure.reference["n_tokens"]


@pytest.mark.parametrize("law", LAWS)
def test_raw_sizes_share_one_reference_that_is_about_the_tokens_of_the_runs(law):
    filled = changed(
        runs(), bytes_text=runs().frame["bytes_text"] + 1e10, bytes_image=runs().frame["bytes_image"] + 1e12
    )
    spec = specify(filled, law)
    reference = spec.structure.reference
    assert reference["bytes_text"] == reference["bytes_image"]
    counted = sum(spec.inputs[f"bytes_{m}"] / TYPICAL_BYTES_PER_TOKEN[f"C_{m}"] for m in ("text", "image"))
    assert counted.min() < reference["bytes_text"] < counted.max()


def test_the_printed_law_has_no_reference_where_runs_lack_a_modality():
    reference = specify(runs(mixture="alone"), "compression_sum").structure.reference
    assert reference["bytes_text"] == reference["bytes_image"] == 1.0
    assert specify(runs(mixture="alone"), "compression_log").structure.reference["bytes_text"] > 1e6


def test_priors_far_from_the_runs_reach_the_values_of_the_runs():
    for law in ("compression_sum", "compression_slopes"):
        found = bs.prior_predictive(runs(mixture="alone"), law, noise=bs.Normal(on="value"), draws=500)
        low, high = found["value"].quantile([0.05, 0.95], ("draw", "run")).values
        assert low < found["observed"].values.min()
        assert high > found["observed"].values.max()
        assert high - low < 200 * np.ptp(found["observed"].values)


@pytest.mark.parametrize("law", ["compression_power"])
def test_the_loss_at_the_middle_of_the_runs_does_not_hang_on_raw_units(law):
    density = with_middle(Density(specify(runs(), law)))
    assert density.middle == "E"
    q = np.zeros(density.dim)
    assert density.blocks(q + 0.1)["E"] != density.blocks(q)["E"]
    assert density.centre[0] == 1.0
    assert min(density.centre[1:]) > 0


def test_what_mixtures_cannot_teach_is_said_before_the_fit():
    fixed = said(specify(runs(mixture="fixed"), "compression_power"))["fixed-mixture"]
    assert fixed[0] == "warning"
    assert "each family has one fixed mixture" in fixed[1]
    assert "C_text, C_image" in fixed[1]
    assert "Vary the mixture within a family" in fixed[1]
    assert "measurements" in fixed[1]
    assert "fixed-mixture" not in said(specify(runs(mixture="alone"), "compression_power"))


def test_one_mixture_for_all_runs_is_said_with_its_shares():
    frame = runs().frame
    table = changed(runs(), bytes_text=frame["n_params"] * 100, bytes_image=frame["n_params"] * 100 * 768 / 4)
    told = said(specify(table, "compression_log"))["fixed-mixture"][1]
    assert "all runs have one mixture (bytes_text 50% of tokens, bytes_image 50% of tokens)" in told


def test_a_modality_that_is_rare_everywhere_is_said():
    table = changed(
        runs(), bytes_text=np.full(len(runs()), 4e12), bytes_image=np.geomspace(1e10, 2e13, len(runs()))
    )
    told = said(specify(table, "compression_power"))["rare-modality"]
    assert told[0] == "warning"
    assert told[1].startswith("bytes_image is under 5% of the tokens in every run")


def test_one_modality_is_a_note_and_measurements_settle_all():
    assert said(specify(runs("text"), "compression_power"))["one-modality"][0] == "note"
    measured = bs.simulate_measurements("two")
    told = said(specify(runs(mixture="fixed"), "compression_power", measurements=measured))
    assert not {"fixed-mixture", "one-modality", "rare-modality"} & set(told)


def test_a_loss_that_rises_with_the_bytes_of_one_modality_is_no_fault_of_a_mixture():
    frame = runs().frame
    table = changed(runs(), bytes_image=1e12 * frame["value"] ** 8, bytes_text=4e12 / frame["value"] ** 12)
    assert "value-rises" not in said(specify(table, "compression_power"))


def test_tokenizers_of_runs_without_the_modality_need_no_name():
    table = runs(mixture="alone")
    none = (table.frame["bytes_image"] == 0).to_numpy()
    names = np.where(none, "", table.frame["tokenizer_image"].astype(str))
    spec = specify(
        changed(table, tokenizer_image=names), "compression_power", pool={"C_image": "tokenizer_image"}
    )
    assert none.any()
    assert spec.structure.labels["tokenizer_image"] == tuple(f"image tokenizer {i}" for i in (1, 2, 3))
