import json
import os
import pickle
import re
import socket
import sys
import warnings

import numpy as np
import pytest
import xarray as xr

from bayescale.errors import BayescaleWarning, InputError
from bayescale.storage import open_study, save

DAMAGE = r"(?i)truncat|damaged|corrupt|incomplete|checksum"


def refused(path, *said):
    """The message with which a path is refused, after checks that hold for every message."""
    with pytest.raises(InputError) as caught:
        open_study(path)
    message = str(caught.value)
    assert len(message) < 2000
    for pattern in said:
        assert re.search(pattern, message), (pattern, message)
    return message


def written_by_xarray(tree, path):
    if path.suffix == ".nc":
        tree.to_netcdf(path, engine="h5netcdf")
    else:
        tree.to_zarr(path, zarr_format=2, consolidated=False)


def biggest(path):
    return (
        max((q for q in path.rglob("*") if q.is_file()), key=lambda q: q.stat().st_size)
        if path.is_dir()
        else path
    )


@pytest.fixture
def hostile(tmp_path):
    """An HDF5 file open for planting something, named lnk.nc, that claims to be a study."""
    import h5py

    with h5py.File(tmp_path / "outside.h5", "w") as other:
        other["v"] = np.arange(3.0)
    with h5py.File(tmp_path / "lnk.nc", "w") as file:
        file.attrs["bayescale"] = json.dumps({"format": 1})
        file.create_group("posterior")
        yield file


# Paths


@pytest.mark.parametrize("end", [".pkl", ".npz", ".h5", ".json", "", ".nc.gz"])
def test_other_suffixes_are_refused_with_those_allowed(tmp_path, study, end):
    (tmp_path / f"fit{end}").write_bytes(pickle.dumps(1))
    refused(tmp_path / f"fit{end}", r"\.nc", r"\.zarr")
    with pytest.raises(InputError, match=r"\.nc.*\.zarr"):
        save(study(), tmp_path / f"fit{end}")


def test_a_url_is_refused_without_a_connection(study):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.3)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/fit.nc"
        refused(url, "URL", "local path")
        with pytest.raises(InputError, match="URL"):
            save(study(), url)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    "address", ["s3://b/fit.zarr", "file:///home/fit.nc", "simplecache::http://h/fit.nc"]
)
def test_other_addresses_are_refused(address):
    refused(address, "URL")


@pytest.mark.parametrize("odd", [None, 3, b"fit.nc", "fit\0.nc", ["fit.nc"]])
def test_what_is_no_path_is_refused(odd):
    refused(odd, "path")


def test_a_missing_file_is_named(path):
    refused(path, f"there is no .*{path.name}")


def test_a_folder_where_a_file_is_expected_and_the_reverse(tmp_path):
    (tmp_path / "fit.nc").mkdir()
    (tmp_path / "fit.zarr").write_text("x")
    refused(tmp_path / "fit.nc", "folder")
    refused(tmp_path / "fit.zarr", "should be a folder")


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "fit.nc")
    refused(tmp_path / "fit.nc", "should be a file")


def test_a_loop_of_symbolic_links_is_refused(path, study):
    path.symlink_to(path.with_name("b" + path.suffix))
    path.with_name("b" + path.suffix).symlink_to(path)
    refused(path, "(?i)link|loop")
    with pytest.raises(InputError, match="loop"):
        save(study(), path)


# Damage


@pytest.mark.parametrize("keep", [0, 1, 7, 100, 0.5, 0.99])
def test_a_file_cut_short_is_called_damaged(tmp_path, study, keep):
    path = save(study(), tmp_path / "fit.nc")
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    refused(path, DAMAGE, r"fit\.nc")


def test_a_zarr_folder_with_its_largest_file_cut_or_gone_is_called_damaged(tmp_path, study):
    path = save(study(), tmp_path / "fit.zarr")
    large = biggest(path)
    large.write_bytes(large.read_bytes()[: large.stat().st_size // 2])
    refused(path, DAMAGE, r"fit\.zarr")
    large.unlink()
    refused(path, DAMAGE)


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"CDF\x01" + bytes(50), b"PK\x03\x04", bytes(4096)])
def test_another_kind_of_file_is_called_damaged_or_of_another_kind(tmp_path, content):
    (tmp_path / "fit.nc").write_bytes(content)
    refused(tmp_path / "fit.nc", DAMAGE, "another kind")


