import runpy
from pathlib import Path

import numpy as np
import pytest

_made = runpy.run_path(str(Path(__file__).with_name("make_format1.py")))


@pytest.fixture
def study():
    """Function that makes a small study."""
    return _made["study"]


@pytest.fixture
def fixture_study():
    """What the fixture of format 1 was made from."""
    return _made["fixture_study"]()


@pytest.fixture
def same():
    """Function that says where two studies differ; every bit of every number counts."""
    return differences


@pytest.fixture(params=["fit.nc", "fit.zarr"])
def path(request, tmp_path):
    """A path of each kind, in a folder that holds nothing else."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder / request.param


def differences(one, other):
    found = []
    if list(one.children) != list(other.children) or one.attrs != other.attrs:
        found.append("root")
    for node in one.subtree:
        ours, theirs = node.to_dataset(inherit=False), other[node.path].to_dataset(inherit=False)
        if list(ours.data_vars) != list(theirs.data_vars) or set(ours.coords) != set(theirs.coords):
            found.append(f"names of {node.path}")
        if ours.attrs != theirs.attrs:
            found.append(f"attributes of {node.path}")
        for name, v in ours.variables.items():
            w = theirs.variables[name]
            if v.dims != w.dims or v.attrs != w.attrs or _bits(v) != _bits(w):
                found.append(f"{node.path}/{name}")
    return found


def _bits(variable):
    values = np.asarray(variable.values)
    if values.dtype.kind in "OUT":
        return values.shape, [str(text) for text in values.ravel()]
    return values.shape, values.dtype.kind, values.dtype.itemsize, values.astype(values.dtype).tobytes()
