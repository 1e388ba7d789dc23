import gc
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bayescale.errors import BayescaleWarning, InputError
from bayescale.storage import open_study, save

FIXTURE = Path(__file__).parent / "fixtures" / "format1.nc"


def test_every_bit_and_the_order_come_back(path, study, same):
    assert save(study(), path) == path
    assert same(study(), open_study(path)) == []


def test_a_study_that_was_opened_can_be_saved_again(path, study, same):
    save(study(), path)
    save(open_study(path), path)
    assert same(study(), open_study(path)) == []


def test_the_comparison_of_these_tests_sees_a_sign_of_zero(study, same):
    other = study()
    other["constant_data"]["minus_zeros"].values[3] = 0.0
    assert same(study(), other) == ["/constant_data/minus_zeros"]


def test_attributes_of_every_json_kind_come_back(path, study):
    odd = {"none": None, "yes": True, "deep": {"a": [1, {"b": []}]}, "one": ["a"], "big": 2**70}
    odd |= {
        "empty": "",
        "nul": "a\0b",
        "inf": float("inf"),
        "minus": -0.0,
        "list": [1, 2.5],
        "long": "é" * 100_000,
    }
    tree = study()
    tree["posterior"].attrs.update(odd)
    tree["posterior"]["E"].attrs.update(odd)
    save(tree, path)
    opened = open_study(path)["posterior"]
    for attributes in (opened.attrs, opened["E"].attrs):
        for name, value in odd.items():
            assert attributes[name] == value, name
            assert type(attributes[name]) is type(value), name


def test_numpy_scalars_in_attributes_come_back_as_plain_numbers(path, study):
    tree = study()
    tree["posterior"].attrs.update(n=np.int64(3), x=np.float64(0.1), array=np.arange(3))
    save(tree, path)
    attributes = open_study(path)["posterior"].attrs
    assert (attributes["n"], attributes["x"], attributes["array"]) == (3, 0.1, [0, 1, 2])


def test_numeric_arrays_are_packed_and_carry_hdf5_checksums(tmp_path, study):
    import h5py

    save(study(), tmp_path / "fit.nc")
    with h5py.File(tmp_path / "fit.nc") as file:
        for name in ("posterior/E", "sample_stats/diverging", "constant_data/large", "posterior/chain"):
            assert file[name].fletcher32, name
            assert file[name].compression == "gzip", name


