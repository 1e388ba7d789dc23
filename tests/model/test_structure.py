import json

import numpy as np
import pytest
from small_runs import FAMILIES, LAWS, small_columns, small_runs

import bayescale as bs
from bayescale.errors import InputError
from bayescale.model.density import Density
from bayescale.model.spec import specify
from bayescale.model.structure import from_dict, group_values, row_parameters, to_dict
from bayescale.priors import Prior

EVALS = [f"set {i % 2}" for i in range(24)]


def drawn_blocks(structure, draws=7, seed=0):
    """A few draws of every unknown, groups last."""
    rng = np.random.default_rng(seed)
    return {
        b.name: rng.normal(size=(draws, b.size)) if b.factor else b.prior.sample(rng, draws)
        for b in structure.blocks
    }


@pytest.mark.parametrize("pool", [None, "family", {"E": ["family", "eval_name"]}, {"E": "family/eval_name"}])
def test_a_structure_comes_back_from_its_json(pool):
    structure = specify(small_runs(eval_name=EVALS), "chinchilla", pool=pool).structure
    again = from_dict(json.loads(json.dumps(to_dict(structure))))
    assert again == structure


@pytest.mark.parametrize("law", LAWS)
def test_every_laws_structure_comes_back_from_its_json(law):
    structure = specify(small_runs(law), law, pool="family").structure
    assert from_dict(json.loads(json.dumps(to_dict(structure)))) == structure


@pytest.mark.parametrize("noise", [bs.StudentT(nu=4.0), bs.StudentT(on="value"), bs.Normal(), bs.Laplace()])
def test_the_noise_comes_back_with_its_options(noise):
    structure = specify(small_runs(), "chinchilla", noise=noise).structure
    assert from_dict(to_dict(structure)).noise == noise


def test_a_law_read_from_other_columns_comes_back_reading_them():
    law = bs.laws.find("power_data").reading("flops")
    structure = specify(small_runs(), law).structure
    again = from_dict(to_dict(structure)).law
    assert again.inputs == ("flops",)


def test_a_law_that_is_not_defined_here_is_named_with_what_it_reads_and_learns():
    stored = to_dict(specify(small_runs(), "chinchilla").structure) | {"law": "of_the_neighbour"}
    with pytest.raises(
        InputError, match=r"'of_the_neighbour'.*E, A, alpha, B, beta.*n_params.*@bayescale\.law"
    ):
        from_dict(stored)


def test_a_law_of_that_name_with_other_parameters_is_refused():
    stored = to_dict(specify(small_runs(), "chinchilla").structure)
    stored["parameters"] = {"E": "irreducible", "gamma": "exponent"}
    with pytest.raises(InputError, match=r"'chinchilla' defined here learns .*but this study.*'gamma'"):
        from_dict(stored)


def test_an_unknown_noise_in_a_file_is_refused():
    stored = to_dict(specify(small_runs(), "chinchilla").structure) | {"noise": {"type": "os.system"}}
    with pytest.raises(InputError, match=r"noise part 'os\.system' is not known"):
        from_dict(stored)


def test_values_of_crossed_groups_are_those_worked_out_by_hand():
    structure = specify(
        small_runs(eval_name=EVALS), "chinchilla", pool={"alpha": ["family", "eval_name"]}
    ).structure
    blocks = drawn_blocks(structure)
    found = group_values(structure, "alpha", blocks)
    assert structure.dims("alpha") == ("family", "eval_name")
    assert found.shape == (7, 3, 2)
    for draw in range(7):
        for f in range(3):
            for e in range(2):
                by_hand = blocks["alpha_population"][draw] * np.exp(
                    blocks["alpha_sd_family"][draw] * blocks["alpha_offset_family"][draw, f]
                    + blocks["alpha_sd_eval_name"][draw] * blocks["alpha_offset_eval_name"][draw, e]
                )
                assert found[draw, f, e] == pytest.approx(by_hand, rel=1e-12)


