"""The evidence of a study: the density of its values under law, noise and priors, parameters averaged out."""

import json
import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayescale.comparison.bridge import Bridge, bridge
from bayescale.comparison.loo import KHAT_BAD
from bayescale.comparison.rebuilt import Rebuilt, rebuilt
from bayescale.errors import BayescaleWarning
from bayescale.inference.psis import pareto_khat
from bayescale.priors import Prior
from bayescale.runs.findings import Finding, listed

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["evidence", "log_evidence"]

_ROUGH = 0.5  # nats of Monte Carlo error from which the answer is called rough
_LEAST_OVERLAP = 0.1
_APART = 4.0  # errors between the two answers from which the draws are suspected

type Floats = NDArray[np.float64]


def evidence(post: "xr.DataTree", *, random_seed: int = 0) -> "xr.Dataset":
    r"""Log marginal likelihood of a study, with its error and what it hangs on.

    .. math:: \log p(y) = \log \int p(y \mid \theta)\, p(\theta)\, d\theta

    by an optimal bridge (Meng and Wong, 1996) between the draws and a normal distribution, in coordinates
    without bounds.

    Parameters
    ----------
    post : DataTree
        A fitted study.
    random_seed : int, default 0
        Of the draws from the normal distribution.

    Returns
    -------
    Dataset
        Without dims: ``log_evidence``, in nats, of the values in their own unit (so that noises on the log
        and on the value can stand side by side; measured compression factors count too where they were
        joined); ``error``, its Monte Carlo standard error; ``overlap`` of posterior and normal, 1 at best;
        ``effective_draws``. Over dim ``parameter``, every unknown that has a prior: ``by_prior``, the change
        of log evidence if the scale of that prior were doubled, and ``by_prior_khat``, Pareto k-hat of the
        weights behind it (above 0.7 the change is rough). Attributes: ``law``, ``metric``, ``rows``,
        ``unknowns``, ``random_seed``, and ``findings`` as JSON text.

    Raises
    ------
    InputError
        If it is no fitted study, was fitted with a law that is not the same here, or has too few draws.

    Warns
    -----
    BayescaleWarning
        Where draws have not converged, the error is large, or the study has a drift.

    Notes
    -----
    Evidence averages the likelihood over the prior, however many runs there are: a prior twice as wide costs
    about log 2 for every parameter that the runs determine, and default priors are scaled to the values.
    Which law foretells best is another question: see `compare`, `backtest`.

    Doubling: of sigma for normal, log-normal, logit-normal, Student-t and their halves, of the width for a
    uniform prior, of the mean for an exponential one; of others on the link scale about the median.
    """
    import xarray as xr

    study = rebuilt(post)
    found, dim = log_evidence(study, random_seed)
    changes = {name: _if_doubled(prior, values) for name, prior, values in _with_priors(study)}
    findings = [*_of_study(study), *_of_bridge(found, dim), *_of_priors(changes)]
    heard = [finding.message for finding in findings if finding.severity == "warning"]
    if heard:
        warnings.warn(listed("this evidence asks for care:", heard), BayescaleWarning, stacklevel=2)
    s = study.spec.structure
    return xr.Dataset(
        {
            "log_evidence": found.log_evidence,
            "error": found.error,
            "overlap": found.overlap,
            "effective_draws": found.effective_draws,
            "by_prior": ("parameter", np.array([change for change, _ in changes.values()])),
            "by_prior_khat": ("parameter", np.array([khat for _, khat in changes.values()])),
        },
        {"parameter": list(changes)},
        attrs={
            "law": s.law.name,
            "metric": s.metric,
            "rows": study.spec.value.size,
            "unknowns": dim,
            "random_seed": random_seed,
            "findings": json.dumps([asdict(finding) for finding in findings]),
        },
    )


def log_evidence(study: Rebuilt, random_seed: int = 0) -> tuple[Bridge, int]:
    """The bridge of a study, and the number of its unknowns."""
    density, draws = study.coordinates()
    found = bridge(density, draws, random_seed=random_seed, independent=study.independent, worth=study.worth)
    return found, density.dim


def _with_priors(study: Rebuilt) -> list[tuple[str, Prior, Floats]]:
    return [
        (block.name, block.prior, study.study.blocks[block.name])
        for block in study.spec.structure.blocks
        if block.prior is not None
    ]


