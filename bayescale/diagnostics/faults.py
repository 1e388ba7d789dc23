"""What can be wrong with draws, and the words for it: one rule a function, one message a row."""

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bayescale.diagnostics.scalars import Scalars, listed
from bayescale.diagnostics.statistics import bfmi
from bayescale.runs.findings import Finding

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = [
    "common_length",
    "of_chains",
    "of_mixing",
    "of_sampler",
    "of_values",
    "of_weights",
    "rhat_by_chance",
]

_LEAST_DRAWS = 100  # a chain; below it the statistics themselves are noise
_HOPELESS_RHAT = 1.05  # well beyond chance at any number of draws worth having
_SAFE_ESS = 1000  # near 440, a sampler without fault exceeds R-hat 1.01 in most fits
_LEAST_ENERGY_FRACTION = 0.3
_ROUGH_KHAT = 0.5

_WORDS = {
    "unequal-chains": "chains differ in length: of {total:,} draws, {which}. "
    "Cut all to {least:,} draws (isel(draw=slice({least}))) or fit again.",
    "partial-fit": "the fit was interrupted, and these are the draws until then. "
    "Fit again for the full number.",
    "one-chain": "there is one chain, so nothing shows whether another would agree. Use chains=4.",
    "few-draws": "only {least} draws a chain: too few to judge or to use. Raise draws to 1000.",
    "nan-draws": "NaN in {which}. Nothing computed from these draws means anything: "
    "check the runs and the priors, and fit again.",
    "infinite-draws": "infinite draws in {which}. Give these a tighter prior and fit again.",
    "constant-draws": "every draw is the same (constant) for {which}: the sampler never moved. "
    "Fit again with another random_seed and more tune.",
    "stuck-chain": "a chain is stuck at one value (constant): {which}. "
    "Fit again with another random_seed and more tune.",
    "no-statistics": "R-hat or effective draws cannot be computed (NaN) for {which}; that counts as "
    "not converged. Fit again with draws=1000, chains=4.",
    "chains-disagree": "chains disagree, R-hat above {limit:g}: {which}. Raise tune and draws to "
    "{more:,} and target_accept to 0.95; if they still disagree, pool fewer parameters or give "
    "{worst} a tighter prior.",
    "rhat-within-chance": "R-hat above {limit:g}, but no more than so few effective draws make "
    "likely: {which}. {mend}",
    "few-effective-draws": "fewer than {limit:,.0f} effective draws (ESS) of {total:,}: {which}. {mend}",
    "no-khat": "the Pareto k-hat of the {name} engine is {khat}: its weights cannot be judged. "
    "Fit with an engine that samples, such as engine='nutpie'.",
    "khat-high": "Pareto k-hat {khat:.2f} is above {limit:g}: the {name} approximation misses a part "
    "of the posterior. Fit with an engine that samples, such as engine='nutpie'.",
    "khat-raised": "Pareto k-hat {khat:.2f} is above {limit:g}: the {name} approximation is rough in "
    "the tails. Where wide intervals matter, use an engine that samples, such as engine='nutpie'.",
    "few-weighted-draws": "the weights of the {name} engine are worth {effective:,.0f} draws, fewer "
    "than {limit:,.0f}. Raise draws, or use an engine that samples, such as engine='nutpie'.",
    "no-sampler-statistics": "the sampler statistics {which} are missing or NaN, so faults they would "
    "show cannot be ruled out. Fit again, and keep the group sample_stats.",
    "divergences": "{count:,} divergences ({share:.2%} of draws): a part of the posterior may be "
    "missing. Raise target_accept to {target}; if they stay, pool fewer parameters or tighten the "
    "prior of the group scales.",
    "low-energy-fraction": "E-BFMI below {limit:g} ({which}): the tails are explored slowly. "
    "Raise tune to 2000, tighten wide priors, or pool fewer parameters.",
    "deep-trees": "{share:.0%} of steps ended at the largest tree depth, {deepest}: sampling is slow, "
    "not wrong. identify(posterior) names parameters on a ridge.",
}


def _finding(code: str, severity: Literal["note", "warning", "error"], **told: Any) -> Finding:
    return Finding(code, severity, _WORDS[code].format(**told))


def _named(labels: Iterable[str], values: NDArray[Any], which: Iterable[Any], form: str) -> str:
    labels = list(labels)
    return listed(f"{labels[i]} {values[i]:{form}}" for i in which)


