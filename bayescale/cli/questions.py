"""The verbs that ask a saved study; each prints a table, or JSON."""

import json
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescale.cli import machine, show
from bayescale.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["allocate", "compare", "describe", "evidence", "exchange", "identify", "intervals", "predict"]


def intervals(given: Namespace) -> int:
    """Intervals of what was learnt."""
    from bayescale.queries.intervals import intervals
    from bayescale.storage import open_study

    found = intervals(open_study(given.study), prob=given.prob)
    if given.json:
        machine.tell(machine.by_quantity(found))
    else:
        show.intervals(found)
    return 0


def predict(given: Namespace) -> int:
    """Values at the scales of a file."""
    from bayescale.queries.predict import predict
    from bayescale.storage import open_study

    found = predict(
        open_study(given.study), given.scales, prob=given.prob, kind=given.kind, random_seed=given.seed
    )
    if given.json:
        machine.tell(machine.by_row(found, "scale"))
        return 0
    own = [str(name) for name in found.data_vars if name not in (*_PREDICTED, "decades_beyond")]
    columns: dict[str, Any] = {name: found[name].values.tolist() for name in own[:6]}
    columns |= {"median": found["median"].values.tolist(), "interval": _ends(found)}
    columns |= {"decades beyond": [round(x, 2) for x in found["decades_beyond"].values.tolist()]}
    what = "the law" if given.kind == "curve" else "one more run"
    show.table(columns, f"{what}, {found.attrs['metric']}, {given.prob:.0%} intervals")
    return 0


_PREDICTED = ("median", "mean", "lower", "upper")


def _ends(found: "xr.Dataset") -> list[str]:
    return [
        show.interval(low, high)
        for low, high in zip(found["lower"].values, found["upper"].values, strict=True)
    ]


def allocate(given: Namespace) -> int:
    """Best size and data for budgets."""
    from bayescale.queries.allocate import allocate
    from bayescale.storage import open_study

    found = allocate(
        open_study(given.study),
        given.flops,
        prob=given.prob,
        within=given.within,
        group=dict(given.group),
        given={name: _number(name, text) for name, text in given.given},
        random_seed=given.seed,
    )
    rows = machine.by_budget(found)
    if given.json:
        machine.tell(rows)
        return 0
    group = "" if found.attrs["group"] == "all" else f", group {found.attrs['group']}"
    title = f"law {found.attrs['law']}{group}: the best use of C = 6ND, and {given.prob:.0%} intervals"
    show.table(_allocated(rows, given.within), title)
    return 0


def exchange(given: Namespace) -> int:
    """Data that make up for a smaller model."""
    from bayescale.queries.exchange import exchange
    from bayescale.storage import open_study

    sizes = {k: getattr(given, k) for k in ("params_factor", "params_cap", "memory_gb", "bytes_per_param")}
    found = exchange(
        open_study(given.study), dict(given.at), **sizes, prob=given.prob, random_seed=given.seed
    )
    rows: dict[str, dict[str, Any]] = {}
    for kind in map(str, found["data"].values):
        own = found.sel(data=kind)
        rows[kind] = {
            quantity: {str(b): float(own[quantity].sel(bound=b)) for b in found["bound"].values}
            for quantity in ("factor", "amount")
        }
        rows[kind]["impossible"] = float(own["impossible"])
    if given.json:
        machine.tell({"new_params": float(found["new_params"]), "data": rows})
        return 0
    columns: dict[str, list[Any]] = {
        "data": list(rows),
        "times as much": [row["factor"]["median"] for row in rows.values()],
        "interval": [show.interval(row["factor"]["lower"], row["factor"]["upper"]) for row in rows.values()],
        "amount": [row["amount"]["median"] for row in rows.values()],
        "never enough": [f"{row['impossible']:.0%}" for row in rows.values()],
    }
    title = f"law {found.attrs['law']}: a model of {float(found['new_params']):.3g} parameters, as good"
    show.table(columns, f"{title}, {given.prob:.0%} intervals")
    return 0


def _allocated(rows: list[dict[str, Any]], within: float) -> dict[str, list[Any]]:
    """Columns of a table with a few lines for each budget."""
    lines: list[tuple[str, str, Any, str]] = []
    for row in rows:
        for name in ("n_params", "n_tokens", "tokens_per_param", "loss"):
            ends = show.interval(row[name]["lower"], row[name]["upper"])
            budget = show.figure(row["flops"]) if name == "n_params" else ""
            lines.append((budget, name, row[name]["median"], ends))
        near = show.interval(*(float(size) for size in row["near_best"]))
        lines.append(
            ("", f"n_params whose loss is within {within:.3g} of best", float(row["expected_best"]), near)
        )
    names = ("flops", "quantity", "median", "interval")
    return {name: [line[i] for line in lines] for i, name in enumerate(names)}


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"--given {name}={text}: {text!r} is no number, such as {name}=1e11.") from error


def compare(given: Namespace) -> int:
    """Studies ranked, best first."""
    from bayescale.comparison.compare import compare
    from bayescale.comparison.table import as_frame
    from bayescale.storage import open_study

    studies = {name: open_study(path) for name, path in named(given.studies).items()}
    asked = {"by": given.by, "refit": given.refit, "held": given.held, "workers": given.workers}
    table = compare(studies, given.criterion, **asked, random_seed=given.seed)
    rows = as_frame(table).reset_index()
    if given.json:
        machine.tell(machine.records(rows))
        return 0
    show.frame(rows)
    told = (
        f"log density of each {given.by} given all others"
        if given.by
        else _SCORED[given.criterion].format(**table.attrs)
    )
    show.line(f"elpd: {told}, nats; higher is better. diff: to the best.")
    show.line(_WEIGHTS[given.criterion == "evidence"])
    return 0


