import pytest

from bayescale.laws import Amplitude, Exponent, Factor, Intercept, Irreducible, Law, Scale, Slope, find
from bayescale.laws.elementwise import exp, log
from bayescale.laws.law import _kinds
from bayescale.laws.scaling import infer_scaling


def undeclared(formula, *inputs) -> Law:
    """A law without a declared scaling, left out of the registry."""
    return Law(formula.__name__, formula, inputs, _kinds(formula, len(inputs)))


def test_interaction_of_two_scales():
    def product(n, d, *, E: Irreducible, A: Amplitude, alpha: Exponent, beta: Exponent):
        return E + A * n**-alpha * d**-beta

    law = undeclared(product, "n_params", "n_tokens")
    assert law.scaling == {"A": {"n": "alpha", "d": "beta"}}
    assert law.carries_units


def test_a_scale_is_carried_with_power_one():
    def saturating(d, *, E: Irreducible, A: Amplitude, S: Scale):
        return E + A * exp(-d / S)

    assert infer_scaling(undeclared(saturating, "n_tokens")) == {"S": {"d": 1.0}}


def test_a_line_in_the_logarithm_moves_its_intercept():
    def line(n, c, *, a: Intercept, b: Slope, k: Slope):
        return a + b * log(n) + k * log(c)

    assert infer_scaling(undeclared(line, "n_params", "flops")) == {"a": {"n": "-b", "c": "-k"}}


def test_an_input_without_a_unit_to_carry_is_left_alone():
    def by_share(d, s, *, A: Amplitude, alpha: Exponent, q: Slope):
        return A * d**-alpha * (1 + q * s)

    law = undeclared(by_share, "n_tokens", "share")
    assert infer_scaling(law) == {"A": {"d": "alpha"}, "q": {"s": -1.0}}


def test_a_law_bound_to_its_unit_has_none():
    def bound(n, *, E: Irreducible, A: Amplitude):
        return E + A / (1 + n)

    law = undeclared(bound, "n_params")
    assert infer_scaling(law) is None
    assert not law.carries_units
    assert law.scaling == {}
    same = {"E": 1.0, "A": 2.0}
    assert law.undo_reference(same, {"n_params": 1e9}) == same


def test_two_letters_for_one_number_have_none():
    def twice(n, *, A: Amplitude, B: Factor, alpha: Exponent):
        return A * B * n**-alpha

    assert infer_scaling(undeclared(twice, "n_params")) is None


def test_a_formula_that_fails_on_numbers_has_none():
    def fails(n, *, E: Irreducible):
        raise TypeError("wants tensors")

    assert infer_scaling(undeclared(fails, "n_params")) is None


def test_reading_other_columns_carries_their_units():
    def own(d, *, E: Irreducible, B: Amplitude, beta: Exponent):
        return E + B * d**-beta

    law = undeclared(own, "n_tokens").reading("flops")
    paper = law.undo_reference({"E": 1.0, "B": 2.0, "beta": 0.5}, {"flops": 1e20})
    assert paper["B"] == pytest.approx(2e10)


def test_unique_tokens_move_with_all_tokens():
    law = find("data_constrained")
    assert infer_scaling(law) == {"A": {"n": "alpha"}, "B": {"d": "beta"}}