def _if_doubled(prior: Prior, values: Floats) -> tuple[float, float]:
    """Change of log evidence with a prior twice as wide, and k-hat of the weights that tell it."""
    from scipy.special import logsumexp

    ratio = doubled(prior)(values) - np.asarray(prior.log_density(values))
    return float(logsumexp(ratio) - np.log(ratio.size)), pareto_khat(ratio)[0]


# Arguments that state a scale, and what doubles it.
_SCALES = {
    "Normal": ("sigma", 2.0),
    "StudentT": ("sigma", 2.0),
    "Cauchy": ("beta", 2.0),
    "Laplace": ("b", 2.0),
    "LogNormal": ("sigma", 2.0),
    "HalfNormal": ("sigma", 2.0),
    "HalfStudentT": ("sigma", 2.0),
    "HalfCauchy": ("beta", 2.0),
    "Exponential": ("lam", 0.5),
    "TruncatedNormal": ("sigma", 2.0),
    "LogitNormal": ("sigma", 2.0),
}


def doubled(prior: Prior) -> Callable[[Floats], Floats]:
    """Log density of a prior twice as wide."""
    if prior.distribution in _SCALES:
        name, factor = _SCALES[prior.distribution]
        wide = Prior(prior.distribution, **{**prior.arguments, name: factor * prior.arguments[name]})
        return lambda x: np.asarray(wide.log_density(x))
    if prior.distribution == "Uniform":  # of which the old interval is one half
        return lambda x: np.asarray(prior.log_density(x)) - np.log(2.0)
    middle = float(np.median(prior.unconstrain(prior.sample(np.random.default_rng(0), 20_000))))

    def stretched(x: Floats) -> Floats:
        free = prior.unconstrain(x)
        near = middle + (free - middle) / 2
        found = prior.log_density(prior.constrain(near)) + prior.log_jacobian(near)
        return np.asarray(found - np.log(2.0) - prior.log_jacobian(free))

    return stretched


def _of_study(study: Rebuilt) -> list[Finding]:
    findings, record = [], study.study.record
    if record.get("partial") or any(f["severity"] == "error" for f in record.get("findings", ())):
        findings.append(
            Finding(
                "unsound-draws",
                "warning",
                "the draws are partial or have not converged, and so is what is made of them: fit again with "
                "more draws.",
            )
        )
    if study.spec.structure.drift is not None:
        findings.append(
            Finding(
                "drift",
                "warning",
                "this study lets its law drift, and the bends of the drift were laid out by these same runs: "
                "the evidence is that of law and drift together, under a prior that has seen a little of the "
                "values. To set laws against one another, fit them with discrepancy=None.",
            )
        )
    return findings


def _of_bridge(found: Bridge, dim: int) -> list[Finding]:
    findings = []
    if found.error > _ROUGH or found.overlap < _LEAST_OVERLAP:
        findings.append(
            Finding(
                "rough",
                "warning",
                f"the evidence is rough: Monte Carlo error {found.error:.2f} nats, overlap of the "
                f"posterior of {dim} unknowns with a normal one {found.overlap:.2f} ({_LEAST_OVERLAP:g} "
                "and more is sound). More draws make it better: fit(..., draws=4000).",
            )
        )
    if abs(found.apart) > max(_APART * found.error, 0.1):
        findings.append(
            Finding(
                "halves-differ",
                "warning",
                f"the two halves of the draws give answers {abs(found.apart):.2f} nats apart, with an "
                f"error of {found.error:.2f}: the chains may have moved between places. Fit again with "
                "more draws.",
            )
        )
    return findings


def _of_priors(changes: dict[str, Any]) -> list[Finding]:
    largest = sorted(changes, key=lambda name: -abs(changes[name][0]))[:5]
    told = ", ".join(f"{name} {changes[name][0]:+.2f}" for name in largest)
    total = sum(change for change, _ in changes.values())
    findings = [
        Finding(
            "priors",
            "note",
            "evidence hangs on the priors, however many runs there are. Doubling the scale of one prior "
            f"changes the log evidence by {told}; of all {len(changes)}, by about {total:+.1f}. Default "
            "priors are scaled to the values: state your own, with mass where you would defend it, before "
            "you trust a difference of that size.",
        )
    ]
    rough = [name for name, (_, khat) in changes.items() if khat > KHAT_BAD]
    if rough:
        findings.append(
            Finding(
                "rough-by-prior",
                "note",
                f"the runs say little of {', '.join(rough[:8])}{', …' if len(rough) > 8 else ''}: what a "
                "wider prior does there is told by few draws, and is only roughly known.",
            )
        )
    return findings