_SCORED = {
    "loo": "summed leave-one-out log density",
    "future": "summed log density of the runs beyond {split}, given those",
    "evidence": "log density of all values, parameters averaged over their priors",
}
_WEIGHTS = (
    "weight: share in the mixture that predicts best, no probability that a law is true.",
    "weight: probability if all were equally likely beforehand and one of them were true.",
)


def evidence(given: Namespace) -> int:
    """Log marginal likelihood, and its change with each prior."""
    from bayescale.comparison.evidence import evidence
    from bayescale.runs.findings import Finding
    from bayescale.storage import open_study

    found = evidence(open_study(given.study), random_seed=given.seed)
    numbers = {str(k): float(v) for k, v in found.data_vars.items() if not v.dims}
    changes = {str(k): float(v) for k, v in zip(found["parameter"].values, found["by_prior"], strict=True)}
    kept = json.loads(found.attrs["findings"])
    if given.json:
        machine.tell({**found.attrs, **numbers, "by_prior": changes, "findings": kept})
        return 0
    show.line(
        f"law {found.attrs['law']}, {found.attrs['rows']} runs: log evidence {numbers['log_evidence']:.2f} "
        f"nats, standard error {numbers['error']:.2g}"
    )
    show.table({"prior": list(changes), "change if its scale were doubled": list(changes.values())})
    show.findings(Finding(**finding) for finding in kept if finding["severity"] == "note")
    return 0


def named(paths: list[str]) -> dict[str, str]:
    """Studies by the name of their file, or by the whole path where two files have one name."""
    if len(set(paths)) < len(paths):
        raise InputError(f"a study is named twice in {', '.join(paths)}. Name two different files.")
    stems = [Path(path).stem for path in paths]
    return {stem if stems.count(stem) == 1 else path: path for stem, path in zip(stems, paths, strict=True)}


def identify(given: Namespace) -> int:
    """What the runs tell of each parameter."""
    from bayescale.diagnostics.identification import identify
    from bayescale.storage import open_study

    found = identify(open_study(given.study))
    rows = found.table.reset_index()
    if given.json:
        told = {"ok": found.ok, "headline": found.headline, "floor_share": found.floor_share}
        machine.tell(told | {"findings": [asdict(f) for f in found.findings], "table": machine.records(rows)})
        return 0
    show.line(found.headline)
    show.findings(found.findings)
    show.frame(rows)
    return 0


def describe(given: Namespace) -> int:
    """What a study is, whether its draws are sound, and what was learnt."""
    from bayescale.cli.ahead import tell_average
    from bayescale.diagnostics.convergence import convergence
    from bayescale.queries.intervals import intervals
    from bayescale.queries.study import AVERAGE
    from bayescale.storage import open_study

    post = open_study(given.study)
    told = json.loads(post.attrs["bayescale"])
    if told.get("kind") == AVERAGE:
        tell_average(post, given.json)
        if not given.json:
            _findings(told, ())
            show.line(
                "predict and allocate take the average; intervals and identify take its members' studies."
            )
        return 0
    found, verdict = intervals(post, prob=given.prob), convergence(post)
    if given.json:
        sound = {
            "ok": verdict.ok,
            "headline": verdict.headline,
            "findings": [asdict(f) for f in verdict.findings],
        }
        machine.tell(told | {"convergence": sound, "intervals": machine.by_quantity(found)})
        return 0
    show.fields(_record(told))
    show.line()
    show.line(verdict.headline)
    _findings(told, verdict.findings)
    show.intervals(found)
    return 0


def _record(told: dict[str, Any]) -> list[tuple[str, str]]:
    """The record of a study, in the order in which one asks."""
    engine, noise = told.get("engine", {}), told.get("noise", {})
    ranges = told.get("input_range", {})
    return [
        ("law", told["law"]),
        ("runs", str(told.get("n_runs", ""))),
        ("metric", told["metric"]),
        *((f"range of {name}", show.interval(*ends)) for name, ends in ranges.items()),
        *((f"reference {name}", show.figure(scale)) for name, scale in told["reference"].items()),
        *((f"read for {name}", column) for name, column in told["columns"].items() if column != name),
        ("noise", f"{noise.get('type', '')} on the {noise.get('on', '')}"),
        *((f"{letter} varies over", ", ".join(factors)) for letter, factors in told["pool"].items()),
        *((f"groups of {name}", ", ".join(labels)) for name, labels in told["labels"].items()),
        *((f"prior of {name}", _prior(stated)) for name, stated in told["priors"].items()),
        ("engine", str(engine.get("why") or engine.get("name", ""))),
        ("seed", str(told.get("random_seed", ""))),
        ("made by", f"bayescale {told.get('bayescale_version', '')}"),
    ]


def _prior(stated: dict[str, Any]) -> str:
    inside = ", ".join(
        f"{name} {show.figure(value)}" for name, value in stated.items() if name != "distribution"
    )
    return f"{stated['distribution']}, {inside}"


def _findings(told: dict[str, Any], more: Any) -> None:
    from bayescale.runs.findings import Finding

    kept = [Finding(**finding) for finding in told.get("findings", ())]
    show.findings(dict.fromkeys([*kept, *more]))
