"""``bayescale check-extrapolation`` and ``average``: what smaller runs say of larger ones."""

import json
from argparse import Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING

from bayescale.cli import machine, show
from bayescale.cli.questions import named

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["average", "check", "tell_average"]


def check(given: Namespace) -> int:
    """Whether the smaller runs of a study foretell its largest."""
    from bayescale.comparison.extrapolation import check_extrapolation
    from bayescale.storage import open_study

    scales = {name: [text] for name, text in given.at} or None
    found = check_extrapolation(open_study(given.study), scales, held=given.held, prob=given.prob)
    rows, alone = found.rows, [k for k, v in found.rows.items() if not v.dims]
    if given.json:
        told = {"ok": found.ok, "headline": found.headline, "findings": [asdict(f) for f in found.findings]}
        scores = {str(name): float(rows[name]) for name in alone}
        machine.tell(told | scores | {"rows": machine.by_row(rows.rename(run="run_id"), "run_id")})
        return 0
    show.line(found.headline)
    show.findings(found.findings)
    show.foretold(
        rows,
        f"the runs held back, and {given.prob:.0%} intervals of what was foretold",
        z=[round(z, 1) for z in rows["z"].values.tolist()],
        decades_beyond=[round(x, 2) for x in rows["decades"].values.tolist()],
    )
    return 0


def average(given: Namespace) -> int:
    """Several laws as one prediction."""
    from bayescale.comparison.average import average
    from bayescale.storage import open_study, save

    studies = {name: open_study(path) for name, path in named(given.studies).items()}
    asked = {"weights": given.weights, "held": given.held, "workers": given.workers}
    found = average(studies, **asked, progressbar=not given.json)
    if given.output:
        save(found, given.output)
    tell_average(found, given.json)
    if not given.json:
        show.line(
            f"saved to {given.output}"
            if given.output
            else "nothing was saved: add -o both.nc to keep the average."
        )
    return 0


def tell_average(found: "xr.DataTree", as_json: bool) -> None:
    """The members of an average with their weights, and what was found."""
    rows = machine.by_row(found["weights"].to_dataset(), "member")
    record = json.loads(found.attrs["bayescale"])
    if as_json:
        machine.tell({k: record[k] for k in ("weights_from", "findings")} | {"members": rows})
        return
    columns = {name: [row[name] for row in rows] for name in sorted(rows[0], key=lambda k: k != "member")}
    show.table(columns, "laws of the average, and their weights")
