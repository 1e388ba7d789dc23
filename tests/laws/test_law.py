import dataclasses
import inspect
import textwrap
from types import ModuleType

import numpy as np
import pytest

from bayescale import laws
from bayescale.errors import InputError
from bayescale.laws import Amplitude, Exponent, Irreducible, find, law, registered
from bayescale.laws import law as declare
from bayescale.laws.law import _REGISTRY


@pytest.fixture(autouse=True)
def only_own_laws():
    """Laws declared in a test are gone after it."""
    before = dict(_REGISTRY)
    yield
    _REGISTRY.clear()
    _REGISTRY.update(before)


def cell(code: str) -> dict:
    """Names left by a notebook cell."""
    module = ModuleType("notebook")
    exec(compile(textwrap.dedent(code), "<cell>", "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def test_signature_declares_inputs_and_kinds():
    chinchilla = find("chinchilla")
    assert chinchilla.inputs == ("n_params", "n_tokens")
    assert chinchilla.arguments == ("n", "d")
    kinds = {p: k.name for p, k in chinchilla.parameters.items()}
    assert kinds == {
        "E": "irreducible",
        "A": "amplitude",
        "alpha": "exponent",
        "B": "amplitude",
        "beta": "exponent",
    }
    assert chinchilla.summary == "Loss as a floor plus one power of model size and one of data size."


def test_annotations_may_be_text():
    names = cell("""
        from __future__ import annotations
        from bayescale import laws
        from bayescale.laws import Exponent as Power, law

        @law(inputs=("n_tokens",))
        def mine(d, *, E: laws.Irreducible, B: Amplitude, beta: Power):
            return E + B * d**-beta
    """)
    assert [kind.name for kind in names["mine"].parameters.values()] == [
        "irreducible",
        "amplitude",
        "exponent",
    ]


def test_text_annotations_are_never_run():
    with pytest.raises(InputError, match="parameter 'E' of law 'mine' has no kind"):
        cell("""
            from bayescale.laws import law

            @law(inputs=("n_tokens",))
            def mine(d, *, E: "__import__('sys').exit()"):
                return E * d
        """)


def test_parameter_without_a_kind_is_named_with_the_kinds_there_are():
    with pytest.raises(InputError, match=r"'alpha' of law 'mine'.*Irreducible, Amplitude, Level, Exponent"):

        @declare(inputs=("n_params",))
        def mine(n, *, E: Irreducible, alpha):
            return E * n**-alpha


def test_inputs_and_positional_arguments_must_match():
    with pytest.raises(InputError, match=r"2 positional arguments \(n, d\) but declares 1 inputs"):

        @declare(inputs=("n_params",))
        def mine(n, d, *, E: Irreducible):
            return E * n * d


def test_a_law_must_learn_something():
    with pytest.raises(InputError, match=r"learns nothing.*after \*"):

        @declare(inputs=("n_params",))
        def mine(n):
            return n


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"scaling": {"A": {"n": "beta"}}}, "beta"),
        ({"scaling": {"A": {"d": "alpha"}}}, "'d'"),
        ({"scaling": {"Q": {"n": "alpha"}}}, "Q"),
        ({"typical": {"gamma": 0.3}}, "gamma"),
        ({"falls_with": ("n_tokens",)}, "n_tokens"),
        ({"stands_in": {"n_tokens": "n_samples"}}, "n_tokens"),
    ],
)
def test_declarations_must_name_what_the_signature_has(words, named):
    with pytest.raises(InputError, match=named):

        @declare(inputs=("n_params",), **words)
        def mine(n, *, A: Amplitude, alpha: Exponent):
            return A * n**-alpha


def test_a_name_is_taken_once():
    with pytest.raises(InputError, match=r"'chinchilla' is registered already \(by bayescale.laws.joint"):

        @declare(inputs=("n_params",))
        def chinchilla(n, *, E: Irreducible):
            return E * n

    @declare(inputs=("n_params",), name="same")
    def one(n, *, E: Irreducible):
        return E * n

    with pytest.raises(InputError, match="another name"):

        @declare(inputs=("n_params",), name="same")
        def two(n, *, E: Irreducible):
            return E + n


def test_a_notebook_cell_may_run_twice():
    code = """
        from bayescale.laws import Irreducible, law

        @law(inputs=("n_params",))
        def mine(n, *, E: Irreducible):
            return {} * E * n
    """
    cell(code.format(1))
    assert cell(code.format(2))["mine"] is find("mine")
    assert find("mine")(3.0, E=5.0) == 30.0


def test_unknown_law_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"no law called 'chinchila'. Did you mean 'chinchilla'\?"):
        find("chinchila")
    with pytest.raises(InputError, match=r"no law called 'xyzzy'\. Laws: accuracy_from_loss, ") as caught:
        find("xyzzy")
    assert len(str(caught.value)) < 2000


def test_find_passes_a_law_through():
    assert find(find("m4")) is find("m4")


def test_registered_is_a_copy():
    registered().clear()
    assert "chinchilla" in registered()


def test_reading_other_columns_keeps_the_formula():
    m4 = find("m4").reading("flops")
    assert m4.inputs == ("flops",)
    assert m4.falls_with == ("flops",)
    assert m4.formula is find("m4").formula
    assert find("m4").inputs == ("n_tokens",)
    parameters = m4.undo_reference({"E": 1.0, "span": 1.0, "B": 2.0, "c": 0.5, "alpha": 1.0}, {"flops": 1e20})
    assert parameters["B"] == pytest.approx(2e10)


def test_reading_the_wrong_number_of_columns_is_refused():
    with pytest.raises(
        InputError, match=r"has 2 inputs \(n_params, n_tokens\), but 1 columns were given: flops"
    ):
        find("chinchilla").reading("flops")


def test_a_size_counted_otherwise_has_no_stand_in():
    assert find("kaplan").stands_in == {"n_params": "n_active_params"}
    assert find("kaplan").reading("n_params_nonembed", "n_tokens").stands_in == {}


def test_intercepts_carry_units_by_a_sum():
    line = find("log_linear")
    paper = line.undo_reference({"a": 2.0, "b": -0.05}, {"flops": 1e20})
    assert paper["a"] == pytest.approx(2.0 + 0.05 * np.log(1e20))
    assert paper["b"] == -0.05


def test_parameters_are_carried_as_arrays_of_any_kind():
    xarray = pytest.importorskip("xarray")
    beta = xarray.DataArray([0.2, 0.4], dims="draw")
    paper = find("power_data").undo_reference({"E": 1.0, "B": 3.0, "beta": beta}, {"n_tokens": 1e10})
    assert paper["B"].dims == ("draw",)
    np.testing.assert_allclose(paper["B"], 3.0 * 1e10 ** np.array([0.2, 0.4]))


def test_a_law_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        find("m3").name = "m5"


def test_every_kind_is_exported():
    from bayescale.laws.kinds import KINDS

    assert set(KINDS) <= set(laws.__all__)
    assert len({kind.name for kind in KINDS.values()}) == len(KINDS)


def test_law_lists_what_the_decorator_takes():
    taken = set(inspect.signature(law).parameters) - {"scaling"}
    assert taken <= {f.name for f in dataclasses.fields(laws.Law)}
