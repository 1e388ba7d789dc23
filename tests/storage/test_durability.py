import contextlib
import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bayescale.errors import InputError
from bayescale.storage import open_study, replace, save

TORTURE = Path(__file__).with_name("torture.py")


def tortured(what, path, rounds):
    command = [sys.executable, "-W", "ignore", str(TORTURE), what, str(path), str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [int(mark) for mark in done.stdout.split()], done.stderr[-2000:]


def test_a_save_killed_at_any_moment_leaves_one_complete_version(path):
    marks, errors = tortured("kill", path, 10)
    assert len(marks) == 10
    assert set(marks) <= {0, 1, 2}, errors
    assert {1, 2} & set(marks), "no save was ever finished, so nothing was tested"


def test_two_processes_that_save_to_one_path_leave_complete_versions(path):
    marks, errors = tortured("race", path, 8)
    assert set(marks) <= {0, 10, 11}, errors
    assert {10, 11} & set(marks)


def failing(monkeypatch, name, number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, name, fail)


@pytest.mark.parametrize(
    ("call", "number", "said"),
    [
        ("fsync", errno.ENOSPC, "disk is full"),
        ("fsync", errno.EIO, "(?i)input/output"),
        ("replace", errno.EACCES, "not writable"),
        ("replace", errno.EROFS, "read-only"),
    ],
)
def test_a_failing_disk_leaves_the_old_file_and_nothing_else(
    tmp_path, study, same, monkeypatch, call, number, said
):
    path = save(study(), tmp_path / "fit.nc")
    with monkeypatch.context() as patched:
        failing(patched, call, number)
        with pytest.raises(InputError, match=said) as caught:
            save(study(mark=1), path)
    assert isinstance(caught.value.__cause__, OSError)
    assert "fit.nc" in str(caught.value)
    assert same(study(), open_study(path)) == []
    assert os.listdir(tmp_path) == ["fit.nc"]


def test_a_file_size_limit_is_a_clear_error_and_the_old_version_stays(path, study, same):
    save(study(), path)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, old[1]))
    try:
        with pytest.raises(InputError, match="larger than the system allows"):
            save(study(mark=1), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert same(study(), open_study(path)) == []
    assert os.listdir(path.parent) == [path.name]


def test_an_interrupt_while_saving_leaves_the_old_version(path, study, same, monkeypatch):
    save(study(), path)

    def interrupt(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            save(study(mark=1), path)
    assert same(study(), open_study(path)) == []
    assert os.listdir(path.parent) == [path.name]


def test_a_folder_into_which_a_failed_writer_still_writes_is_removed(tmp_path):
    def write_on(folder):
        for number in range(40):
            time.sleep(0.005)
            with contextlib.suppress(OSError):
                (folder / str(number)).write_bytes(b"late")

    def fail():
        with replace.replacing_folder(tmp_path / "fit.zarr") as folder:
            late.append(threading.Thread(target=write_on, args=(folder,)))
            late[0].start()
            time.sleep(0.01)
            raise OSError("full")

    late = []
    with pytest.raises(OSError, match="full"):
        fail()
    late[0].join()
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path, study):
    for name in ("no/fit.nc", "no/fit.zarr"):
        with pytest.raises(InputError, match=r"no does not exist"):
            save(study(), tmp_path / name)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="not a folder"):
        save(study(), tmp_path / "file" / "fit.nc")
    assert sorted(os.listdir(tmp_path)) == ["file"]


def test_overwriting_can_be_forbidden(path, study, same):
    save(study(), path, overwrite=False)
    with pytest.raises(InputError, match="exists already"):
        save(study(mark=1), path, overwrite=False)
    assert same(study(), open_study(path)) == []


def test_a_folder_that_is_no_zarr_group_is_never_replaced(tmp_path, study):
    for name in ("fit.nc", "fit.zarr"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").write_text("years of work")
        with pytest.raises(InputError, match="there already"):
            save(study(), tmp_path / name)
        assert os.listdir(tmp_path / name) == ["thesis.tex"]


def test_a_folder_is_replaced_also_where_exchange_is_missing(tmp_path, study, same, monkeypatch):
    path = save(study(), tmp_path / "fit.zarr")
    monkeypatch.setattr(replace, "_exchange", lambda *_: False)
    save(study(mark=1), path)
    assert same(study(mark=1), open_study(path)) == []
    assert os.listdir(tmp_path) == ["fit.zarr"]


def test_what_a_killed_process_left_is_swept_away_after_an_hour(path, study):
    old, new = (path.with_name(f".bayescale-{name}.part") for name in ("old", "new"))
    for leftover in (old, new):
        leftover.mkdir() if path.suffix == ".zarr" else leftover.write_bytes(b"x")
    os.utime(old, times=(time.time() - 7200,) * 2)
    save(study(), path)
    assert sorted(os.listdir(path.parent)) == sorted([path.name, new.name])


def test_the_file_and_then_its_folder_are_flushed_before_success(path, study, monkeypatch):
    save(study(), path)
    calls = []
    flush, swap, exchange = os.fsync, os.replace, replace._exchange

    def fsync(descriptor):
        calls.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
        return flush(descriptor)

    def moved(*paths):
        calls.append(("moved", str(paths[1])))
        return exchange(*paths) if path.suffix == ".zarr" else swap(*paths)

    monkeypatch.setattr(os, "fsync", fsync)
    owner, name = (replace, "_exchange") if path.suffix == ".zarr" else (os, "replace")
    monkeypatch.setattr(owner, name, moved)
    save(study(), path)
    at = calls.index(("moved", str(path)))
    assert calls[at + 1 :] == [("fsync", str(path.parent))]
    flushed = {name for _, name in calls[:at]}
    assert len(flushed) == (1 if path.suffix == ".nc" else sum(1 for _ in path.rglob("*")) + 1)
