"""Laws as printed: exact values, what is missing or corrected, and what a user may ask wrongly."""

import math
import re
from importlib.resources import files

import numpy as np
import pytest

import bayescale as bs
from bayescale.laws import find
from bayescale.laws.pure import pure_range

ROWS = [(row.key, row.variant) for row in bs.published().itertuples()]
WHOLE = [(key, variant) for key, variant in ROWS if not bs.published(key, variant).missing]
USUAL = {
    "n_params": 1e9,
    "n_tokens": 2e10,
    "tokens_unique": 1e10,
    "flops": 1e20,
    "n_vision_tokens": 64,
    "n_experts": 64,
    "granularity": 8,
    "sparsity": 0.875,
    "validation_loss": 3.0,
    "tokens_finetune": 1e6,
    "step": 1e4,
    "n_params_nonembed": 3e8,
    "n_params_vocab": 3e7,
    "chars_text": 2e10,
}


def at_usual(law):
    return {name: USUAL[name] for name in law.inputs}


@pytest.mark.parametrize(
    ("inputs", "value"),
    [
        ({"n_params": 6.34e9, "n_tokens": 242e9, "tokens_unique": 25e9}, 2.2256440889984477),
        ({"n_params": 8.67e9, "n_tokens": 178e9, "tokens_unique": 25e9}, 2.2269634075087867),
    ],
)
def test_repeated_data_give_the_authors_own_numbers(inputs, value):
    assert bs.published("muennighoff2023")(**inputs) == pytest.approx(value, rel=1e-14, abs=0)


def test_chinchilla_gives_what_its_paper_says_of_its_own_model():
    assert bs.published("hoffmann2022")(n_params=70e9, n_tokens=1.4e12) == pytest.approx(1.9366, abs=5e-5)


# Formulas and coefficients as their papers print them, written out here once more.
PRINTED = {
    ("hoffmann2022", None): lambda n_params, n_tokens: 1.69 + 406.4 / n_params**0.34 + 410.7 / n_tokens**0.28,
    ("besiroglu2024", "rounded"): lambda n_params, n_tokens: (
        1.8172 + 482.01 / n_params**0.3478 + 2085.43 / n_tokens**0.3658
    ),
    ("kaplan2020", None): lambda n_params, n_tokens: (
        ((6.4e13 / n_params) ** (0.076 / 0.103) + 1.8e13 / n_tokens) ** 0.103
    ),
    ("kaplan2020", "compute"): lambda flops: (3.1e8 / (flops / 8.64e19)) ** 0.05,
    ("gadre2024", "RedPajama error"): lambda validation_loss: (
        0.857 - 2.206 * math.exp(-0.715 * validation_loss)
    ),
    ("henighan2020", "image 32x32"): lambda n_params: 2.20 + (63 / n_params) ** 0.13,
    ("henighan2020", "video vq 16x16x16, compute"): lambda flops: 0.95 + (2.2e-5 / (flops / 8.64e19)) ** 0.14,
    ("henighan2020", "math extrapolate, best size"): lambda flops: (flops / 8.64e19 / 2.3e-12) ** 0.69,
    ("clark2022", "S-BASE"): lambda n_params, n_experts: clark(
        n_params, n_experts, -0.082, -0.108, 0.009, 1.104, 1.847, 314.478
    ),
    ("clark2022", "HASH"): lambda n_params, n_experts: clark(
        n_params, n_experts, -0.087, -0.136, 0.012, 1.157, 4.175, 477.741
    ),
    ("clark2022", "dense"): lambda n_params: (3.568e13 / n_params) ** 0.078,
    ("krajewski2024", None): lambda n_params, n_tokens, granularity: (
        0.47 + (2.1 / granularity**0.58 + 18.1) / n_params**0.115 + 30.8 / n_tokens**0.147
    ),
    ("abnar2025", None): lambda n_params, n_tokens, sparsity: (
        16612.5 / n_params**0.5962
        + 5455.67 / n_tokens**0.3954
        + 0.4598 / (1 - sparsity) ** -0.1666
        + 17.26 / ((1 - sparsity) ** 0.1603 * n_params**0.1595)
        + 0.94
    ),
    ("shukor2025", "experts 45-45-10 average"): lambda n_params, n_tokens: (
        2.158 + 381773 / n_params**0.710 + 4659 / n_tokens**0.372
    ),
    ("shukor2025", "frontier late 45-45-10 average"): lambda flops: 29.923 * flops**-0.0494,
    ("li2025", "OCRBench"): lambda n_vision_tokens: 60.2715 / n_vision_tokens**-0.3727,
    ("li2025", "RealWorldQA, no question"): lambda n_vision_tokens: 46.893 / n_vision_tokens**0.0335,
    ("tao2024", None): lambda n_params_nonembed, n_params_vocab, chars_text: (
        -5.533
        + 1.831 / (n_params_nonembed / 1e6) ** 0.447
        + 0.196 / (n_params_vocab / 1e6) ** 0.671
        + 2.124 / (chars_text / 1e9) ** 0.447
    ),
    ("hernandez2021", None): lambda tokens_finetune, n_params: 1.9e4 * tokens_finetune**0.18 * n_params**0.38,
    ("deepseek2024", "tokens"): lambda flops: 5.8316 * flops**0.4757,
    ("grattafiori2024", None): lambda flops: 0.29 * flops**0.53,
    ("rokosbasilisk2025", "image"): lambda n_params, step: 0.38 + 2 / n_params**0.15 + 60 / step**0.86,
}


