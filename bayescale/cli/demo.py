"""The main job on published runs: fit, question, allocate, compare, draw, save."""

import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescale.errors import BayescaleWarning, InputError

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console

    from bayescale.runs.table import RunTable

__all__ = ["run_demo"]

# Printed estimates of the law on these points, with standard errors where the source has them.
_PUBLISHED: tuple[dict[str, Any], ...] = (
    {"source": "Hoffmann 2022, printed", "E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
    {
        "source": "Besiroglu 2024, 240 points",
        "E": 1.8172,
        "A": 482.01,
        "B": 2085.43,
        "alpha": 0.3478,
        "beta": 0.3658,
        "a": 0.513,
    },
)

# What else has been said of the best size for 1e24 FLOP from the same points. The first three are worked
# out here from printed constants; the last two are as reported of two public packages.
_CONSTANTS: tuple[tuple[str, tuple[float, float, float, float]], ...] = (
    ("Hoffmann 2022 (arXiv 2203.15556), constants as printed, rounded", (406.4, 410.7, 0.34, 0.28)),
    ("the same, unrounded in the paper's source", (406.4, 410.7, 0.3392, 0.2849)),
    ("Besiroglu 2024 (arXiv 2404.10102), replication on 240 points", (482.01, 2085.43, 0.3478, 0.3658)),
)
_REPORTED: tuple[tuple[str, float], ...] = (
    ("a first public package on the same points, as reported", 131e9),
    ("a second public package on the same points, as reported", 160e9),
)
_COMMON_EXPONENTS = ((0.245, 0.027), (0.270, 0.029))  # alpha, beta: published pooled estimate and deviation
_BUDGET = 1e24


def run_demo(folder: str = "bayescale-demo", seed: int = 0) -> int:
    """Run the demonstration, print its tables, and write figures and studies to `folder`.

    Returns
    -------
    int
        0, the exit status.
    """
    from rich.console import Console

    import bayescale as bs

    began = time.perf_counter()
    console = Console()
    if not console.is_terminal:
        console = Console(width=110)
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the folder {folder!r} cannot be made: {error.strerror}. Name another: --folder."
        ) from error
    console.print("[bold]bayescale demo[/bold]: scaling laws fitted to published runs, with intervals\n")
    try:
        points = bs.load_runs("chinchilla-figure4")
    except InputError as error:
        console.print(f"[yellow]Without the Chinchilla points[/yellow]: {error}\n")
        points = None
    if points is not None:
        _points(console, points, target, seed)
    _families(console, target, seed)
    console.print(
        f"Figures and studies are in [bold]{target}[/bold]. Question one: "
        f"bayescale intervals {target / 'families.nc'}\n"
        f"[dim]{time.perf_counter() - began:.0f} s in all.[/dim]"
    )
    return 0


def _points(console: "Console", points: "RunTable", folder: Path, seed: int) -> None:
    """The digitised Chinchilla points: five outliers, two noises, the optimum, three laws."""
    import bayescale as bs

    kept = points.where(lambda frame: ~frame["flag"].str.contains("authors_outlier"))
    console.print(
        f"[bold]1. One law, {len(points)} runs[/bold] digitised from Hoffmann et al. 2022, Figure 4. "
        f"The replication dropped {len(points) - len(kept)} of them as badly extracted; heavy-tailed noise "
        "need not."
    )
    studies = {
        "240, Student-t": _fit(console, kept, discrepancy=None, seed=seed),
        "245, Student-t": _fit(console, points, discrepancy=None, seed=seed),
        "245, normal": _fit(console, points, noise="normal", discrepancy=None, seed=seed),
    }
    found = {name: bs.intervals(study, prob=0.8) for name, study in studies.items()}
    _table_of_estimates(console, found)
    _said(console, found)
    study = studies["240, Student-t"]
    drifting = _fit(console, kept, seed=seed)
    _prediction(console, study, drifting)
    _optimum(console, study, drifting)
    _laws(console, kept, study, folder, seed)
    bs.save(drifting, folder / "chinchilla.nc")
    _draw(folder / "law.png", lambda: bs.plots.plot_law(bs.curve(study, "flops")))
    _draw(folder / "isoflop.png", lambda: bs.plots.plot_isoflop(bs.isoflop(study)))
    _draw(folder / "residuals.png", lambda: bs.plots.plot_residuals(bs.residuals(study)))


