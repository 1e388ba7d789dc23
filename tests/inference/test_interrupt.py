"""Ctrl-C that compiled code swallows is remembered, and what an engine makes of it is one thing."""

import signal
import sys
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from bayescale.inference import symbolic
from bayescale.inference.interrupt import listening


@pytest.fixture(autouse=True)
def heard():
    """Python's own handler, which a process started in the background does not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def swallowed():
    """Ctrl-C as compiled code takes it: raised, and lost."""
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_that_was_swallowed_is_heard_afterwards():
    with listening() as ears:
        ears.check()
        swallowed()
    with pytest.raises(KeyboardInterrupt, match="interrupted before the first draw"):
        ears.check()


def test_the_handler_is_afterwards_as_it_was():
    before = signal.getsignal(signal.SIGINT)
    with listening():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_handler_of_the_caller_is_left_in_place():
    mine = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        handler = signal.getsignal(signal.SIGINT)
        with listening() as ears:
            assert signal.getsignal(signal.SIGINT) is handler
            signal.raise_signal(signal.SIGINT)
        ears.check()
    finally:
        signal.signal(signal.SIGINT, mine)


def test_nothing_is_installed_outside_the_main_thread():
    seen = []

    def work():
        with listening() as ears:
            seen.append(ears.heard)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


@pytest.mark.parametrize("shape", [(4, 0), (4, 0, 3)])
def test_a_sampler_stopped_in_warm_up_leaves_an_interrupt_and_no_other_error(shape):
    tree = {"posterior": {"x": SimpleNamespace(values=np.empty(shape))}, "sample_stats": {}}
    model = SimpleNamespace(free_RVs=[SimpleNamespace(name="x", ndim=len(shape) - 2)])
    with pytest.raises(KeyboardInterrupt, match="before the first draw"):
        symbolic._normalised("nutpie", tree, model, 0.0, partial=True)


def test_pymc_stopped_in_warm_up_leaves_an_interrupt_and_no_other_error(monkeypatch):
    def early(**options):
        swallowed()
        raise ValueError("Not enough samples to build a trace.")

    monkeypatch.setitem(sys.modules, "pymc", SimpleNamespace(sample=early))
    target = SimpleNamespace(symbolic=nullcontext)
    settings = SimpleNamespace(
        draws=10, tune=10, chains=2, random_seed=0, target_accept=0.9, progressbar=False
    )
    with pytest.raises(KeyboardInterrupt, match="before the first draw"):
        symbolic.pymc(target, settings)