def test_values_of_nested_groups_are_those_worked_out_by_hand():
    structure = specify(small_runs(eval_name=EVALS), "chinchilla", pool={"E": "family/eval_name"}).structure
    blocks, pairs = drawn_blocks(structure), structure.labels["family:eval_name"]
    assert structure.dims("E") == ("family:eval_name",)
    assert pairs[:2] == ("llama : set 0", "llama : set 1")
    found = group_values(structure, "E", blocks)
    for i, pair in enumerate(pairs):
        f = FAMILIES.index(pair.split(" : ")[0])
        shift = (
            blocks["E_sd_family"] * blocks["E_offset_family"][:, f]
            + blocks["E_sd_family:eval_name"] * blocks["E_offset_family:eval_name"][:, i]
        )
        np.testing.assert_allclose(found[:, i], blocks["E_population"] * np.exp(shift), rtol=1e-12)


@pytest.mark.parametrize("pool", ["family", {"alpha": ["family", "eval_name"]}, {"E": "family/eval_name"}])
def test_a_rows_parameters_are_those_of_its_groups(pool):
    spec = specify(small_runs(eval_name=EVALS), "chinchilla", pool=pool)
    structure, frame = spec.structure, small_runs(eval_name=EVALS).frame
    blocks = drawn_blocks(structure)
    rows = row_parameters(structure, blocks, spec.index)
    for letter in structure.pool:
        values = group_values(structure, letter, blocks)
        for i in range(24):
            place = tuple(
                structure.labels[dim].index(" : ".join(str(frame[c].iloc[i]) for c in dim.split(":")))
                for dim in structure.dims(letter)
            )
            np.testing.assert_allclose(rows[letter][:, i], values[(slice(None), *place)], rtol=1e-12)


def test_centred_offsets_are_effects_and_uncentred_ones_are_shares_of_the_spread():
    from dataclasses import replace

    structure = specify(small_runs(), "chinchilla", pool={"alpha": "family"}).structure
    blocks = drawn_blocks(structure)
    centred = replace(structure, centring={"alpha_offset_family": (1.0, 0.5, 0.0)})
    found = np.log(group_values(centred, "alpha", blocks) / blocks["alpha_population"][:, None])
    sd, offset = blocks["alpha_sd_family"][:, None], blocks["alpha_offset_family"]
    np.testing.assert_allclose(found, sd ** np.array([0.0, 0.5, 1.0]) * offset, rtol=1e-10)


def test_one_group_is_left_out_and_said():
    spec = specify(small_runs(family=["llama"] * 24), "chinchilla", pool={"alpha": "family"})
    assert spec.structure.pool == {}
    assert spec.structure.labels == {}
    assert not [n for n in Density(spec).names if "offset" in n or "_sd_" in n]
    said = [f for f in spec.findings if f.code == "one-group"]
    assert len(said) == 1
    assert "one group only (llama)" in said[0].message


def test_one_group_beside_a_real_factor_leaves_the_real_one():
    spec = specify(small_runs(eval_name=["one"] * 24), "chinchilla", pool={"alpha": ["family", "eval_name"]})
    assert spec.structure.pool == {"alpha": ("family",)}


def test_a_word_for_pool_pools_every_parameter():
    structure = specify(small_runs(), "chinchilla", pool="family").structure
    assert structure.pool == dict.fromkeys(structure.law.parameters, ("family",))


@pytest.mark.parametrize(
    ("pool", "pattern"),
    [
        ({"gamma": "family"}, r"'gamma'.*does not learn.*E, A, alpha, B, beta"),
        ({"alpha": "tribe"}, r"'tribe'"),
        ({"alpha": 3}, r"column name or a list"),
        ("tribe", r"'tribe'"),
    ],
)
def test_pooling_over_what_is_not_there_is_refused(pool, pattern):
    with pytest.raises(InputError, match=pattern):
        specify(small_runs(), "chinchilla", pool=pool)


def test_samples_stand_in_for_tokens_where_there_are_none():
    columns = small_columns()
    samples = columns.pop("n_tokens")
    del columns["tokens_unique"], columns["flops"]
    spec = specify(bs.read_runs(columns | {"n_samples": samples}), "chinchilla")
    assert spec.structure.columns == {"n_params": "n_params", "n_tokens": "n_samples"}
    np.testing.assert_array_equal(spec.inputs["n_tokens"], samples)