def _lengths(drawn: Scalars) -> NDArray[np.int_]:
    """Draws of each chain before it falls silent, that is, NaN in every number to its end."""
    written = ~np.isnan(drawn.draws).all(axis=2)
    return np.where(written.any(axis=1), written.shape[1] - written[:, ::-1].argmax(axis=1), 0)


def common_length(drawn: Scalars) -> Scalars:
    """The draws that all chains have; all of them if some chain has none."""
    least = int(_lengths(drawn).min())
    return Scalars(drawn.names, drawn.groups, drawn.draws[:, :least] if least else drawn.draws)


def of_chains(drawn: Scalars, told: Mapping[str, Any], *, weighted: bool) -> Iterator[Finding]:
    """Chains that are few, short, of unequal length or interrupted."""
    n_chains, n_draws, _ = drawn.draws.shape
    lengths = _lengths(drawn)
    least = int(lengths.min())
    if least < n_draws:
        which = listed(f"chain {i} has {length:,}" for i, length in enumerate(lengths) if length < n_draws)
        yield _finding("unequal-chains", "error", total=n_draws, which=which, least=least)
    if told.get("partial"):
        yield _finding("partial-fit", "warning")
    if n_chains < 2 and not weighted:
        yield _finding("one-chain", "warning")
    if least < _LEAST_DRAWS and not (weighted and n_chains * least >= 4 * _LEAST_DRAWS):
        yield _finding("few-draws", "error" if least < _LEAST_DRAWS // 10 else "warning", least=least)


def of_values(drawn: Scalars) -> Iterator[Finding]:
    """Draws that are no numbers, or do not change."""
    x, labels = drawn.draws, drawn.labels
    for code, share in {
        "nan-draws": np.isnan(x).mean(axis=(0, 1)),
        "infinite-draws": np.isinf(x).mean(axis=(0, 1)),
    }.items():
        if share.any():
            yield _finding(code, "error", which=_named(labels, share, np.flatnonzero(share), ".1%"))
    if x.shape[1] < 2:
        return
    still = (x == x[:, :1]).all(axis=1)
    constant = still.all(axis=0) & (x[:, 0] == x[:1, 0]).all(axis=0)
    if constant.any():
        yield _finding("constant-draws", "error", which=listed(labels[i] for i in np.flatnonzero(constant)))
    places = zip(*np.nonzero(still & ~constant), strict=True)
    stuck = listed(f"{labels[i]} in chain {chain}" for chain, i in places)
    if stuck:
        yield _finding("stuck-chain", "error", which=stuck)


def rhat_by_chance(ess: NDArray[np.float64], n_chains: int) -> NDArray[np.float64]:
    """R-hat that chains without fault stay below in 999 of 1,000 cases, at this many effective draws.

    The means of the 2m half chains then scatter with variance 2m / ESS, so that the squared R-hat
    exceeds 1 by 2m / ESS times a chi-square over its 2m - 1 degrees of freedom.
    """
    halves = 2 * n_chains
    chi_square = _rarely_exceeded(halves - 1) / (halves - 1)
    return np.sqrt(1 + halves / np.asarray(ess, dtype=float) * chi_square)


@cache
def _rarely_exceeded(degrees: int) -> float:
    """What a chi-square with an odd number of degrees of freedom exceeds in one of 1,000 cases.

    By bisection of its finite sum: SciPy's takes longer to load than all else that judges draws.
    """

    def beyond(x: float) -> float:
        chance, log_term = math.erfc(math.sqrt(x / 2)), 0.5 * math.log(2 * x / math.pi) - x / 2
        for odd in range(3, degrees + 1, 2):
            chance, log_term = chance + math.exp(log_term), log_term + math.log(x / odd)
        return chance

    low, high = 0.0, 20.0 + 4.0 * degrees
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if beyond(middle) > 0.001 else (low, middle)
    return low


def of_mixing(
    table: "pd.DataFrame", shape: tuple[int, ...], rhat_limit: float, ess_limit: float
) -> Iterator[Finding]:
    """R-hat and effective draws beyond their limits, or not to be had."""
    n_chains, n_draws = shape[:2]
    labels, r = list(table.index), table["rhat"].to_numpy()
    ess = table[["ess_bulk", "ess_tail"]].min(axis=1, skipna=False).to_numpy()
    unknown = np.isnan(ess) | (np.isnan(r) & (n_chains > 1))
    if unknown.any():
        yield _finding("no-statistics", "error", which=listed(labels[i] for i in np.flatnonzero(unknown)))
    chance = rhat_by_chance(table["ess_bulk"].to_numpy(), n_chains)
    bound = np.maximum(np.minimum(chance, _HOPELESS_RHAT), rhat_limit)
    by_rhat = np.argsort(-np.nan_to_num(r))
    apart = [i for i in by_rhat if r[i] > bound[i]]
    if apart:
        told = {"limit": rhat_limit, "which": _named(labels, r, apart, ".3f"), "more": 2 * n_draws}
        severity = "error" if r[apart[0]] > _HOPELESS_RHAT else "warning"
        yield _finding("chains-disagree", severity, worst=labels[apart[0]].partition("[")[0], **told)
    noisy = [i for i in by_rhat if rhat_limit < r[i] <= bound[i]]
    if noisy:
        mend = _more_draws(n_draws, max(_SAFE_ESS / float(np.nanmin(ess[noisy])), 1.5))
        which = _named(labels, r, noisy, ".3f")
        yield _finding("rhat-within-chance", "note", limit=rhat_limit, which=which, mend=mend)
    few = [i for i in np.argsort(ess) if ess[i] < ess_limit]
    if few:
        told = {"limit": ess_limit, "total": n_chains * n_draws, "which": _named(labels, ess, few, ",.0f")}
        severity = "error" if ess[few[0]] < ess_limit / 4 else "warning"
        mend = _more_draws(n_draws, 1.2 * ess_limit / ess[few[0]])
        yield _finding("few-effective-draws", severity, mend=mend, **told)


def _more_draws(n_draws: int, factor: Any) -> str:
    if factor > 10:
        return (
            "More draws alone will not mend this: raise target_accept to 0.95, pool fewer parameters, "
            "or give these a tighter prior (identify(posterior) names ridges)."
        )
    return f"Raise draws to {int(np.ceil(n_draws * factor / 500) * 500):,}."


def of_weights(engine: Mapping[str, Any], khat_limit: float, ess_limit: float) -> Iterator[Finding]:
    """Importance weights that are too uneven, or not told."""
    khat, effective = engine.get("khat"), engine.get("effective_draws")
    told = {"name": engine.get("name", "importance"), "khat": khat}
    if not isinstance(khat, int | float) or not np.isfinite(khat):
        yield _finding("no-khat", "error", **told)
    elif khat > khat_limit:
        yield _finding("khat-high", "error", limit=khat_limit, **told)
    elif khat > _ROUGH_KHAT:
        yield _finding("khat-raised", "warning", limit=_ROUGH_KHAT, **told)
    if isinstance(effective, int | float) and not effective >= ess_limit:
        yield _finding("few-weighted-draws", "warning", effective=effective, limit=ess_limit, **told)


def of_sampler(posterior: "xr.DataTree", engine: Mapping[str, Any]) -> Iterator[Finding]:
    """Divergences, energy and tree depth of a sampler that moves by gradients."""
    group = posterior["sample_stats"] if "sample_stats" in posterior.children else {}
    stats = {name: group[name] for name in ("diverging", "energy", "tree_depth") if name in group}
    stats = {name: s.transpose("chain", "draw").values.astype(float) for name, s in stats.items()}
    missing = [name for name in ("diverging", "energy") if not np.isfinite(stats.get(name, np.nan)).all()]
    if missing:
        yield _finding("no-sampler-statistics", "warning", which=" and ".join(missing))
    if "diverging" not in missing:
        yield from _of_divergences(stats["diverging"])
    if "energy" not in missing:
        fraction = bfmi(stats["energy"])
        low = [i for i, value in enumerate(fraction) if not value >= _LEAST_ENERGY_FRACTION]
        if low:
            which = _named([f"chain {i}" for i in range(len(fraction))], fraction, low, ".2f")
            yield _finding("low-energy-fraction", "warning", limit=_LEAST_ENERGY_FRACTION, which=which)
    deepest = engine.get("max_treedepth") or 10
    share = float((stats["tree_depth"] >= deepest).mean()) if "tree_depth" in stats else 0.0
    if share > 0.05:
        yield _finding("deep-trees", "note", share=share, deepest=deepest)


def _of_divergences(diverging: NDArray[np.float64]) -> Iterator[Finding]:
    count, share = int(diverging.sum()), float(diverging.mean())
    if count:
        target = "0.95" if share < 0.01 else "0.99"
        severity = "error" if share > 0.05 else "warning"
        yield _finding("divergences", severity, count=count, share=share, target=target)