def test_flipped_bytes_never_give_other_numbers(path, fixture_study, same):
    save(fixture_study, path)
    files = [q for q in path.rglob("*") if q.is_file()] if path.is_dir() else [path]
    sizes = np.array([q.stat().st_size for q in files])
    rng = np.random.default_rng(0)
    refusals = 0
    for _ in range(60):
        file = files[rng.choice(len(files), p=sizes / sizes.sum())]
        content = bytearray(file.read_bytes())
        kept = bytes(content)
        content[rng.integers(len(content))] ^= int(rng.integers(1, 256))
        file.write_bytes(content)
        try:
            with warnings.catch_warnings(action="ignore", category=BayescaleWarning):
                assert same(fixture_study, open_study(path)) == []
        except InputError:
            refusals += 1
        file.write_bytes(kept)
    assert refusals >= 15
    assert same(fixture_study, open_study(path)) == []


@pytest.mark.parametrize("where", ["/", "posterior", "posterior/E"])
def test_a_changed_attribute_is_refused(tmp_path, study, where):
    import h5py

    save(study(), tmp_path / "fit.nc")
    with h5py.File(tmp_path / "fit.nc", "a") as file:
        name = {"/": "bayescale", "posterior": "created_at", "posterior/E": "units"}[where]
        text = file[where].attrs[name]
        file[where].attrs[name] = (
            text.replace("chinchilla", "chinchillb").replace("2026", "2025").replace("nats", "bits")
        )
    refused(tmp_path / "fit.nc", "checksum", where.strip("/") or "/")


def test_a_changed_number_and_a_lost_variable_are_refused_by_name(tmp_path, study):
    import h5py

    save(study(), tmp_path / "fit.nc")
    with h5py.File(tmp_path / "fit.nc", "a") as file:
        file["posterior/E"][2, 3] += 1e-9
        del file["runs/n_params"]
    refused(tmp_path / "fit.nc", "checksum", "/posterior/E", "/runs/n_params")


# Studies


def test_a_netcdf_file_that_is_no_study_is_refused(path):
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset({"E": (("chain", "draw"), np.zeros((2, 3)))})})
    written_by_xarray(tree, path)
    refused(path, "no bayescale study")
    with pytest.raises(InputError, match="no bayescale study"):
        save(tree, path)


def test_a_later_format_asks_for_an_upgrade(path, study):
    tree = study()
    tree.attrs["bayescale"] = json.dumps({"format": 2})
    written_by_xarray(tree, path)
    refused(path, "format 2", "(?i)upgrade")


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"format": "1"}', '{"format": true}', '{"format": 0}', "[" * 10**5]
)
def test_a_header_that_is_no_study_is_called_damaged(tmp_path, study, text):
    tree = study()
    tree.attrs["bayescale"] = text
    tree.to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")
    refused(tmp_path / "fit.nc", DAMAGE)


def test_a_study_without_a_posterior_is_refused(path, study):
    tree = study()
    del tree["posterior"]
    with pytest.raises(InputError, match="no group 'posterior'"):
        save(tree, path)


@pytest.mark.parametrize(("missing", "told"), [(10, "chain 1 has 30 draws"), (40, "chain 1 has 0 draws")])
def test_chains_of_different_length_are_named(tmp_path, study, missing, told):
    tree = study()
    tree["posterior"]["E"].values[1, 40 - missing :] = np.nan
    tree["posterior"]["B"].values[1, 40 - missing :] = np.nan
    tree["posterior"]["alpha"].values[1, 40 - missing :] = np.nan
    with pytest.raises(InputError, match=told):
        save(tree, tmp_path / "fit.nc")
    tree.to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")
    with pytest.warns(BayescaleWarning, match="no checksums"):
        refused(tmp_path / "fit.nc", told, r"chain", "length")