def test_active_parameters_stand_in_for_all_of_them():
    columns = small_columns()
    spec = specify(bs.read_runs(columns | {"n_active_params": columns["n_params"] / 4}), "chinchilla")
    assert spec.structure.columns["n_params"] == "n_active_params"
    np.testing.assert_allclose(spec.inputs["n_params"], columns["n_params"] / 4)
    assert not [f for f in spec.findings if f.code == "prior-excludes-data"]


def test_inputs_are_divided_by_their_geometric_middle():
    spec = specify(small_runs(), "chinchilla")
    for scaled, column in zip(spec.scaled, ("n_params", "n_tokens"), strict=True):
        assert np.exp(np.mean(np.log(scaled))) == pytest.approx(1.0, rel=0.01)
        np.testing.assert_allclose(scaled * spec.structure.reference[column], spec.inputs[column])


def test_unique_tokens_share_the_reference_of_all_tokens():
    reference = specify(small_runs("data_constrained"), "data_constrained").structure.reference
    assert reference["tokens_unique"] == reference["n_tokens"]


def test_a_law_of_no_known_units_keeps_raw_inputs():
    from bayescale.laws import Exponent, Irreducible
    from bayescale.laws.kinds import kind_of
    from bayescale.laws.law import Law

    def odd(c, *, E: Irreducible, alpha: Exponent):
        return E + alpha / (1 + c**2 + c)

    import inspect

    kinds = {
        p.name: kind_of(p, "odd", {})
        for p in inspect.signature(odd).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    }
    law = Law("odd", odd, ("flops",), kinds)
    if law.carries_units:
        pytest.fail("the law of this test was meant to have no rule for its units")
    assert specify(small_runs(), law).structure.reference == {"flops": 1.0}


def test_priors_are_named_by_letter_at_the_reference_too():
    structure = specify(
        small_runs(), "chinchilla", priors={"A_ref": Prior("Gamma", alpha=2, beta=4)}
    ).structure
    assert structure.priors["A"] == Prior("Gamma", alpha=2, beta=4)


def test_priors_of_spreads_and_of_the_noise_are_taken():
    given = {"alpha_sd_family": Prior("HalfNormal", sigma=0.05), "sigma": bs.between(0.001, 0.1)}
    structure = specify(small_runs(), "chinchilla", pool={"alpha": "family"}, priors=given).structure
    assert structure.priors["alpha_sd_family"] == Prior("HalfNormal", sigma=0.05)
    assert structure.priors["sigma"].distribution == "LogNormal"


@pytest.mark.parametrize(
    ("priors", "pattern"),
    [
        ({"gamma": Prior("Normal")}, r"'gamma', which is not learnt here. Learnt: E, A"),
        ({"alpha_sd_family": Prior("HalfNormal")}, r"'alpha_sd_family', which is not learnt"),
        ({"sigma": Prior("Cauchy")}, r"prior of 'sigma'.*reaches values"),
        ({"alpha": 0.3}, r"prior of 'alpha': 0.3 is no prior"),
    ],
)
def test_priors_that_cannot_be_are_refused_by_name(priors, pattern):
    with pytest.raises(InputError, match=pattern):
        specify(small_runs(), "chinchilla", priors=priors)


def test_a_floor_above_every_loss_is_refused_before_any_sampling():
    with pytest.raises(InputError, match=r"prior of E.*largest loss.*prior median 49.98"):
        specify(small_runs(), "chinchilla", priors={"E": Prior("LogNormal", mu=np.log(50), sigma=0.01)})


def test_a_floor_that_some_losses_leave_room_for_is_taken():
    wide = Prior("LogNormal", mu=np.log(2.0), sigma=0.5)
    assert specify(small_runs(), "chinchilla", priors={"E": wide}).structure.priors["E"] == wide


def test_an_unknown_law_is_refused_with_its_neighbour():
    with pytest.raises(InputError, match=r"'chincilla'. Did you mean 'chinchilla'"):
        specify(small_runs(), "chincilla")


def test_an_absent_column_is_named_with_the_law_that_reads_it():
    columns = small_columns()
    del columns["tokens_unique"]
    with pytest.raises(InputError, match=r"data_constrained.*tokens_unique"):
        specify(bs.read_runs(columns), "data_constrained")
