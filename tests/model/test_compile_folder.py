"""Where PyTensor compiles when the home folder is closed to it."""

import os
import sys

import pytest

from bayescale.model.build import _compile_folder


@pytest.fixture
def first_import(monkeypatch):
    monkeypatch.delitem(sys.modules, "pytensor", raising=False)


@pytest.fixture
def closed_home(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path / "file" / "home")


@pytest.mark.parametrize("flags", [None, "floatX=float64"])
def test_a_closed_home_gives_a_temporary_folder_for_the_import_only(
    first_import, closed_home, monkeypatch, flags
):
    monkeypatch.delenv("PYTENSOR_FLAGS", raising=False)
    if flags:
        monkeypatch.setenv("PYTENSOR_FLAGS", flags)
    with _compile_folder():
        *before, last = os.environ["PYTENSOR_FLAGS"].split(",")
        assert before == ([flags] if flags else [])
        assert os.path.isdir(last.removeprefix("base_compiledir="))
    assert os.environ.get("PYTENSOR_FLAGS") == flags


def test_a_folder_that_the_user_named_is_kept(first_import, closed_home, monkeypatch):
    monkeypatch.setenv("PYTENSOR_FLAGS", "base_compiledir=/elsewhere")
    with _compile_folder():
        assert os.environ["PYTENSOR_FLAGS"] == "base_compiledir=/elsewhere"


def test_an_open_home_is_used_as_ever(first_import, monkeypatch, tmp_path):
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    monkeypatch.delenv("PYTENSOR_FLAGS", raising=False)
    with _compile_folder():
        assert "PYTENSOR_FLAGS" not in os.environ
