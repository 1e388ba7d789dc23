"""The package as a whole: what importing it costs, what it promises, what its README says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import bayescale as bs

ROOT = Path(__file__).parents[1]
HEAVY = (
    "numpy",
    "pandas",
    "xarray",
    "scipy",
    "pymc",
    "pytensor",
    "jax",
    "numpyro",
    "nutpie",
    "arviz",
    "matplotlib",
)


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout


def test_importing_the_package_loads_nothing_heavy():
    loaded = run("import bayescale, sys; print(' '.join(sys.modules))").split()
    assert not {name.partition(".")[0] for name in loaded} & set(HEAVY)


def test_a_certified_fit_loads_no_engine_library_and_no_scipy():
    code = (
        "import sys; sys.modules['dask'] = None; "  # as where it is not installed: it would load SciPy
        "import bayescale as bs, warnings; warnings.simplefilter('ignore', bs.BayescaleWarning); "
        "runs = bs.load_runs('chinchilla-figure4'); "
        "study = bs.fit(runs, discrepancy=None, random_seed=0, progressbar=False); "
        "str(bs.intervals(study)), bs.convergence(study); "
        "print(' '.join(sys.modules))"
    )
    loaded = {name.partition(".")[0] for name in run(code).split()}
    assert not loaded & {"pymc", "pytensor", "jax", "numpyro", "nutpie", "arviz", "matplotlib", "scipy"}


def test_every_public_name_can_be_reached_and_says_what_it_is():
    for name in bs.__all__:
        found = getattr(bs, name)
        assert (found.__doc__ or "").strip(), f"{name} has no docstring"


def test_rooms_do_not_hide_the_verbs_of_the_same_name():
    code = (
        "import bayescale.fitting, bayescale.model, bayescale.laws, bayescale as bs; "
        "print(callable(bs.fit), len(bs.laws()))"
    )
    assert run(code).split()[0] == "True"


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match="it has: .*allocate"):
        _ = bs.alocate


def test_ci_runs_the_test_command_of_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = re.search(r"```\n(pip install uv && uv run bayescale demo)\n(uv run pytest)\n```", readme)
    assert commands, "README.md no longer shows the two commands"
    assert "$uv run pytest" in script


def test_the_catalogue_in_the_readme_is_the_catalogue():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+|datablations|gemstones|tinyllava)`", readme))
    assert set(bs.list_studies()["study"]) <= named


@pytest.mark.slow
def test_the_example_of_the_readme_runs(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert example is not None
    done = subprocess.run(
        [sys.executable, "-c", example.group(1)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "study.nc").exists()
