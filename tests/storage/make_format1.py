"""Write fixtures/format1.nc: `python tests/storage/make_format1.py`. Run once, when format 1 was made.

Later versions must open that file; a new format gets a script and a file of its own.
"""

import json
from pathlib import Path

import numpy as np
import xarray as xr

FIXTURE = Path(__file__).parent / "fixtures" / "format1.nc"


def numbers(*shape, start=0):
    """Fractions from arithmetic that is the same on every machine."""
    return ((np.arange(start, start + int(np.prod(shape))) * 0.6180339887) % 1.0).reshape(shape)


def study(draws=40, mark=0):
    """A small fitted study with everything that a study may hold; `mark` shifts all numbers."""
    draw_coords = {"chain": np.arange(4), "draw": np.arange(draws)}
    drawn = ("chain", "draw")
    families = {
        "family": np.array(["llama", "pythïa", "模型"]),
        "nick": ("family", np.array(["", "b", "c c"])),
    }
    header = {
        "format": 1,
        "bayescale_version": "0.1.0",
        "law": {"name": "chinchilla", "inputs": ["n_params", "n_tokens"]},
        "references": {"n_params": 1e9, "n_tokens": 2.5e10},
        "seed": 2**70,
        "findings": [],
        "none": None,
        "mark": mark,
    }
    posterior = xr.Dataset(
        {
            "E": (drawn, numbers(4, draws) + mark, {"units": "nats", "note": "Σ of 3"}),
            "alpha": (("chain", "draw", "family"), numbers(4, draws, 3, start=7) + mark),
            "B": (drawn, numbers(4, draws, start=3) + mark),
        },
        draw_coords | families,
        {
            "created_at": "2026-01-01T00:00:00",
            "sampling_time": 12.5,
            "tuning_steps": 1000,
            "sample_dims": [*drawn],
        },
    )
    stats = xr.Dataset(
        {
            "diverging": (drawn, numbers(4, draws) > 0.9),
            "n_steps": (drawn, np.arange(4 * draws).reshape(4, draws)),
            "never": (drawn, np.zeros((4, draws), bool)),
        },
        draw_coords,
    )
    edges = np.array([-0.0, 0.0, 5e-324, np.nan, np.inf, -np.inf, 1 / 3, np.finfo(float).max])
    constants = xr.Dataset(
        {
            "edges": ("edge", edges),
            "minus_zeros": ("edge", np.full(8, -0.0)),
            "payload": ("nan", np.array([0x7FF8000000000123, 0xFFF0000000000001], "u8").view("f8")),
            "single": ("edge", edges[:7].astype("f4").repeat(2)[:8]),
            "large": ("pair", np.array([-(2**63), 2**63 - 1])),
            "unsigned": ("pair", np.array([0, 2**64 - 1], "u8")),
            "reference": ((), 2.5e10),
            "label": ((), "één"),
            "seconds": ("pair", np.array([1.5, 2.5]), {"units": "seconds"}),
            "nothing": ("void", np.zeros(0)),
            "no_text": ("void", np.array([], dtype="U3")),
        }
    )
    runs = xr.Dataset(
        {
            "run_id": ("row", np.array(["r0", "", "r" * 60], dtype=object)),
            "n_params": ("row", np.array([1e8, 1e9, np.nan])),
            "is_final": ("row", np.array([True, False, True])),
        }
    )
    root = xr.Dataset(attrs={"bayescale": json.dumps(header)})
    groups = {
        "/": root,
        "posterior": posterior,
        "sample_stats": stats,
        "constant_data": constants,
        "runs": runs,
    }
    return xr.DataTree.from_dict(groups)


def fixture_study():
    """What stands in the fixture: every kind of content once, to keep the file small."""
    tree = study(draws=10)
    twice = {
        "constant_data": ["single", "unsigned", "minus_zeros", "seconds"],
        "sample_stats": ["never", "n_steps"],
    }
    for group, names in twice.items():
        tree[group] = xr.DataTree(tree[group].to_dataset().drop_vars(names))
    tree["sample_stats"] = xr.DataTree(tree["sample_stats"].to_dataset().drop_vars(["chain", "draw"]))
    return tree


if __name__ == "__main__":
    from bayescale.storage import save

    print(save(fixture_study(), FIXTURE), FIXTURE.stat().st_size)
