"""Formulas followed with stand-ins are the formulas."""

import numpy as np
import pytest

import bayescale as bs
from bayescale.laws import find
from bayescale.laws.elementwise import exp, log, maximum, softplus, where
from bayescale.laws.straight import NotStraight, Tape

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", sorted(bs.laws().index))
def test_every_law_is_a_list_of_plain_steps(name):
    law = find(name)
    tape = Tape()
    x, p = tape.inputs("x", len(law.inputs)), tape.inputs("p", len(law.parameters))
    steps = tape.steps([law(*x, **dict(zip(law.parameters, p, strict=True)))])
    inputs = [RNG.uniform(0.5, 0.9, 20) for _ in law.inputs]
    letters = {k: RNG.uniform(0.2, 0.8, 20) for k in law.parameters}
    given = {f"x{i}": v for i, v in enumerate(inputs)} | {f"p{i}": v for i, v in enumerate(letters.values())}
    with np.errstate(all="ignore"):
        (found,), expected = steps(given), law(*inputs, **letters)
    np.testing.assert_allclose(found, expected, rtol=1e-9, equal_nan=True)
    assert np.isfinite(expected).any()


def test_a_step_done_twice_is_one_and_what_nothing_needs_is_left_out():
    tape = Tape()
    (x,) = tape.inputs("x", 1)
    log(x + 5)
    steps = tape.steps([exp(x) + exp(x)])
    assert [function for _, function, _ in steps.steps] == ["exp", "add"]


@pytest.mark.parametrize("power", [-2, 0, 0.5, 1, 2.5, 3, 20])
def test_powers(power):
    tape = Tape()
    (x,) = tape.inputs("x", 1)
    (found,) = tape.steps([x**power])({"x0": np.array([0.5, 2.0])})
    np.testing.assert_allclose(found * np.ones(2), np.array([0.5, 2.0]) ** power, rtol=1e-14)


def test_arrays_of_stand_ins_are_worked_on_place_by_place():
    tape = Tape()
    x = tape.inputs("x", 3)
    value = where(x[0] > 1.0, (x * np.arange(3.0)).sum(), maximum(x[1], softplus(x[2])))
    numbers = {"x0": np.array([0.5, 2.0]), "x1": np.array([0.1, 3.0]), "x2": np.array([1.0, 4.0])}
    (found,) = tape.steps([value])(numbers)
    np.testing.assert_allclose(found, [np.log1p(np.exp(1.0)), 11.0])


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: x if x > 1 else 2 * x,
        lambda x: np.sin(x),
        lambda x: np.sort(x),
        lambda x: float(x),
        lambda x: np.add.reduce(x, axis=None),
        lambda x: [x := x + np.exp(x) for _ in range(10_000)][-1],
    ],
    ids=["branch", "sine", "sort", "number", "reduction", "endless"],
)
def test_what_is_no_list_of_plain_steps_is_refused(formula):
    tape = Tape()
    (x,) = tape.inputs("x", 1)
    with pytest.raises(NotStraight):
        tape.steps([formula(x)])
