import os
import signal
import subprocess
import sys

import pytest

import bayescale as bs


def bayescale(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "bayescale.cli.main", *map(str, words)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("fit {tables}/none.csv", "none.csv"),
        ("fit chinchila", "Did you mean 'chinchilla-figure4'"),
        ("fit {tables}/theirs.csv", "--rename theirs=ours"),
        ("fit {tables}/words.csv", "must hold numbers"),
        ("fit {tables}/good.csv --law chinchila", "Did you mean 'chinchilla'"),
        ("fit {tables}/good.csv --law data_constrained", "tokens_unique"),
        ("fit {tables}/good.csv --pool gamma=family", "'gamma'"),
        ("fit {tables}/good.csv --pool alpha=kind", "'kind'"),
        ("fit {tables}/good.csv --pool family --pool E=family", "alone"),
        ("fit {tables}/good.csv --noise gauss", "student_t"),
        ("fit {tables}/good.csv --engine stan", "numpyro"),
        ("fit {tables}/good.csv --draws 0", "draws=0"),
        ("fit {tables}/good.csv --draws 2.5", "draws=2.5"),
        ("fit {tables}/good.csv --prior alpha=0.6..0.1", "lower"),
        ("fit {tables}/good.csv --prior gamma=0.1..0.6", "'gamma'"),
        ("fit {tables}/good.csv --where n_params>1e30", "no runs"),
        ("fit {tables}/good.csv -o {tables}/study.csv", "study.nc"),
        ("fit {tables}/good.csv -o {tables}/none/study.nc", "no folder"),
        ("fit {tables}/good.csv --prob 90", "between 0 and 1"),
        ("fit {studies}/flat.nc", "saved study"),
        ("intervals {studies}/none.nc", "none.nc"),
        ("intervals {tables}/good.csv", ".nc"),
        ("intervals {studies}/flat.nc --prob 1.5", "prob=1.5"),
        ("predict {studies}/flat.nc {tables}/narrow.csv", "'n_tokens'"),
        ("predict {studies}/flat.nc {tables}/none.csv", "none.csv"),
        ("allocate {studies}/flat.nc --flops -1", "1e24"),
        ("allocate {studies}/compute.nc --flops 1e24", "n_tokens"),
        ("allocate {studies}/pooled.nc --flops 1e24 --group family=bloom", "'bloom'"),
        ("allocate {studies}/pooled.nc --flops 1e24 --group kind=a", "'kind'"),
        ("allocate {studies}/flat.nc --flops 1e24 --within 0", "within=0"),
        ("allocate {studies}/flat.nc --flops 1e24 --given tokens_unique=many", "'many'"),
        ("compare {studies}/flat.nc", "at least two"),
        ("compare {studies}/flat.nc {studies}/flat.nc", "twice"),
        ("backtest {tables}/good.csv --train flops<=1e10", "no row"),
        ("backtest {tables}/good.csv --train speed<=1", "'speed'"),
        ("runs show datablation", "Did you mean 'datablations'"),
    ],
)
def test_a_users_fault_ends_with_one_message_and_status_one(run, studies, tables, words, says):
    told = run(*words.format(studies=studies, tables=tables).split())
    assert told.status == 1
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert says in told.err
    assert "Traceback" not in told.err
    assert len(told.err) < 2000


@pytest.mark.parametrize(
    "words",
    [
        "",
        "fitt x.csv",
        "fit",
        "fit x.csv --pool alpha=",
        "fit x.csv --rename loss",
        "fit x.csv --prior alpha=0.1",
        "fit x.csv --draws many",
        "fit x.csv --draws nan",
        "fit x.csv --seed -1",
        "fit x.csv --speed 3",
        "predict study.nc scales.csv --kind mean",
        "allocate study.nc",
        "allocate --flops 1e24 study.nc",
        "runs",
    ],
)
def test_wrong_usage_ends_with_status_two(run, words):
    told = run(*words.split())
    assert told.status == 2
    assert told.out == ""
    assert told.err.startswith("usage: bayescale")