def test_other_tools_read_the_file(tmp_path, study):
    save(study(), tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc", engine="h5netcdf", decode_timedelta=False) as tree:
        np.testing.assert_array_equal(tree["posterior"]["E"], study()["posterior"]["E"])
        assert json.loads(tree.attrs["bayescale"])["seed"] == 2**70


def test_a_file_that_xarray_wrote_opens_with_a_warning(tmp_path, study):
    study().to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")
    with pytest.warns(BayescaleWarning, match=r"fit\.nc has no checksums"):
        opened = open_study(tmp_path / "fit.nc")
    np.testing.assert_array_equal(opened["posterior"]["E"], study()["posterior"]["E"])


def test_a_study_that_xarray_copied_unchanged_still_matches_its_checksums(tmp_path, study):
    save(study(), tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc", engine="h5netcdf", decode_timedelta=False) as tree:
        tree.load().to_netcdf(tmp_path / "copy.nc", engine="h5netcdf")
    opened = open_study(tmp_path / "copy.nc")
    np.testing.assert_array_equal(opened["posterior"]["alpha"], study()["posterior"]["alpha"])


def test_groups_and_variables_added_later_are_let_through(tmp_path, study):
    import h5py

    save(study(), tmp_path / "fit.nc")
    with h5py.File(tmp_path / "fit.nc", "a") as file:
        file["notes/measured"] = np.arange(3.0)
        file["notes/text"] = "checked by hand"
        file["notes"].attrs["by"] = "someone"
        file["posterior/extra"] = 1.5
    opened = open_study(tmp_path / "fit.nc")
    assert opened["notes"]["measured"].values.tolist() == [0.0, 1.0, 2.0]
    assert opened["posterior"]["extra"] == 1.5
    assert list(opened["posterior"].data_vars)[:3] == ["E", "alpha", "B"]


def test_a_zarr_group_added_later_is_let_through(tmp_path, study):
    save(study(), tmp_path / "fit.zarr")
    notes = xr.Dataset({"x": ("k", np.arange(3.0))})
    notes.to_zarr(tmp_path / "fit.zarr", group="notes", zarr_format=2, consolidated=False)
    assert open_study(tmp_path / "fit.zarr")["notes"]["x"].values.tolist() == [0.0, 1.0, 2.0]


def test_a_zarr_folder_of_format_3_opens(tmp_path, study):
    tree = xr.DataTree.from_dict(
        {
            "/": study().to_dataset(),
            "posterior": study()["posterior"].to_dataset().drop_vars(["family", "nick"]),
        }
    )
    tree.to_zarr(tmp_path / "fit.zarr", zarr_format=3, consolidated=False)
    with pytest.warns(BayescaleWarning, match="no checksums"):
        opened = open_study(tmp_path / "fit.zarr")
    np.testing.assert_array_equal(opened["posterior"]["alpha"], study()["posterior"]["alpha"])


def test_the_first_format_opens_with_the_numbers_it_was_written_with(fixture_study, same):
    opened = open_study(FIXTURE)
    assert same(fixture_study, opened) == []
    assert opened["posterior"]["E"].values[0, :2].tolist() == [0.0, 0.6180339887]
    assert opened["posterior"]["family"].values.tolist() == ["llama", "pythïa", "模型"]
    assert json.loads(opened.attrs["bayescale"])["seed"] == 1180591620717411303424
    assert FIXTURE.stat().st_size < 60_000


def test_no_file_stays_open(path, study):
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to list open files")
    save(study(), path)
    open_study(path)
    gc.collect()
    held = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if _alive(n)]
    assert not [name for name in held if str(path.parent) in name]
    assert os.listdir(path.parent) == [path.name]


def _alive(descriptor):
    return os.path.lexists(f"/proc/self/fd/{descriptor}")


def test_importing_storage_loads_no_file_library():
    heavy = {"xarray", "h5py", "zarr", "pandas", "h5netcdf"}
    code = f"import bayescale.storage, sys; print(*{heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == []


def test_the_callers_random_state_is_left_alone(path, study):
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    save(study(), path)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_a_link_at_the_path_is_followed(tmp_path, study, same):
    (tmp_path / "real").mkdir()
    (tmp_path / "fit.nc").symlink_to(tmp_path / "real" / "study.nc")
    save(study(), tmp_path / "fit.nc")
    assert (tmp_path / "fit.nc").is_symlink()
    assert same(study(), open_study(tmp_path / "real" / "study.nc")) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([None, "a"], dtype=object), "None|nan"),
        (np.array([1, "a"], dtype=object), "holds 1"),
        (np.array(["2026-01-01", "2026-01-02"], dtype="M8[ns]"), "datetime64"),
        (np.array([1j, 2]), "complex128"),
        (np.array([b"a", b"b"]), r"\|S1"),
        (np.array(["a\0b", "c"]), "null character"),
        (np.array(["\ud800", "c"]), "half a character"),
        (np.array([1.5, 2.5], dtype="f2"), "float16"),
    ],
)
def test_what_cannot_be_stored_exactly_is_named_before_anything_is_written(path, study, values, said):
    tree = study()
    tree["runs"] = tree["runs"].to_dataset().assign(odd=("odd_row", values))
    with pytest.raises(InputError, match=said) as caught:
        save(tree, path)
    assert "/runs/odd" in str(caught.value)
    assert os.listdir(path.parent) == []


def test_all_faults_of_a_study_come_in_one_message(path, study):
    tree = study()
    tree["runs"] = tree["runs"].to_dataset().assign(a=("z", [1j]), b=("z", [2j]))
    tree["runs"].attrs["handle"] = object()
    with pytest.raises(InputError) as caught:
        save(tree, path)
    for said in ("/runs/a", "/runs/b", "handle"):
        assert said in str(caught.value)


@pytest.mark.parametrize("attribute", ["scale_factor", "_FillValue"])
def test_attributes_that_netcdf_would_act_on_are_refused(tmp_path, study, attribute):
    tree = study()
    tree["posterior"]["E"].attrs[attribute] = 2.0
    save(study(mark=5), tmp_path / "fit.nc")
    with pytest.raises(InputError, match=attribute):
        save(tree, tmp_path / "fit.nc")
    assert json.loads(open_study(tmp_path / "fit.nc").attrs["bayescale"])["mark"] == 5


@pytest.mark.parametrize("tree", [None, {"posterior": 1}, "fit.nc"])
def test_only_a_tree_can_be_saved(path, tree):
    with pytest.raises(InputError, match=re.escape(type(tree).__name__)):
        save(tree, path)
