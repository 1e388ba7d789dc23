"""Questions to a posterior of compression factors."""

import numpy as np
import pytest
from made_tables import made_measurements

import bayescale as bs


@pytest.fixture(scope="module")
def table():
    made = made_measurements(8, 10, scatter=0.1, seed=1)
    gone = (made.frame["tokenizer"] == "t0") & (made.frame["material"] == "m0")
    return made.where(~gone.to_numpy(dtype=bool))


@pytest.fixture(scope="module")
def post(table):
    return bs.fit_compression(table, draws=400)


def asked(post, **how):
    return bs.predict_compression(post, **{"modality": "text", **how})


def width(found):
    return np.log(found["upper"].item() / found["lower"].item())


def test_the_table_holds_the_population_a_new_one_and_every_tokenizer(post):
    found = bs.compression_factors(post, prob=0.8)
    assert found["level"].tolist() == ["population", "new", *["tokenizer"] * 8]
    assert (found["lower"] < found["median"]).all()
    assert (found["median"] < found["upper"]).all()
    assert found["median"][2:].is_monotonic_increasing
    assert dict(zip(found["tokenizer"], found["measurements"], strict=True))["t0"] == 9
    assert found.attrs["prob"] == 0.8


def test_what_was_measured_is_told_as_measured(post, table):
    row = table.frame.iloc[5]
    found = asked(post, tokenizer=row["tokenizer"], material=row["material"])
    assert found["basis"].item() == "measured"
    for bound in ("lower", "median", "upper"):
        assert found[bound].item() == pytest.approx(np.exp(row["log_factor"]))
    assert found.attrs["unit"] == "bytes per token"


def test_a_measurement_with_error_leaves_that_error():
    noisy = bs.fit_compression(made_measurements(8, 10, scatter=0.3, error=0.05, seed=2), draws=400)
    found = asked(noisy, tokenizer="t1", material="m1", prob=0.9)
    assert width(found) == pytest.approx(2 * 1.645 * 0.05, rel=0.15)


def test_the_less_is_known_the_wider_the_interval(post):
    known = asked(post, tokenizer="t0", material="m0")
    material = asked(post, tokenizer="t0")
    tokenizer = asked(post, material="m0")
    both = asked(post)
    bases = [found["basis"].item() for found in (known, material, tokenizer, both)]
    assert bases == ["both known", "new material", "new tokenizer", "both new"]
    assert width(known) < width(material) < width(tokenizer) < width(both)


def test_names_that_start_with_new_ask_for_a_new_one(post):
    assert asked(post, tokenizer="new: mine", material="m0").equals(
        asked(post, tokenizer=None, material="m0").assign(tokenizer="new: mine")
    )


def test_a_measured_name_that_starts_with_new_is_no_new_one(table):
    frame = table.frame.assign(tokenizer=table.frame["tokenizer"].str.replace("t1", "NewsBERT"))
    post = bs.fit_compression(bs.read_measurements(frame), draws=250)
    assert asked(post, tokenizer="NewsBERT", material="m1")["basis"].item() == "measured"


def test_sequences_give_rows(post):
    found = asked(post, tokenizer=["t0", None], material="m1")
    assert found.sizes == {"row": 2}
    assert found["basis"].values.tolist() == ["measured", "new tokenizer"]


def test_text_in_bytes_never_has_less_than_one_byte_a_token():
    post = bs.fit_compression(made_measurements(6, 6, middle=0.2, seed=5), draws=200)
    assert asked(post, prob=0.99)["lower"].item() == pytest.approx(1)
    assert bs.compression_factors(post)["lower"].min() >= 0.5


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"modality": "txt"}, "no modality 'txt' was measured (there are: text). Did you mean 'text'?"),
        ({"tokenizer": "T3"}, "Did you mean 't3'"),
        ({"material": "zzz"}, "leave material out"),
        ({"tokenizer": ["t0", "t1"], "material": ["m0", "m1", "m2"]}, "3 rows are asked for"),
        ({"tokenizer": []}, "0 items"),
        ({"tokenizer": [3]}, "holds 3"),
        ({"prob": 1.5}, "prob"),
    ],
)
def test_questions_that_cannot_be_answered_are_refused(post, how, said):
    with pytest.raises(bs.InputError) as caught:
        asked(post, **how)
    assert said in str(caught.value)


def test_only_a_study_of_factors_is_asked():
    from bayescale.testing import synthetic_posterior

    with pytest.raises(bs.InputError, match="a study of a law"):
        bs.compression_factors(synthetic_posterior("chinchilla", draws=50))
    with pytest.raises(bs.InputError, match="a dict"):
        bs.compression_factors({})
