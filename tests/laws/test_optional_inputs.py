"""Inputs that a table may lack, and the compression laws that have them."""

import numpy as np
import pytest

from bayescale.errors import InputError
from bayescale.laws import find
from bayescale.laws import law as declare
from bayescale.laws.compression import TYPICAL_BYTES_PER_TOKEN, in_tokens
from bayescale.laws.elementwise import positive
from bayescale.laws.kinds import Amplitude, Exponent, Irreducible
from bayescale.laws.law import _REGISTRY
from bayescale.laws.scaling import infer_scaling, reference_homes

NAMES = ("compression_sum", "compression_slopes", "compression_log", "compression_power")
LETTERS = {"k0": 6.0, "k1": -0.05, "k_P": -0.04, "E": 1.7, "A": 300.0, "alpha": 0.33, "B": 400.0, "beta": 0.3}
LETTERS |= {f"k_{m}": -0.02 * (i + 1) for i, m in enumerate(("text", "audio", "image", "video"))}
LETTERS |= TYPICAL_BYTES_PER_TOKEN
N, RAW = (
    np.array([1e8, 1e9, 7e9]),
    np.array([[1e11, 2e12, 5e11], [0.0, 3e12, 0.0], [4e13, 0.0, 0.0], [0.0, 0.0, 7e14]]),
)


@pytest.fixture(autouse=True)
def only_own_laws():
    """Laws declared in a test are gone after it."""
    before = dict(_REGISTRY)
    yield
    _REGISTRY.clear()
    _REGISTRY.update(before)


def values(law, *raw, **changed):
    return law(N, *raw, **{k: (LETTERS | changed)[k] for k in law.parameters})


@pytest.mark.parametrize("name", NAMES)
def test_what_a_run_lacks_adds_nothing(name):
    law, expected = find(name), []
    whole = values(law, *RAW)
    for i, size in enumerate(N):
        present = [c for c, raw in zip(law.inputs[1:], RAW[:, i], strict=True) if raw > 0]
        small = law.only("n_params", *present)
        letters = {k: LETTERS[k] for k in small.parameters}
        expected.append(small(size, *(raw for raw in RAW[:, i] if raw > 0), **letters))
    np.testing.assert_allclose(whole, expected, rtol=1e-14)
    assert np.isfinite(whole).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_modality_left_out_takes_its_parameters_along(name):
    law = find(name).only("n_params", "bytes_text", "bytes_video")
    assert law.inputs == ("n_params", "bytes_text", "bytes_video")
    assert law.arguments == ("n", "text", "video")
    assert not [k for k in (*law.parameters, *law.typical, *law.scaling) if "audio" in k or "image" in k]
    nothing = np.zeros(3)
    whole = values(find(name), RAW[0], nothing, nothing, RAW[3])
    np.testing.assert_allclose(values(law, RAW[0], RAW[3]), whole, rtol=1e-14)