def test_a_parameter_that_is_nan_by_itself_is_no_short_chain(path, study, same):
    tree = study()
    tree["posterior"]["B"].values[:] = np.nan
    tree["posterior"]["E"].values[0, 3] = np.nan
    save(tree, path)
    assert same(tree, open_study(path)) == []


# Hostile HDF5


def test_an_external_link_is_refused(hostile, tmp_path):
    import h5py

    hostile["posterior"]["E"] = h5py.ExternalLink(str(tmp_path / "outside.h5"), "/v")
    hostile.close()
    refused(tmp_path / "lnk.nc", r"lnk\.nc", "(?i)extern|link|unsafe|not allowed")


def test_a_soft_link_and_a_second_hard_link_are_refused(hostile, tmp_path):
    import h5py

    hostile["posterior"]["E"] = h5py.SoftLink("/posterior")
    hostile.flush()
    (tmp_path / "soft.nc").write_bytes((tmp_path / "lnk.nc").read_bytes())
    refused(tmp_path / "soft.nc", "link")
    del hostile["posterior"]["E"]
    hostile["posterior"]["itself"] = hostile["posterior"]
    hostile.close()
    refused(tmp_path / "lnk.nc", "second link")


def test_a_virtual_dataset_is_refused(hostile, tmp_path):
    import h5py

    layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "outside.h5"), "v", shape=(3,))
    hostile["posterior"].create_virtual_dataset("E", layout)
    hostile.close()
    refused(tmp_path / "lnk.nc", "virtual", "posterior/E")


def test_external_storage_is_refused(hostile, tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.arange(3.0).tobytes())
    hostile["posterior"].create_dataset("E", (3,), "f8", external=[(str(secret), 0, 24)])
    hostile.close()
    refused(tmp_path / "lnk.nc", "external storage")


def test_an_unknown_filter_is_refused(hostile, tmp_path):
    hostile["posterior"].create_dataset("E", data=np.arange(3.0), chunks=(3,), compression="lzf")
    hostile.close()
    refused(tmp_path / "lnk.nc", "unknown filter", "zlib")


def test_declared_sizes_beyond_the_limit_are_refused(hostile, tmp_path):
    hostile["posterior"].create_dataset("E", (2**40,), "f8", chunks=(1024,))
    hostile.close()
    refused(tmp_path / "lnk.nc", "8192.0 GB", "limit")


def test_more_numbers_than_so_small_a_file_can_hold_are_refused(hostile, tmp_path):
    hostile["posterior"].create_dataset("E", (2**28,), "f8", chunks=(1024,))
    hostile.close()
    refused(tmp_path / "lnk.nc", DAMAGE, "2.0 GB")


@pytest.mark.parametrize("kind", ["compound", "opaque", "array", "reference", "vlen"])
def test_odd_types_are_refused_in_variables_and_attributes(hostile, tmp_path, kind):
    import h5py

    types = {
        "compound": np.dtype([("a", "f8")]),
        "opaque": np.dtype("V8"),
        "array": np.dtype(("f8", (2,))),
        "reference": h5py.ref_dtype,
        "vlen": h5py.vlen_dtype("f8"),
    }
    space = h5py.h5s.create_simple((2,))
    stored_type = h5py.h5t.py_create(types[kind], logical=True)
    h5py.h5d.create(hostile["posterior"].id, b"E", stored_type, space)
    hostile.flush()
    (tmp_path / "variable.nc").write_bytes((tmp_path / "lnk.nc").read_bytes())
    refused(tmp_path / "variable.nc", "unsafe", "posterior/E")
    del hostile["posterior"]["E"]
    h5py.h5a.create(hostile["posterior"].id, b"odd", stored_type, space)
    hostile.close()
    refused(tmp_path / "lnk.nc", "unsafe", "posterior@odd")


def test_a_named_type_is_refused(hostile, tmp_path):
    hostile["posterior"]["kind"] = np.dtype("f8")
    hostile.close()
    refused(tmp_path / "lnk.nc", "named data type")


# Hostile Zarr