def test_help_of_every_command_has_an_example(run):
    for words in (
        "fit",
        "intervals",
        "predict",
        "allocate",
        "compare",
        "backtest",
        "identify",
        "laws",
        "show",
    ):
        told = run(words, "--help")
        assert told.status == 0
        assert f"examples:\n  bayescale {words}" in told.out


def test_a_fault_of_ours_is_one_line_that_names_the_switch(run, studies, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("division by zero\nand more")

    monkeypatch.setattr("bayescale.queries.intervals.intervals", broken)
    told = run("intervals", studies / "flat.nc")
    assert told.status == 1
    assert told.out == ""
    assert "ZeroDivisionError: division by zero" in told.err
    assert "BAYESCALE_DEBUG=1" in told.err
    assert told.err.count("\n") == 1
    monkeypatch.setenv("BAYESCALE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run("intervals", studies / "flat.nc")


def test_an_interrupt_ends_with_status_130_and_a_word(run, studies, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("bayescale.queries.intervals.intervals", interrupted)
    told = run("intervals", studies / "flat.nc")
    assert told.status == 130
    assert told.err == "interrupted.\n"


def test_a_batch_queue_s_signal_stops_it_as_ctrl_c_does(run, studies, monkeypatch):
    def terminated(*_, **__):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("bayescale.queries.intervals.intervals", terminated)
    told = run("intervals", studies / "flat.nc")
    assert told.status == 130
    assert told.err == "interrupted.\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_full_disk_is_the_users_to_mend(run, tables, studies, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "study.nc")

    monkeypatch.setattr("bayescale.queries.intervals.intervals", full)
    told = run("intervals", studies / "flat.nc")
    assert told.status == 1
    assert "study.nc: No space left on device" in told.err


def test_a_warning_is_told_once_and_other_libraries_stay_silent(run, studies, monkeypatch):
    import warnings

    def warning(post, prob):
        for _ in range(3):
            warnings.warn("two lines\n- of advice", bs.BayescaleWarning, stacklevel=2)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("a library's own affair", FutureWarning, stacklevel=2)
        raise bs.InputError("enough")

    monkeypatch.setattr("bayescale.queries.intervals.intervals", warning)
    told = run("intervals", studies / "flat.nc")
    assert told.err == "warning: two lines\n- of advice\nerror: enough\n"


def test_the_command_starts_without_anything_heavy():
    program = (
        "import sys; from bayescale.cli.main import main; status = main(['--help']); "
        "heavy = {'numpy', 'pandas', 'xarray', 'rich', 'pymc', 'jax', 'h5py', 'scipy'} & set(sys.modules); "
        "sys.exit(status or bool(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert "usage: bayescale" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    "words",
    [
        "predict {flat} {scales}",
        "intervals {flat}",
        "show {flat}",
        "allocate {flat} --flops 1e22",
        "fit chinchilla-figure4 --discrepancy none --seed 0",
    ],
)
def test_a_process_loads_neither_engines_nor_what_it_does_not_need(studies, tmp_path, words):
    (tmp_path / "scales.csv").write_text("n_params,n_tokens\n1e9,2e10\n")
    asked = words.format(flat=studies / "flat.nc", scales=tmp_path / "scales.csv").split()
    heavy = "pymc pytensor arviz jax numba numpyro nutpie seaborn matplotlib dask.array h5netcdf scipy"
    program = (
        f"import sys; sys.argv[1:] = {asked!r}; from bayescale.cli.main import command; status = command(); "
        f"print('loaded', set({heavy.split()!r}) & set(sys.modules), file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == "loaded set()"
    assert done.stdout


def test_a_process_ends_with_the_status_and_no_traceback(tables):
    refused = bayescale("runs", "check", tables / "none.csv", PYTHONIOENCODING="ascii")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stdout + refused.stderr
    wrong = bayescale("runs", "check")
    assert wrong.returncode == 2
    assert "usage: bayescale runs check" in wrong.stderr


def test_a_reader_that_leaves_early_is_no_fault():
    command = f"{sys.executable} -m bayescale.cli.main laws | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