def _families(console: "Console", folder: Path, seed: int) -> None:
    """Three data sets of one study share exponents, and lend strength to their floors and amplitudes."""
    import bayescale as bs

    runs = bs.load_runs("gadre-overtraining")
    names = ", ".join(n.removeprefix("openlm-") for n in sorted(set(runs.frame["family"])))
    console.print(
        f"\n[bold]2. Families share strength[/bold]: {len(runs)} runs of Gadre et al. 2024 "
        f"(arXiv 2403.08540) on {names}; floor and amplitudes vary by family, exponents are common."
    )
    pooled = _fit(
        console, runs, pool={"E": "family", "A": "family", "B": "family"}, discrepancy=None, seed=seed
    )
    found = bs.intervals(pooled, prob=0.8)
    table = _table("quantity", *(n.removeprefix("openlm-") for n in found["family"].values), "population")
    for letter in ("E", "A", "B"):
        own = [_cell(found[letter].sel(family=f)) for f in found["family"].values]
        shared = _cell(found[f"{letter}_population"]) if f"{letter}_population" in found else ""
        table.add_row(letter, *own, shared)
    console.print(table)
    said = []
    for letter, (centre, deviation) in zip(("alpha", "beta"), _COMMON_EXPONENTS, strict=True):
        said.append(f"{letter} {_cell(found[letter])}, published {centre:.3f} ± {deviation:.3f}")
    console.print(f"Common exponents, 80 % intervals: {'; '.join(said)}.\n")
    bs.save(pooled, folder / "families.nc")
    _draw(folder / "families.png", lambda: bs.plots.plot_law(bs.curve(pooled, "flops", by="family")))
    _draw(folder / "pooling.png", lambda: bs.plots.plot_forest(bs.pooling(pooled)))


def _fit(console: "Console", runs: "RunTable", *, seed: int, **choices: Any) -> "xr.DataTree":
    import json

    import bayescale as bs

    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)  # said below, in one line
        study = bs.fit(runs, random_seed=seed, **choices)
    engine = json.loads(study.attrs["bayescale"])["engine"]
    how = ", ".join(f"{k}={v}" for k, v in choices.items() if k not in ("pool", "discrepancy"))
    how += ("; " if how else "") + "law exact" if choices.get("discrepancy", "auto") is None else ""
    verdict = bs.convergence(study)
    console.print(
        f"[dim]   fitted {how or 'the default'} in {time.perf_counter() - began:.1f} s; "
        f"{engine.get('why', engine['name'])}. {verdict.headline}[/dim]",
        highlight=False,
    )
    return study


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right", overflow="fold", no_wrap=i == 0)
    return table


def _cell(values: "xr.DataArray", unit: float = 1.0, digits: int = 3) -> str:
    """Median with its interval."""
    middle, low, high = (float(values.sel(bound=b)) / unit for b in ("median", "lower", "upper"))
    places = max(0, digits - 1) if abs(middle) >= 1 else digits
    places = 0 if abs(middle) >= 100 else places
    return f"{middle:,.{places}f} ({low:,.{places}f}, {high:,.{places}f})"


def _table_of_estimates(console: "Console", found: Mapping[str, "xr.Dataset"]) -> None:
    table = _table("quantity", *(row["source"] for row in _PUBLISHED), *(f"ours: {k}" for k in found))
    for name in ("E", "alpha", "beta", "A", "B", "a"):
        printed = [f"{row[name]:g}" if name in row else "" for row in _PUBLISHED]
        table.add_row(name, *printed, *(_cell(study[name]) for study in found.values()))
    table.caption = "medians and 80 % intervals; a: the best size grows as compute to the power a"
    console.print(table)