@pytest.mark.parametrize("name", ["compression_log", "compression_power"])
def test_the_next_modality_carries_the_unit_when_the_first_is_gone(name):
    law = find(name).only("n_params", "bytes_image", "bytes_video")
    assert reference_homes(law)["bytes_video"] == "bytes_image"
    scales = {"n_params": 1e9, "bytes_image": 3e12, "bytes_video": 3e12}
    letters = {k: LETTERS[k] for k in law.parameters}
    there = law.apply_reference(letters, scales)
    got = law(N / 1e9, RAW[2] / 3e12 + 1, RAW[3] / 3e12, **there)
    np.testing.assert_allclose(got, law(N, RAW[2] + 3e12, RAW[3], **letters), rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_where_a_run_lacks_a_modality(name):
    jax = pytest.importorskip("jax")
    law = find(name)
    letters = {k: LETTERS[k] for k in law.parameters}
    with jax.enable_x64(True):
        slopes = jax.grad(lambda p: law(jax.numpy.asarray(N), *map(jax.numpy.asarray, RAW), **p).sum())(
            letters
        )
    for letter, slope in slopes.items():
        stepped = law(N, *RAW, **letters | {letter: letters[letter] + 1e-30j})
        assert np.isfinite(slope)
        assert slope == pytest.approx(stepped.imag.sum() / 1e-30, rel=1e-10), letter


def test_only_the_sum_of_the_logs_of_the_factors_enters_the_printed_law():
    law, raw = find("compression_sum"), RAW + 1e10
    before = values(law, *raw)
    traded = values(law, *raw, C_text=LETTERS["C_text"] * 3, C_video=LETTERS["C_video"] / 3)
    np.testing.assert_allclose(traded, before, rtol=1e-13)
    shifted = values(law, *raw, C_text=LETTERS["C_text"] * 3, k0=LETTERS["k0"] + LETTERS["k1"] * np.log(3))
    np.testing.assert_allclose(shifted, before, rtol=1e-13)


def test_a_common_factor_on_all_modalities_trades_off_with_the_intercept_of_the_log_law():
    law = find("compression_log")
    more = {k: 3 * v for k, v in TYPICAL_BYTES_PER_TOKEN.items()}
    shifted = values(law, *RAW, **more, k0=LETTERS["k0"] + LETTERS["k1"] * np.log(3))
    np.testing.assert_allclose(shifted, values(law, *RAW), rtol=1e-13)
    one = values(law, *RAW, C_video=3 * LETTERS["C_video"]) - values(law, *RAW)
    assert np.ptp(one) > 0.01


def test_sum_and_log_agree_for_one_modality():
    several = [find(name).only("n_params", "bytes_image") for name in ("compression_sum", "compression_log")]
    first, second = (values(law, RAW[2] + 1e12) for law in several)
    np.testing.assert_allclose(first, second, rtol=1e-14)


def test_counted_tokens_need_no_factor():
    law = in_tokens("compression_power")
    assert law.inputs == ("n_params", "tokens_text", "tokens_audio", "tokens_image", "tokens_video")
    assert list(law.parameters) == ["E", "A", "alpha", "B", "beta"]
    tokens = RAW / 10
    chinchilla = find("chinchilla")
    expected = chinchilla(N, tokens.sum(0), **{k: LETTERS[k] for k in chinchilla.parameters})
    np.testing.assert_allclose(values(law, *tokens), expected, rtol=1e-14)
    assert infer_scaling(law) == law.scaling  # no letter is left to make up for the unit but B


def test_a_law_without_factors_counts_tokens_already():
    with pytest.raises(InputError, match="'chinchilla' has no compression factor"):
        in_tokens("chinchilla")


def test_other_columns_may_be_optional_too():
    law = find("compression_power").reading("n_params", "text", "sound", "pictures", "films")
    assert law.only("n_params", "sound").inputs == ("n_params", "sound")
    assert reference_homes(law)["films"] == "text"


@pytest.mark.parametrize(
    ("kept", "pattern"),
    [
        (("n_params",), r"at least one of bytes_text, bytes_audio"),
        (("bytes_text",), r"cannot do without 'n_params'"),
        (("n_params", "bytes_smell"), r"does not read 'bytes_smell'.*bytes_video may be left out"),
    ],
)
def test_what_cannot_be_left_out_is_said(kept, pattern):
    with pytest.raises(InputError, match=pattern):
        find("compression_power").only(*kept)


@pytest.mark.parametrize("numbers", [{"gamma": 1.0}, {"A": 1.0}, {"n": 0.0}, {"text": 3.0}])
def test_only_parameters_without_a_unit_are_held(numbers):
    with pytest.raises(InputError, match=r"cannot be held; parameters without a unit"):
        find("compression_power").holding(**numbers)


@pytest.mark.parametrize(
    ("optional", "named"), [({"bytes_text": ("E",)}, "bytes_text"), ({"n_tokens": ("gamma",)}, "gamma")]
)
def test_what_is_optional_must_be_in_the_signature(optional, named):
    with pytest.raises(InputError, match=f"optional= names '{named}'"):

        @declare(inputs=("n_tokens",), optional=optional)
        def mine(d, *, E: Irreducible, B: Amplitude, beta: Exponent):
            return E + B * d**-beta


def test_a_users_law_may_have_optional_inputs():
    @declare(inputs=("n_tokens", "epochs"), optional={"epochs": ("beta",)})
    def mine(d, e, *, E: Irreducible, alpha: Exponent, beta: Exponent):
        return E + d**-alpha + beta * e

    once = mine.only("n_tokens")
    assert once(8.0, E=1.0, alpha=1 / 3) == pytest.approx(1.5)
    assert list(once.parameters) == ["E", "alpha"]


def test_positive_reads_the_real_part():
    np.testing.assert_array_equal(positive(np.array([-1, 0, 1e-300])), [False, False, True])
    np.testing.assert_array_equal(positive(np.array([-1 + 5j, 2 - 1j])), [False, True])