def clark(n, e, a, b, c, d, e_start, e_max):
    e_hat = 1 / (1 / (e - 1 + 1 / (1 / e_start - 1 / e_max)) + 1 / e_max)
    x, y = math.log10(n), math.log10(e_hat)
    return 10 ** (a * x + b * y + c * x * y + d)


@pytest.mark.parametrize(("key", "variant"), PRINTED)
def test_a_printed_law_is_its_printed_formula(key, variant):
    law = bs.published(key, variant)
    inputs = at_usual(law.law)
    assert law(**inputs) == pytest.approx(PRINTED[key, variant](**inputs), rel=1e-12)


def test_over_training_meets_the_released_runs_it_was_fitted_to():
    runs = bs.load_runs("gadre-overtraining").frame
    for data, name in (("c4_original", "C4"), ("rpj", "RedPajama"), ("rw_original", "RefinedWeb")):
        law, mine = bs.published("gadre2024", name), runs[runs["family"] == f"openlm-{data}"]
        small = mine[(mine["n_params"] < 5e8) & ((mine["n_tokens"] / mine["n_params"]).between(19.5, 20.5))]
        assert len(small) == 4
        fitted = law(n_params=small["n_params"].to_numpy(), n_tokens=small["n_tokens"].to_numpy())
        np.testing.assert_allclose(fitted, small["value"], atol=0.02)


@pytest.mark.parametrize(("key", "variant"), WHOLE)
def test_every_whole_law_has_a_value_and_falls_or_rises_as_its_law_does(key, variant):
    known = bs.published(key, variant)
    inputs = at_usual(known.law) | {
        c: math.sqrt(low * high) for c, (low, high) in known.domain.items() if low
    }
    value = known(**inputs)
    assert math.isfinite(value)
    for sign, columns in ((-1, known.law.falls_with), (1, known.law.rises_with)):
        for column in columns:
            if pure_range(column) is None:
                assert sign * (known(**inputs | {column: 1.5 * inputs[column]}) - value) >= 0


@pytest.mark.parametrize(("key", "variant"), ROWS)
def test_every_row_names_letters_and_columns_of_its_law(key, variant):
    known = bs.published(key, variant)
    assert set(known.parameters) <= set(known.law.parameters)
    assert set(known.domain) <= set(known.law.inputs)
    assert all(low < high for low, high in known.domain.values())
    assert known.unit
    assert re.search(r"\b(19|20)\d\d\b", known.citation)


def test_every_source_is_in_the_bibliography():
    text = (files("bayescale") / "references.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{(\w+),", text, flags=re.MULTILINE)
    assert set(bs.published()["key"]) <= set(keys)


def test_the_table_lists_every_variant_and_what_it_lacks():
    table = bs.published()
    assert table["key"].nunique() >= 20
    assert not table.duplicated(["key", "variant"]).any()
    lacking = table.set_index("key").loc["aghajanyan2023", "missing"]
    assert set(lacking) == {"E, A, B"}


def test_frontiers_of_three_targets_average_to_that_of_their_mean():
    for mixture in ("early 45-45-10", "early 40-20-40", "early 30-30-40", "early 20-40-40"):
        of = {t: bs.published("shukor2025", f"frontier {mixture} {t}")(flops=1e21) for t in TARGETS}
        assert np.mean([of[t] for t in TARGETS[1:]]) == pytest.approx(of["average"], abs=0.012)


TARGETS = ("average", "text", "image-caption", "interleaved")


@pytest.mark.parametrize(
    ("key", "variant", "says"),
    [
        ("hoffmann2022", None, "besiroglu2024"),
        ("shukor2025", "experts sparsity", "Degenerate"),
        ("clark2022", "HASH", "trade off"),
        ("li2024", None, "not identified"),
        ("cherti2022", "ImageNet, OpenAI", "Three models"),
        ("li2025", "COCO VAL CIDEr", "does not fit"),
    ],
)
def test_what_speaks_against_a_law_is_said_with_it(key, variant, says):
    known = bs.published(key, variant)
    assert says in " ".join(known.caveats)
    assert says in repr(known)


