"""Refits in real processes, on a Dask cluster, and through kills and interrupts."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

pytestmark = pytest.mark.slow

# A script as people write them: no guard, a law and a helper of its own.
SCRIPT = """
import os, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np, pandas as pd
import bayescale as bs
from bayescale.laws import Amplitude, Exponent, Irreducible

FOLDER = {folder!r}

def helper(x):
    return 2.0 * x / 2.0

def hook(rows):
    pass

@bs.law(inputs=("n_params", "n_tokens"))
def in_my_script(n, d, *, E: Irreducible, A: Amplitude, alpha: Exponent, B: Amplitude, beta: Exponent):
    hook(n)
    return E + helper(A) * n**-alpha + B * d**-beta

def runs():
    rng = np.random.default_rng(1)
    c, r = np.repeat(np.geomspace(1e18, 1e21, 6), 9), np.tile(np.geomspace(0.2, 5, 9), 6)
    size = np.sqrt(c / 120) * r
    data = c / 6 / size
    curve = 1.8 + 0.36 * (size / 1e9) ** -0.35 + 0.45 * (data / 1e10) ** -0.37
    return pd.DataFrame({{"run_id": [f"r{{i}}" for i in range(54)], "n_params": size, "n_tokens": data,
        "flops": c, "value": curve * np.exp(rng.normal(0, 0.004, 54))}})

def roll(**more):
    return bs.backtest(runs(), "in_my_script", split=bs.Rolling(least=18), noise="normal", draws=250,
        engine="laplace", random_seed=0, progressbar=False, **more)

def same(one, other):
    return one.drop_vars("seconds").identical(other.drop_vars("seconds"))
"""


def script(tmp_path, body):
    path = tmp_path / "mine.py"
    path.write_text(SCRIPT.format(folder=str(tmp_path)) + textwrap.dedent(body))
    return path


def started(path, **more):
    told = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, str(path)], **told, **more)


def finished(path):
    process = started(path)
    told = process.communicate(timeout=600)[0]
    assert process.returncode == 0, told
    return told


def test_processes_give_the_same_numbers_for_a_law_of_an_unguarded_script(tmp_path):
    told = finished(
        script(
            tmp_path,
            """
            print("top of the script")
            def hook(rows):
                with open(FOLDER + f"/seen-{os.getpid()}-{os.environ.get('OMP_NUM_THREADS')}", "w"):
                    pass
            there = roll(workers=2)
            here = roll(workers=1)
            assert list(there["status"].values) == list(here["status"].values)
            assert "failed" not in here["status"].values, here["failure"].values
            assert same(there, here)
            print("the same", os.getpid())
            """,
        )
    )
    assert told.count("top of the script") == 1, "no process ran the script again"
    pid = told.split()[-1]
    elsewhere = [p.name.split("-") for p in tmp_path.glob("seen-*") if p.name.split("-")[1] != pid]
    assert elsewhere, "the law ran in other processes"
    assert {threads for _, _, threads in elsewhere} == {"1"}


def test_processes_compare_and_average_alike(tmp_path):
    told = finished(
        script(
            tmp_path,
            """
            quick = dict(noise="normal", draws=250, discrepancy=None, random_seed=0, progressbar=False)
            studies = {law: bs.fit(runs().iloc[::2], law, **quick) for law in ("in_my_script", "kaplan")}
            home = os.getpid()
            def hook(rows):
                with open(FOLDER + f"/seen-{os.getpid()}", "w"):
                    pass
            ask = dict(progressbar=False)
            for more in (dict(criterion="future"), dict(by="flops")):
                there, here = (bs.compare(studies, workers=n, **more, **ask) for n in (2, 1))
                assert there.identical(here), more
            there, here = (bs.average(studies, workers=n, **ask) for n in (2, 1))
            assert there.identical(here)
            assert len([p for p in os.listdir(FOLDER) if p.startswith("seen-") and p != f"seen-{home}"])
            print("the same")
            """,
        )
    )
    assert "the same" in told


def test_a_process_that_dies_costs_only_its_own_refit(tmp_path):
    told = finished(
        script(
            tmp_path,
            """
            HOME = os.getpid()
            def hook(rows):
                if os.getpid() != HOME and np.size(rows) == 27:
                    os._exit(9)
            found = roll(workers=2)
            print(list(map(str, found["status"].values)))
            print(found["failure"].values[1])
            """,
        )
    )
    assert "['ok', 'failed', 'ok', 'ok']" in told.replace("warned", "ok")
    assert "the process that refitted it died" in told


def test_a_dask_cluster_gives_the_same_numbers(tmp_path):
    pytest.importorskip("distributed")
    told = finished(
        script(
            tmp_path,
            """
            if __name__ == "__main__":
                from distributed import Client, LocalCluster
                with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None,
                                  worker_dashboard_address=None, silence_logs=40) as cluster:
                    with Client(cluster) as client:
                        there = roll(executor=client.get_executor())
                assert "failed" not in there["status"].values, there["failure"].values
                assert same(there, roll(workers=1))
                print("the same")
            """,
        )
    )
    assert "the same" in told


def test_a_law_of_a_notebook_cell_is_refitted_in_processes(tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    cells = [SCRIPT.format(folder=str(tmp_path)), "found = roll(workers=2)", "print(found['status'].values)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    told = notebook.cells[-1].outputs[0]["text"]
    assert "ok" in told
    assert "failed" not in told


@pytest.mark.parametrize(("how", "workers"), [("SIGINT", 1), ("SIGINT", 2), ("SIGKILL", 2)])
def test_a_stopped_backtest_goes_on_where_it_was(tmp_path, how, workers):
    path = script(
        tmp_path,
        f"""
        def hook(rows):
            open(FOLDER + f"/pid-{{os.getpid()}}", "w").close()
            if not os.path.exists(FOLDER + "/stopped") and np.size(rows) == 45:
                while not os.path.exists(FOLDER + "/stopped"):
                    time.sleep(0.1)
                time.sleep(60)
        print("began", flush=True)
        found = roll(workers={workers}, resume=FOLDER + "/done")
        statuses = [s.replace("warned", "ok") for s in map(str, found["status"].values)]
        print(statuses, np.isfinite(found["seconds"].values).sum())
        assert statuses.count("ok") < 4 or same(found, roll(workers=1))
        """,
    )
    process = started(path, start_new_session=True)
    began = time.monotonic()
    while len(list((tmp_path / "done").glob("*.json"))) < 3 and time.monotonic() - began < 300:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.2)
    (tmp_path / "stopped").touch()
    if how == "SIGKILL":
        os.kill(process.pid, signal.SIGKILL)  # the parent alone: its children follow by themselves
    else:
        os.killpg(process.pid, signal.SIGINT)  # a terminal tells them all
    told = process.communicate(timeout=120)[0]
    if how == "SIGINT":
        assert "['ok', 'ok', 'ok', 'interrupted']" in told
    assert _gone_soon([int(p.name.removeprefix("pid-")) for p in tmp_path.glob("pid-*")])
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "done").glob("*.json")}
    assert len(stamps) == 3
    assert "['ok', 'ok', 'ok', 'ok']" in finished(path)
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in stamps.items()), "those were not made again"
    assert len(list((tmp_path / "done").glob("*.json"))) == 4


def _gone_soon(pids):
    """Whether these processes end by themselves within half a minute."""
    until = time.monotonic() + 30
    while any(_runs(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.2)
    return not any(_runs(pid) for pid in pids)


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
