"""The quick way to read a sealed study gives what the reader for all files gives, or nothing."""

import h5py
import numpy as np
import pytest
import xarray as xr

from bayescale.storage import open_study, save
from bayescale.storage.content import tree_of
from bayescale.storage.direct import read_sealed
from bayescale.storage.netcdf import from_netcdf
from bayescale.storage.seal import unsealed
from bayescale.testing import synthetic_posterior


def both_ways(path):
    content = path.read_bytes()
    return read_sealed(content, path), unsealed(from_netcdf(content, path), path)


@pytest.mark.parametrize("groups", [(), ("llama", "pythia")])
def test_a_study_is_read_directly_and_is_the_same(tmp_path, groups, same):
    save(synthetic_posterior("chinchilla", groups=groups), tmp_path / "study.nc")
    directly, plainly = both_ways(tmp_path / "study.nc")
    assert tree_of(directly).identical(tree_of(plainly))
    assert same(tree_of(directly), tree_of(plainly)) == []
    for where, group in plainly.items():
        assert list(directly[where].variables) == list(group.variables)
        for name, variable in group.variables.items():
            assert directly[where].variables[name].dtype == variable.dtype
            assert not directly[where].variables[name].encoding


def test_odd_values_come_back_directly_too(tmp_path, same):
    post = synthetic_posterior("chinchilla")
    odd = {
        "flags": ("run_of_it", np.array([True, False])),
        "counts": ("run_of_it", np.array([1, -2], dtype="int32")),
        "names": ("run_of_it", np.array(["é", ""])),
        "one": ((), 3.5),
        "none": ("nothing", np.zeros(0)),
        "nan": ("run_of_it", np.array([np.nan, -0.0]), {"units": "days since 1900-01-01", "n": 3}),
    }
    post["odd"] = xr.Dataset(odd)
    save(post, tmp_path / "study.nc")
    directly, plainly = both_ways(tmp_path / "study.nc")
    assert directly is not None
    assert same(tree_of(directly), tree_of(plainly)) == []
    assert same(open_study(tmp_path / "study.nc"), post) == []


def change_a_draw(file):
    file["posterior/E"][0, 0] += 1e-12


def change_an_attribute(file):
    file["posterior/E"].attrs["description"] = "another"


def lose_a_variable(file):
    del file["posterior/sigma"]


def lose_the_seal(file):
    del file.attrs["bayescale_sha256"]


def add_a_variable(file):
    file["posterior"].create_dataset("more", data=1.0)


def scale_a_variable(file):
    file["posterior/E"].attrs["scale_factor"] = 2.0


@pytest.mark.parametrize(
    "change",
    [change_a_draw, change_an_attribute, lose_a_variable, lose_the_seal, add_a_variable, scale_a_variable],
)
def test_what_the_seal_does_not_prove_is_left_to_the_other_reader(tmp_path, change):
    path = tmp_path / "study.nc"
    save(synthetic_posterior("chinchilla"), path)
    assert read_sealed(path.read_bytes(), path) is not None
    with h5py.File(path, "r+") as file:
        change(file)
    assert read_sealed(path.read_bytes(), path) is None


def test_a_file_cut_short_is_left_to_the_other_reader(tmp_path):
    path = tmp_path / "study.nc"
    save(synthetic_posterior("chinchilla"), path)
    content = path.read_bytes()
    for kept in (9, 100, len(content) // 2, len(content) - 1):
        assert read_sealed(content[:kept], path) is None