def zarr_array(path, **changed):
    (path / "E").mkdir(parents=True, exist_ok=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (path / ".zattrs").write_text(json.dumps({"bayescale": json.dumps({"format": 1})}))
    array = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "<f8", "compressor": None}
    array |= {"fill_value": None, "order": "C", "filters": None} | changed
    (path / "E" / ".zarray").write_text(json.dumps(array))
    (path / "E" / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["x"]}')


class Touches:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("filters", [[{"id": "vlen-utf8"}, {"id": "pickle"}], [{"id": "pickle"}]])
def test_a_pickle_codec_is_refused_and_nothing_runs(tmp_path, monkeypatch, filters):
    monkeypatch.setenv("NUMCODECS_ALLOW_UNSAFE_PICKLE_DECODE", "1")
    path = tmp_path / "evil.zarr"
    zarr_array(path, dtype="|O", filters=filters)
    (path / "E" / "0").write_bytes(pickle.dumps(Touches(tmp_path / "ran")))
    refused(path, r"evil\.zarr", "pickle")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["|O", "|V8", [["a", "<f8"]], "<M8[ns]", "<c16", "|S4"])
def test_odd_zarr_types_are_refused(tmp_path, kind):
    zarr_array(tmp_path / "fit.zarr", dtype=kind)
    refused(tmp_path / "fit.zarr", "unsafe", "E/.zarray")


@pytest.mark.parametrize("shape", [{"shape": [2**40]}, {"chunks": [2**40]}])
def test_zarr_sizes_beyond_the_limit_are_refused(tmp_path, shape):
    zarr_array(tmp_path / "fit.zarr", **shape)
    refused(tmp_path / "fit.zarr", "8192.0 GB")


@pytest.mark.parametrize(
    "codecs",
    [
        [{"name": "numcodecs.pickle"}],
        [{"name": "sharding_indexed", "configuration": {"codecs": [{"name": "numcodecs.pickle"}]}}],
    ],
)
def test_an_unknown_codec_of_zarr_3_is_refused(tmp_path, codecs):
    array = tmp_path / "fit.zarr" / "E"
    array.mkdir(parents=True)
    (array.parent / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    grid = {"name": "regular", "configuration": {"chunk_shape": [1]}}
    content = {
        "node_type": "array",
        "shape": [1],
        "data_type": "float64",
        "chunk_grid": grid,
        "codecs": codecs,
    }
    (array / "zarr.json").write_text(json.dumps(content))
    refused(tmp_path / "fit.zarr", "numcodecs.pickle")


def test_links_inside_a_zarr_folder_are_refused(tmp_path, study):
    save(study(), tmp_path / "fit.zarr")
    save(study(), tmp_path / "other.zarr")
    (tmp_path / "fit.zarr" / "linked").symlink_to(tmp_path / "other.zarr" / "runs")
    refused(tmp_path / "fit.zarr", "symbolic link", "linked")


def test_a_stray_file_in_a_zarr_folder_does_no_harm(tmp_path, study, same):
    save(study(), tmp_path / "fit.zarr")
    (tmp_path / "fit.zarr" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "fit.zarr" / "posterior" / "notes.txt").write_text("mine")
    assert same(study(), open_study(tmp_path / "fit.zarr")) == []


def test_a_description_that_is_no_json_is_called_damaged(tmp_path):
    zarr_array(tmp_path / "fit.zarr")
    (tmp_path / "fit.zarr" / "E" / ".zarray").write_bytes(b"\xff{")
    refused(tmp_path / "fit.zarr", DAMAGE)
    zarr_array(tmp_path / "fit.zarr", shape="ab")
    refused(tmp_path / "fit.zarr", DAMAGE)


def test_an_empty_folder_is_no_study(tmp_path):
    (tmp_path / "fit.zarr").mkdir()
    refused(tmp_path / "fit.zarr", "incomplete")


def test_zarr_not_installed_says_how_to_get_it(tmp_path, study, monkeypatch):
    save(study(), tmp_path / "fit.zarr")
    monkeypatch.setitem(sys.modules, "zarr", None)
    refused(tmp_path / "fit.zarr", r"pip install 'bayescale\[zarr\]'", r"\.nc")
    with pytest.raises(InputError, match=r"bayescale\[zarr\]"):
        save(study(), tmp_path / "fit.zarr")