def test_the_sparsity_law_of_the_multimodal_paper_contradicts_its_own_plain_law():
    plain = bs.published("shukor2025", "experts 45-45-10 average").parameters["E"]
    sparse = bs.published("shukor2025", "experts sparsity").parameters
    assert sparse["e"] + sparse["c"] == pytest.approx(plain, abs=1e-3)
    assert sparse["e"] + sparse["c"] / (1 - 7 / 8) ** sparse["lam"] > plain + 0.4


def test_a_law_without_all_its_letters_says_which_and_what_to_take_instead():
    known = bs.published("shukor2025")
    assert known.missing == ("A", "B")
    with pytest.raises(bs.InputError, match=r"does not give A, B .*frontier"):
        known(n_params=1e9, n_tokens=1e11)
    with pytest.raises(bs.InputError, match="does not give E, A, B"):
        bs.published("aghajanyan2023", "image")(n_params=1e9, n_tokens=1e11)


def test_arrays_of_any_kind_come_back_in_their_shape():
    import xarray as xr

    law = bs.published("hoffmann2022")
    sizes = [1e9, 2e9, 4e9]
    expected = [law(n_params=n, n_tokens=1e11) for n in sizes]
    np.testing.assert_allclose(law(n_params=sizes, n_tokens=1e11), expected, rtol=1e-15)
    np.testing.assert_allclose(
        law(n_params=np.array(sizes, dtype=int), n_tokens=10**11), expected, rtol=1e-15
    )
    labelled = law(
        n_params=xr.DataArray(sizes, dims="size"), n_tokens=xr.DataArray([1e10, 1e11], dims="data")
    )
    assert labelled.dims == ("size", "data")
    assert isinstance(law(n_params=10**9, n_tokens=10**11), float)


def test_active_parameters_stand_in_as_they_do_in_a_fit():
    law = bs.published("hoffmann2022")
    assert law(n_active_params=1e9, n_tokens=1e11) == law(n_params=1e9, n_tokens=1e11)


def test_a_share_may_be_zero_and_a_size_may_not():
    assert math.isfinite(bs.published("abnar2025")(n_params=1e9, n_tokens=1e11, sparsity=0.0))
    with pytest.raises(bs.InputError, match="n_params=0 must be a positive number"):
        bs.published("abnar2025")(n_params=0, n_tokens=1e11, sparsity=0.0)


def test_far_beyond_the_runs_there_is_a_warning():
    with pytest.warns(bs.BayescaleWarning, match=r"n_tokens is 20 times beyond the runs"):
        bs.published("hoffmann2022")(n_params=1e9, n_tokens=1e13)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: bs.published("hofmann2022"), r"Did you mean 'hoffmann2022'"),
        (
            lambda: bs.published("chinchilla"),
            r"no published law called 'chinchilla'.*There are: hoffmann2022",
        ),
        (lambda: bs.published(2022), r"called 2022"),
        (lambda: bs.published("henighan2020", "image 8 x 8"), r"Did you mean 'image 8x8'"),
        (lambda: bs.published(variant="C4"), r"name it"),
        (lambda: bs.published("hoffmann2022")(n_params=1e9), r"also reads n_tokens, which is missing"),
        (
            lambda: bs.published("hoffmann2022")(n=1e9, n_tokens=1e9),
            r"n_params, which is missing.*not read n\.",
        ),
        (
            lambda: bs.published("hoffmann2022")(n_params=1e9, n_tokens=1e11, flops=1e20),
            r"does not read flops",
        ),
        (
            lambda: bs.published("hoffmann2022")(n_params="7B", n_tokens=1e11),
            r"n_params='7B' must be a positive",
        ),
        (lambda: bs.published("hoffmann2022")(n_params=[1e9, -1], n_tokens=1e11), r"n_params=-1"),
        (lambda: bs.published("hoffmann2022")(n_params=None, n_tokens=1e11), r"n_params=None"),
        (lambda: bs.published("hoffmann2022")(n_params=math.nan, n_tokens=1e11), r"n_params=nan"),
        (lambda: bs.published("abnar2025")(n_params=1e9, n_tokens=1e11, sparsity=87.5), r"from 0 to 1"),
        (lambda: bs.published("abnar2025")(n_params=1e9, n_tokens=1e11, sparsity=1.0), r"no finite value"),
    ],
)
def test_a_wrong_question_is_refused_with_the_mend(ask, says):
    with pytest.raises(bs.InputError, match=says):
        ask()


def test_a_printed_law_is_a_value_that_does_not_change():
    known = bs.published("hoffmann2022")
    assert known == bs.published("hoffmann2022")
    with pytest.raises(AttributeError):
        known.unit = "bits"
    assert known.law is find("chinchilla")
