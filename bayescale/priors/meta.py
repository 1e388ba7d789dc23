"""Meta-analysis: published estimates pooled, so that what was learnt elsewhere becomes a prior."""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayescale.errors import BayescaleWarning, InputError
from bayescale.laws import Kind
from bayescale.priors.hierarchy import Hierarchy, agreement, hierarchy
from bayescale.priors.prior import Prior, as_prior, unlink
from bayescale.priors.published import checked_estimates

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["SHAPE", "meta_analysis", "scale_kind"]

_SUPPORT: dict[str, Literal["positive", "unit", "real"]] = {
    "log": "positive",
    "logit": "unit",
    "identity": "real",
}
SHAPE = {"log": "LogNormal", "logit": "LogitNormal", "identity": "Normal"}
_SPREAD = 0.3  # half-normal scale of the spread on the log, as `fit` takes it for exponents and floors
_TOO_ALIKE = 0.05


def scale_kind(scale: str) -> Kind:
    """A kind whose link is that scale."""
    return Kind("value", _SUPPORT[scale], "a published value")


def meta_analysis(
    estimates: Any,
    *,
    parameters: Sequence[str] | None = None,
    group: str = "group",
    scale: Mapping[str, str] | None = None,
    priors: Mapping[str, Any] | None = None,
    correlation: float = 0.0,
    draws: int = 4000,
    random_seed: int = 0,
) -> "xr.DataTree":
    r"""Posterior of what groups have in common, from their published estimates.

    .. math:: y_j \sim N(\theta_j, s_j^2), \quad \theta_j \sim N(\mu, \tau^2)

    on the scale on which `fit` pools (the log for positive parameters). Exact: :math:`\mu` and
    :math:`\theta` are integrated in closed form, :math:`\tau` on a grid; draws are independent.

    Parameters
    ----------
    estimates : DataFrame or list of mappings
        One row for each: ``group``, ``parameter``, ``estimate``, ``se`` (in the unit of the estimate);
        `load_estimates` has such tables.
    parameters : sequence of str, optional
        Which ones; all by default. Each is analysed by itself, since papers do not print how errors of
        different parameters move together.
    group : str, default "group"
        Column that names whose estimate it is.
    scale : mapping of str to {"log", "logit", "identity"}, optional
        By parameter. The log by default where all estimates are positive, else the value itself. On the
        log an estimate is taken for the median and ``se / estimate`` for the coefficient of variation.
    priors : mapping, optional
        ``{"alpha": ..., "alpha_sd": ...}``. By default the population has a log-normal about the middle of
        the estimates, one wide on the log; the spread between groups a half-normal of .3, which is what
        `fit` takes for exponents. On the value itself both are as wide as the estimates' own range.
    correlation : float, default 0
        Between the errors of any two groups, from 0 to below 1: runs that share seeds, sizes or data
        share errors, which then say nothing of the differences between groups.
    draws : int, default 4000
        Kept draws, in four chains.
    random_seed : int

    Returns
    -------
    DataTree
        ``posterior`` with dims (chain, draw) and the group: ``alpha`` (each group's own value, shrunk; of
        a group without an estimate, the prediction), ``alpha_population``, ``alpha_sd`` (the spread, on
        the scale of the analysis) and ``alpha_new`` (one more group). ``estimates`` holds what came in.
        Every ArviZ function takes it; `prior_from` and `meta_intervals` too.

    Raises
    ------
    InputError
        Faults of the table, or an impossible option.

    Warns
    -----
    BayescaleWarning
        If estimates agree more closely than their standard errors allow, so that these are too large or
        the errors are correlated; or if there are fewer than three groups, and the prior of the spread
        decides how far they are pooled.

    Examples
    --------
    >>> import bayescale as bs
    >>> table = bs.load_estimates("nmm").query("place == 'table 3' and parameter == 'beta'")
    >>> meta = bs.meta_analysis(table, correlation=0.5)
    >>> prior = bs.prior_from(meta, "beta")
    """
    import xarray as xr

    frame = checked_estimates(estimates, group)
    wanted = _wanted(frame, parameters)
    _check_options(scale or {}, priors or {}, wanted, correlation, draws)
    labels = list(dict.fromkeys(frame["group"]))
    seeds = _seeds(random_seed, len(wanted))
    found, told, kept, said = {}, {}, {}, []
    for name, seed in zip(wanted, seeds, strict=True):
        rows: Any = frame[frame["parameter"] == name]
        part = _assembled(name, rows, scale or {}, priors or {}, correlation)
        found |= _draws(part, labels, draws // 4, np.random.default_rng(seed))
        told[name] = part.record()
        kept |= {f"{name}_{k}": ("group", _spread_out(rows, labels, k)) for k in ("estimate", "se")}
        said += _doubts(part)
    if said:
        warnings.warn("\n".join(["these estimates ask for care:", *said]), BayescaleWarning, 2)
    coords = {"chain": np.arange(4), "draw": np.arange(draws // 4), "group": labels}
    tree = xr.DataTree.from_dict(
        {"posterior": xr.Dataset(found, coords), "estimates": xr.Dataset(kept, coords)}
    )
    tree.attrs["meta_analysis"] = json.dumps({"parameters": told, "correlation": correlation})
    return tree


@dataclass(frozen=True, eq=False)
class _Part:
    """One parameter: the scale it is analysed on, its estimates there, and the posterior."""

    name: str
    scale: str
    groups: tuple[str, ...]
    s: np.ndarray
    agreement: float
    found: Hierarchy

    @property
    def kind(self) -> Kind:
        """A kind whose link is the scale of the analysis."""
        return scale_kind(self.scale)

    def record(self) -> dict[str, Any]:
        """What is kept of it, for JSON: means and SDs on the scale of the analysis."""
        pairs = zip(self.groups, self.found.y, self.s, strict=True)
        return {
            "scale": self.scale,
            "population": self.found.population,
            "new": self.found.new,
            "spread": self.found.spread,
            "groups": dict(zip(self.groups, self.found.groups, strict=True)),
            "agreement": self.agreement,
            "estimates": {g: (float(y), float(s)) for g, y, s in pairs},
        }


def _wanted(frame: "pd.DataFrame", parameters: Sequence[str] | None) -> list[str]:
    here = list(dict.fromkeys(frame["parameter"]))
    if parameters is not None and not isinstance(parameters, Sequence):
        raise InputError(f"parameters={parameters!r}: give names, as in parameters=['alpha', 'beta'].")
    wanted = [parameters] if isinstance(parameters, str) else list(parameters or here)
    for name in wanted:
        if name not in here:
            raise InputError(f"there is no estimate of {name!r}; there are: {', '.join(here)}.")
    made = [f"{name}_{end}" for name in wanted for end in ("sd", "new", "population")]
    clash = sorted(set(made) & set(wanted))
    if clash:
        raise InputError(f"a parameter called {clash[0]!r} would hide part of another's answer: rename it.")
    return wanted


def _check_options(
    scale: Mapping[str, str], priors: Mapping[str, Any], wanted: list[str], correlation: Any, draws: Any
) -> None:
    for option, given in (("scale", scale), ("priors", priors)):
        if not isinstance(given, Mapping):
            raise InputError(
                f"{option}={given!r}: give a mapping by parameter, as in {option}={{'alpha': ...}}."
            )
    for name, told in scale.items():
        if name not in wanted or told not in _SUPPORT:
            raise InputError(
                f"scale={{{name!r}: {told!r}}}: give {', '.join(_SUPPORT)} for one of {', '.join(wanted)}."
            )
    allowed = [k for name in wanted for k in (name, f"{name}_sd")]
    for name in priors:
        if name not in allowed:
            raise InputError(f"priors= names {name!r}; there are: {', '.join(allowed)}.")
    number = isinstance(correlation, int | float) and not isinstance(correlation, bool)
    if not number or not 0 <= correlation < 1:
        raise InputError(f"correlation={correlation!r} must be a number from 0 to below 1, as in 0.5.")
    if not isinstance(draws, int) or isinstance(draws, bool) or not 4 <= draws <= 1_000_000:
        raise InputError(f"draws={draws!r} must be a whole number from 4 to 1,000,000.")


def _seeds(random_seed: Any, count: int) -> list[np.random.SeedSequence]:
    if not isinstance(random_seed, int | np.integer) or random_seed < 0:
        raise InputError(f"random_seed={random_seed!r} must be a whole number of at least 0.")
    return np.random.SeedSequence(int(random_seed)).spawn(count)


def _assembled(
    name: str, rows: Any, scale: Mapping[str, str], priors: Mapping[str, Any], correlation: float
) -> _Part:
    estimate, se = rows["estimate"].to_numpy(dtype=float), rows["se"].to_numpy(dtype=float)
    on = scale.get(name, "log" if (estimate > 0).all() else "identity")
    groups = tuple(rows["group"])
    y, s = _on_scale(name, on, estimate, se, groups)
    errors = np.diag(s**2 * (1 - correlation)) + correlation * np.outer(s, s)
    centre, width = _centre(name, on, y, s, priors)
    found = hierarchy(y, errors, centre, width, _spread_prior(name, on, y, s, priors))
    return _Part(name, on, groups, s, agreement(y, errors), found)


def _on_scale(
    name: str, on: str, estimate: np.ndarray, se: np.ndarray, groups: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    outside = np.zeros(len(estimate), dtype=bool) if on == "identity" else estimate <= 0
    if on == "logit":
        outside |= estimate >= 1
    if outside.any():
        at = int(np.flatnonzero(outside)[0])
        raise InputError(
            f"{name} of {groups[at]}: {estimate[at]:g} has no {on}. Use scale={{{name!r}: 'identity'}}."
        )
    if on == "log":
        return np.log(estimate), np.sqrt(np.log1p((se / estimate) ** 2))
    if on == "logit":
        return np.log(estimate / (1 - estimate)), se / (estimate * (1 - estimate))
    return estimate, se


def _centre(
    name: str, on: str, y: np.ndarray, s: np.ndarray, priors: Mapping[str, Any]
) -> tuple[float, float]:
    """Normal prior of the population's value on the scale of the analysis."""
    if name not in priors:
        return float(np.median(y)), 1.0 if on != "identity" else float(np.ptp(y) + 3 * s.max())
    prior = as_prior(priors[name], name, scale_kind(on))
    if prior.distribution != SHAPE[on]:
        raise InputError(
            f"prior of {name!r}: {prior} is not {SHAPE[on]}, which the analysis on the {on} integrates "
            "exactly. Give that, or between(lower, upper)."
        )
    return prior.arguments["mu"], prior.arguments["sigma"]


def _spread_prior(name: str, on: str, y: np.ndarray, s: np.ndarray, priors: Mapping[str, Any]) -> Prior:
    if f"{name}_sd" not in priors:
        wide = {"log": _SPREAD, "logit": 1.0}.get(on, float(max(np.ptp(y), s.max())))
        return Prior("HalfNormal", sigma=wide)
    kind = Kind("spread", "positive", "a spread between groups")
    return as_prior(priors[f"{name}_sd"], f"{name}_sd", kind)


def _draws(part: _Part, labels: list[str], n: int, rng: np.random.Generator) -> dict[str, Any]:
    """Independent draws in four chains; groups without an estimate are drawn from the population."""
    unseen = [label for label in labels if label not in part.groups]
    tau, mu, own = part.found.sample(4 * n, len(unseen) + 1, rng)
    order = [*part.groups, *unseen]
    theta = own[:, [order.index(label) for label in labels]]
    dims = ("chain", "draw")
    return {
        part.name: ((*dims, "group"), unlink(part.kind, theta).reshape(4, n, len(labels))),
        f"{part.name}_population": (dims, unlink(part.kind, mu).reshape(4, n)),
        f"{part.name}_sd": (dims, tau.reshape(4, n)),
        f"{part.name}_new": (dims, unlink(part.kind, own[:, -1]).reshape(4, n)),
    }


def _spread_out(rows: Any, labels: list[str], column: str) -> np.ndarray:
    held = dict(zip(rows["group"], rows[column], strict=True))
    return np.array([held.get(label, np.nan) for label in labels])


def _doubts(part: _Part) -> list[str]:
    said = []
    if len(part.groups) > 2 and part.agreement < _TOO_ALIKE:
        said.append(
            f"- {part.name}: {len(part.groups)} estimates agree more closely than their standard errors "
            f"allow (chance {part.agreement:.3f}): the errors are too large, or groups share them. See "
            "whether the answer holds with correlation=0.5 and above."
        )
    if len(part.groups) < 3:
        said.append(
            f"- {part.name}: {len(part.groups)} group{'s say' if len(part.groups) > 1 else ' says'} little "
            f"of the spread between groups; its prior decides. State yours: priors={{'{part.name}_sd': ...}}."
        )
    return said