def _said(console: "Console", found: Mapping[str, "xr.Dataset"]) -> None:
    beta = {name: float(study["beta"].sel(bound="median")) for name, study in found.items()}
    console.print(
        f"Five points move beta from {beta['240, Student-t']:.3f} to {beta['245, normal']:.3f} with normal "
        f"noise, and to {beta['245, Student-t']:.3f} with Student-t noise, which is the default.\n"
    )


def _prediction(console: "Console", exact: "xr.DataTree", drifting: "xr.DataTree") -> None:
    import bayescale as bs

    scale = {"n_params": [70e9], "n_tokens": [1.4e12]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        law, run = (bs.predict(study, scale, kind="run").isel(scale=0) for study in (exact, drifting))
    console.print(
        f"A new run of 70B parameters on 1.4T tokens, 10^{float(run['decades_beyond']):.1f} times beyond the "
        f"runs: loss {float(run['median']):.3f} ({float(run['lower']):.3f}, {float(run['upper']):.3f}), 90 % "
        f"interval that allows the law to drift, as fits do by default; {float(law['median']):.3f} "
        f"({float(law['lower']):.3f}, {float(law['upper']):.3f}) if it held exactly. Exact laws have been "
        "wrong beyond their runs far more often than such intervals say (docs/extrapolation.md).\n",
        highlight=False,
    )


def _optimum(console: "Console", exact: "xr.DataTree", drifting: "xr.DataTree") -> None:
    import bayescale as bs

    table = _table(f"best size for {_BUDGET:.0e} FLOP, by", "N, billions")
    for source, constants in _CONSTANTS:
        table.add_row(source, f"{_closed_form(*constants) / 1e9:.0f}")
    for source, size in _REPORTED:
        table.add_row(source, f"{size / 1e9:.0f}")
    for said, study in (("law exact", exact), ("law may drift", drifting)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BayescaleWarning)
            best = bs.allocate(study, _BUDGET).isel(flops=0)
        low, high = best["near_best"].values / 1e9
        table.add_row(f"[bold]ours, {said}: median and 90 % interval[/bold]", _cell(best["n_params"], 1e9, 1))
        table.add_row("   within 1 % of the best expected loss", f"{low:,.0f} to {high:,.0f}")
    console.print(table)


def _closed_form(a_size: float, a_data: float, alpha: float, beta: float) -> float:
    """Best size under C = 6ND from the printed constants of the law."""
    ratio = (alpha * a_size / (beta * a_data)) ** (1 / (alpha + beta))
    return ratio * (_BUDGET / 6) ** (beta / (alpha + beta))


def _laws(console: "Console", runs: "RunTable", chinchilla: "xr.DataTree", folder: Path, seed: int) -> None:
    """Three laws on the same runs, by leave-one-out."""
    import bayescale as bs
    from bayescale.comparison.table import as_frame

    studies = {
        "chinchilla": chinchilla,
        "chinchilla_shared": _fit(console, runs, law="chinchilla_shared", discrepancy=None, seed=seed),
        "kaplan": _fit(console, runs, law="kaplan", discrepancy=None, seed=seed),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        compared = bs.compare(studies)
    table = _table("law", "elpd (leave one out)", "difference to best", "standard error", "weight")
    for name, row in as_frame(compared).iterrows():
        table.add_row(
            str(name),
            f"{row['elpd']:.1f}",
            f"{row['elpd_diff']:.1f}",
            f"{row['diff_se']:.1f}",
            f"{row['weight']:.2f}",
        )
    table.caption = "higher is better; inside the range of the runs, which says little of far beyond it"
    console.print(table)
    _draw(folder / "comparison.png", lambda: bs.plots.plot_comparison(compared))


def _draw(path: Path, draw: Callable[[], Any]) -> None:
    """Write one figure, without touching what the caller has open."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    import matplotlib.pyplot as plt
    import numpy as np

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        ax = np.ravel(np.asarray(draw(), dtype=object))[0]
    ax.figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(ax.figure)
