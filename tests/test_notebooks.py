"""Notebooks: what is committed is whole and uses the public surface alone, and it runs for real."""

import ast
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

import bayescale as bs

_FOLDER = Path(__file__).parents[1] / "notebooks"
_NAMES = (
    "01_first_fit",
    "02_families_share_strength",
    "03_your_own_runs",
    "04_which_law",
    "05_compression_factors",
    "06_compression_hypotheses",
    "07_native_multimodal",
    "08_token_space",
    "09_tokens_against_parameters",
    "10_can_you_believe_it",
)
_OTHERS = {"matplotlib", "numpy", "pandas"}
_PATHS = re.compile(r"(?<![\w.])(?:/(?:home|root|tmp|usr|var|work|mnt|Users|private)/|[A-Za-z]:\\\\?Users)")
_DRAWS = re.compile(r"plt\.subplots|\.plots\.plot_")
_A_CELL = 1800  # seconds: the slowest samples a pooled law, perhaps on a busy machine


def _read(name: str) -> NotebookNode:
    return nbformat.read(_FOLDER / f"{name}.ipynb", as_version=4)


def _code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _shows_figure(cell: NotebookNode) -> bool:
    return any("image/png" in output.get("data", {}) for output in cell.outputs)


def _tree(notebook: NotebookNode) -> ast.Module:
    return ast.parse("\n".join(cell.source for cell in _code(notebook)))


@pytest.fixture(params=_NAMES)
def notebook(request):
    return _read(request.param)


def test_every_notebook_of_the_folder_is_tested():
    assert sorted(path.stem for path in _FOLDER.glob("*.ipynb")) == sorted(_NAMES)


def test_a_notebook_is_valid_and_names_no_machine(notebook):
    nbformat.validate(notebook)
    assert dict(notebook.metadata.kernelspec) == {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


def test_a_notebook_was_run_from_top_to_bottom(notebook):
    counts = [cell.execution_count for cell in _code(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_no_cell_ended_in_an_error_or_wrote_to_standard_error(notebook):
    for cell in _code(notebook):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", output.text


def test_every_cell_that_draws_shows_its_figure(notebook):
    drawing = [cell for cell in _code(notebook) if _DRAWS.search(cell.source)]
    assert drawing
    for cell in drawing:
        assert _shows_figure(cell), cell.source


def test_a_notebook_ends_with_a_figure_and_a_sentence(notebook):
    *_, figure, sentence = notebook.cells
    assert figure.cell_type == "code"
    assert _shows_figure(figure)
    assert sentence.cell_type == "markdown"
    assert sentence.source.endswith(".")


def test_a_notebook_is_short_and_small(notebook):
    assert 10 <= len(notebook.cells) <= 18
    assert len(nbformat.writes(notebook)) < 1_000_000


def test_no_path_of_a_machine_is_in_a_notebook(notebook):
    found = _PATHS.search(nbformat.writes(notebook))
    assert found is None, found


def test_the_search_for_paths_finds_them():
    assert _PATHS.search('"/home/someone/runs.csv"')
    assert _PATHS.search("saved to /tmp/study.nc")
    assert _PATHS.search(r"C:\\Users\\someone")
    assert not _PATHS.search("tokens/home/pages")


def test_a_notebook_imports_the_package_as_a_user_does(notebook):
    for node in ast.walk(_tree(notebook)):
        if isinstance(node, ast.ImportFrom):
            assert node.module, "a relative import"
            assert node.module.split(".")[0] in _OTHERS | sys.stdlib_module_names, node.module
        if isinstance(node, ast.Import):
            for alias in node.names:
                own = (alias.name, alias.asname) == ("bayescale", "bs")
                assert own or alias.name.split(".")[0] in _OTHERS | sys.stdlib_module_names, alias.name


def test_a_notebook_uses_public_names_only(notebook):
    used = {ast.unparse(node) for node in ast.walk(_tree(notebook)) if isinstance(node, ast.Attribute)}
    plots = {name.removeprefix("bs.plots.") for name in used if re.fullmatch(r"bs\.plots\.\w+", name)}
    top = {name.removeprefix("bs.") for name in used if re.fullmatch(r"bs\.\w+", name)}
    assert top
    assert top <= set(bs.__all__)
    assert plots <= set(bs.plots.__all__)


@pytest.mark.notebooks
@pytest.mark.parametrize("name", _NAMES)
def test_a_notebook_runs_for_real(name, tmp_path):
    from nbclient import NotebookClient

    committed, fresh = _read(name), _read(name)
    for cell in _code(fresh):
        cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        fresh, timeout=_A_CELL, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()  # raises where a cell does
    assert any(_shows_figure(cell) for cell in _code(fresh))
    for before, now in zip(_code(committed), _code(fresh), strict=True):
        assert _shows_figure(now) == _shows_figure(before), now.source
        assert not any(output.output_type == "error" for output in now.outputs)
    assert not list(tmp_path.iterdir()), "a notebook leaves no file behind"
