"""What a fit says before it samples, so that nobody waits for draws that the table already doomed."""

import json
import warnings

import pytest
from test_fit import QUICK, good

import bayescale as bs
from bayescale.errors import BayescaleWarning, InputError
from bayescale.inference.engines import ENGINES
from bayescale.model.spec import specify


class Sampled(Exception):
    """The engine was reached."""


@pytest.fixture
def no_engine(monkeypatch):
    def stop(*_):
        raise Sampled

    monkeypatch.setattr("bayescale.inference.engines.ENGINES", dict.fromkeys(ENGINES, stop))


def heard_before_sampling(runs, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(Sampled):
            bs.fit(runs, **(QUICK | options))
    assert all(issubclass(w.category, BayescaleWarning) for w in caught)
    return "\n".join(str(w.message) for w in caught)


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        ({"n_params": 1e9, "flops": float("nan")}, {}, "'n_params' is constant"),
        ({"family": [f"f{i}" for i in range(24)]}, {}, "24 families of one run"),
        ({"model": "m0"}, {"pool": {"alpha": "family/model"}}, "model 'm0' stands in family 'llama', "),
        ({"value_se": [float("nan")] + [0.01] * 23}, {}, r"'value_se' is empty in 1 of 24 rows"),
        ({}, {"tune": 5, "engine": "numpyro"}, "tune=5"),
    ],
    ids=lambda part: str(part)[:30],
)
def test_what_can_be_foreseen_is_said_before_sampling(no_engine, change, options, says):
    assert says in heard_before_sampling(good().assign(**change), **options)


def test_a_clean_table_is_sampled_without_a_word(no_engine):
    assert heard_before_sampling(good()) == ""


def test_what_was_foreseen_is_said_once_and_kept_in_the_study():
    runs = good().assign(n_params=1e9, flops=float("nan"))
    with pytest.warns(BayescaleWarning) as caught:
        posterior = bs.fit(runs, **QUICK)
    assert sum("'n_params' is constant" in str(w.message) for w in caught) == 1
    found = json.loads(posterior.attrs["bayescale"])["findings"]
    assert [f["severity"] for f in found if f["code"] == "constant-input"] == ["warning"]


def test_many_findings_make_one_message_of_readable_length(no_engine):
    runs = good().assign(**{f"c{i}": "x" * 40 for i in range(60)})
    pool = {"alpha": [f"c{i}" for i in range(60)]}
    assert len(heard_before_sampling(runs, pool=pool)) < 2000


def test_the_longest_nested_path_alone_is_judged():
    runs = bs.read_runs(good().assign(model="m0", part="p0"))
    found = specify(runs, "chinchilla", pool={"E": "family/model/part"}).findings
    assert [f.message.count("'family/model/part'") for f in found if f.code == "nested-clash"] == [1]


def test_an_interrupt_says_what_was_interrupted(monkeypatch):
    def impatient(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("bayescale.inference.engines.ENGINES", dict.fromkeys(ENGINES, impatient))
    with pytest.raises(KeyboardInterrupt, match="interrupted before the first draw"):
        bs.fit(good(), **QUICK)


@pytest.mark.parametrize("error", [MemoryError("144 MiB"), RuntimeError("RESOURCE_EXHAUSTED: Out of memory")])
def test_memory_that_runs_out_is_said_with_the_mend(monkeypatch, error):
    def greedy(*_):
        raise error

    monkeypatch.setattr("bayescale.inference.engines.ENGINES", dict.fromkeys(ENGINES, greedy))
    with pytest.raises(InputError, match=r"out of memory.*500 draws over 24 runs.*draws=500") as caught:
        bs.fit(good(), **QUICK)
    assert caught.value.__cause__ is error


def test_another_fault_of_an_engine_is_passed_on(monkeypatch):
    def broken(*_):
        raise RuntimeError("something else")

    monkeypatch.setattr("bayescale.inference.engines.ENGINES", dict.fromkeys(ENGINES, broken))
    with pytest.raises(RuntimeError, match="something else"):
        bs.fit(good(), **QUICK)


def test_draws_are_held_against_what_the_process_may_have(monkeypatch):
    monkeypatch.setattr("bayescale.inference.memory.allowed_gb", lambda: 1.0)
    with pytest.raises(InputError, match=r"draws: 4,000,000.*may have 1\.0 GB"):
        bs.fit(good(), **(QUICK | {"draws": 1_000_000}))


def test_jax_is_not_started_where_it_would_end_the_process(monkeypatch):
    monkeypatch.setattr("bayescale.inference.numpyro.allowed_gb", lambda: 2.9)
    with pytest.raises(InputError, match=r"'numpyro'.*held to 2\.9 GB of memory.*ulimit"):
        bs.fit(good(), engine="numpyro", **QUICK)
