import math

import numpy as np
import pytest

import bayescale as bs
from bayescale.errors import InputError

COLUMNS = {
    "run_id": ["a", "b", "c"],
    "tokenizer_text": ["GPT-2", "Qwen", "GPT-2"],
    "n_params": [1e8, 1e9, 1e9],
    "value": [3.0, 2.8, 2.5],
    "value_se": [0.03, 0.02, 0.01],
}


def runs(metric="loss_nats", **columns):
    return bs.read_runs(COLUMNS | {"metric": [metric] * 3} | columns)


def test_a_loss_of_one_byte_tokens_is_its_bits():
    assert bs.bits_per_byte(math.log(2), 1.0) == pytest.approx(1.0)
    np.testing.assert_allclose(bs.bits_per_byte(np.array([2.0, 4.0]), 4.0), [0.7213475, 1.442695], rtol=1e-6)


@pytest.mark.parametrize("wrong", [0, -4.2, np.array([4.0, 0.0]), float("nan")])
def test_a_token_holds_something(wrong):
    with pytest.raises(InputError, match="above 0"):
        bs.bits_per_byte(3.0, wrong)


def test_factors_are_read_by_tokenizer():
    table = bs.to_bits_per_byte(runs(), {"GPT-2": 4.4, "Qwen": 4.0, "BLOOM": 3.9})
    held = np.array([4.4, 4.0, 4.4])
    np.testing.assert_allclose(table.frame["value"], np.array(COLUMNS["value"]) / math.log(2) / held)
    np.testing.assert_allclose(table.frame["value_se"], np.array(COLUMNS["value_se"]) / math.log(2) / held)
    assert set(table.frame["metric"]) == {"bpb"}
    assert [f.code for f in table.findings][-1] == "per-byte"
    assert set(runs().frame["metric"]) == {"loss_nats"}


def test_one_factor_or_a_column_will_do():
    by_number = bs.to_bits_per_byte(runs(), 4.0)
    by_column = bs.to_bits_per_byte(runs(held=[4.0, 4.0, 4.0]), "held")
    np.testing.assert_allclose(by_number.frame["value"], by_column.frame["value"])
    bits = bs.to_bits_per_byte(runs("loss_bits"), 4.0)
    np.testing.assert_allclose(bits.frame["value"], np.array(COLUMNS["value"]) / 4.0)


@pytest.mark.parametrize(
    ("metric", "factors", "pattern"),
    [
        ("accuracy", 4.0, "'accuracy' is no loss per token"),
        ("loss_nats", {"GPT-2": 4.4}, "none for tokenizer_text 'Qwen'"),
        ("loss_nats", "held", "'held' is no column"),
        ("loss_nats", {"GPT-2": 4.4, "Qwen": 0.0}, "run 'b' has"),
        ("loss_nats", [4.0], "as a number, by tokenizer"),
        ("loss_nats", True, "as a number, by tokenizer"),
    ],
)
def test_what_cannot_be_converted_is_named(metric, factors, pattern):
    values = {"value": [0.3, 0.4, 0.5]} if metric == "accuracy" else {}
    with pytest.raises(InputError, match=pattern):
        bs.to_bits_per_byte(runs(metric, **values), factors)


def test_the_column_of_tokenizers_may_be_another():
    with pytest.raises(InputError, match=r"'vocabulary'.*tokenizer=\.\.\."):
        bs.to_bits_per_byte(runs(), {"GPT-2": 4.4}, tokenizer="vocabulary")
