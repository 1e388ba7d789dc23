"""The one door to a posterior."""

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import BayescaleWarning, InputError, did_you_mean
from bayescale.inference.memory import FOR_JAX_GB, allowed_gb, present_gb
from bayescale.inference.slopes import by_jax
from bayescale.inference.target import Draws, Settings, Target
from bayescale.laws import Law
from bayescale.model.bent import Bent
from bayescale.model.centring import adapt
from bayescale.model.density import Density, with_middle
from bayescale.model.drift import Drift
from bayescale.model.misfit import with_drift
from bayescale.model.noise import Noise
from bayescale.model.spec import Spec, specify
from bayescale.runs.findings import Finding, listed
from bayescale.runs.table import RunTable

if TYPE_CHECKING:
    import pymc as pm
    import xarray as xr

__all__ = ["build_model", "fit", "prior_predictive"]

_ARGUMENTS = [
    "law",
    "pool",
    "noise",
    "priors",
    "measurements",
    "discrepancy",
    "engine",
    "draws",
    "tune",
    "chains",
    "random_seed",
    "target_accept",
    "progressbar",
]


_COPIES = 20  # of the draws at the worst moment: importance sampling holds three proposals for each
_LARGEST_GB = 16.0
_LEAST_TUNE = 100
_MOST_STEPPED = 80  # coordinates above which stepping along each costs more than compiling a gradient


def fit(
    runs: Any,
    law: str | Law = "chinchilla",
    *,
    pool: Mapping[str, str | list[str]] | str | None = None,
    noise: str | Noise | None = None,
    priors: Mapping[str, Any] | None = None,
    measurements: Any = None,
    discrepancy: "str | Drift | None" = "auto",
    engine: str = "auto",
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    random_seed: int | None = None,
    target_accept: float = 0.9,
    progressbar: bool = True,
    **unknown: Any,
) -> "xr.DataTree":
    """Posterior of a scaling law given runs.

    Parameters
    ----------
    runs : RunTable, path or frame
        Whatever `read_runs` takes.
    law : str or Law, default "chinchilla"
        See `laws`.
    pool : mapping, optional
        Columns over which each parameter varies, with partial pooling: ``{"alpha": "family", "E":
        ["family", "eval_name"]}`` crossed, ``{"E": "family/eval_name"}`` nested. A column's name alone
        pools every parameter of the law over it. None: one value for all runs. Beside the law's letters,
        ``{"offset": "run_id"}`` lets the runs of a group lie off the law alike (checkpoints of one run, or
        runs of one ``seed``, budget or ``study``), and ``{"sigma": "study"}`` scatter by as much as they do
        (`Notes`).
    noise : str or noise part, optional
        "student_t" (default for losses, on the log), "normal", "laplace", "asymmetric_laplace" (a lower
        envelope: most runs lie above the law), "contaminated" (a share of runs went wrong),
        "logit_normal", "beta", or a part such as ``StudentT(nu=4)`` or ``Normal(scale_with="n_params")``,
        whose scatter grows with a power of that input (``sigma_slope``).
    priors : mapping, optional
        In place of defaults, by letter of the law (stated at the reference scales, the geometric middle
        of the runs), ``<letter>_sd_<column>`` or noise parameter: ``Prior(...)``, ``between(lower,
        upper)``, or a pymc_extras Prior.
    measurements : table of measurements, optional
        Measured compression factors (``read_measurements``, ``load_measurements``), joined to those of the
        law in one model: rows of each modality speak of its C by tokenizer and material. The runs' own are
        read from the columns over which C is pooled, or from ``tokenizer_<modality>`` and
        ``material_<modality>``; where the table has none, theirs is one more drawn from those measured.
    discrepancy : {"auto", "drift"}, Drift or None, default "auto"
        How the law may go wrong: "drift" is a smooth misfit, small among the runs and growing with
        distance beyond them, with its size learnt (see `Drift`). None takes the law to be exact, as papers
        do. "auto" takes the drift where backtests on published runs show that it earns its place: values
        on the log, a law of size, data or compute, and no pooling but over families, which then go wrong
        alike: one misfit for all of them.
    engine : {"auto", "grouped", "laplace", "numpyro", "nutpie", "pymc"}
        "auto" takes the importance-corrected Laplace posterior where it certifies itself (Pareto k-hat
        at most 0.5), and NUTS otherwise; where parameters of the law are pooled over one column it first
        samples group by group ("grouped"). "laplace" refuses where it cannot certify itself.
    draws, tune, chains : int
        Kept draws and warm-up draws for each chain, and the number of chains.
    random_seed : int, optional
        Drawn once and saved with the study if not given.
    target_accept : float, default 0.9
        Of NUTS.
    progressbar : bool

    Returns
    -------
    DataTree
        The study. ``posterior`` has the law's parameters as in its paper (``A``), at the reference
        scales where they carry units (``A_ref``), and their spread between groups
        (``alpha_sd_family``); chain and draw first, then the groups. The attribute ``bayescale`` holds
        the record as JSON. Every ArviZ function takes it.

    Raises
    ------
    InputError
        Faults of the table, the options or the priors, all of one kind in one message; or an engine
        that cannot certify its result.

    Warns
    -----
    BayescaleWarning
        What was found about the design or the draws that may mislead; also kept in the study.

    Notes
    -----
    Values are taken to scatter independently about the law, but for offsets: pooled over a column, each of
    its groups lies off the law by an amount of its own on the scale of the noise (2 % is .02 on the log),
    normal with the standard deviation ``offset_sd_<column>``. Points of one run, such as checkpoints in
    mid-training, are taken as runs by themselves unless offsets are pooled over ``run_id``, and a warning
    says so. Pooled ``sigma`` is ``sigma_<column>`` by group and ``sigma`` in a typical one, with log scatters
    normal about it. See `convergence` and `identify`.
    """
    _refuse_unknown(unknown)
    from bayescale.inference.engines import engine_of
    from bayescale.runs.read import read_runs

    run_engine = engine_of(engine)
    table = runs if isinstance(runs, RunTable) else read_runs(runs)
    spec = specify(table, law, pool=pool, noise=noise, priors=priors, measurements=measurements)
    settings = _settings(draws, tune, chains, random_seed, target_accept, progressbar, spec)
    foreseen = [*spec.findings, *_foreseen(spec, settings, engine)]
    _heed("these runs ask for care:", [f for f in foreseen if f not in table.findings])
    spec = with_drift(spec, discrepancy)
    density = with_middle(Density(spec))
    with _memory_in_words(settings, spec):
        target, coordinates = target_of(spec, density)
        try:
            drawn = run_engine(target, settings)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(str(stop) or "interrupted before the first draw was kept") from None
        _refuse_uncertified(drawn)
        blocks = dict(drawn.named) if drawn.named is not None else coordinates.blocks(drawn.points)
        return _study(density, blocks, drawn, table, engine, settings, foreseen)


def build_model(
    runs: Any,
    law: str | Law = "chinchilla",
    *,
    pool: Mapping[str, str | list[str]] | str | None = None,
    noise: str | Noise | None = None,
    priors: Mapping[str, Any] | None = None,
    measurements: Any = None,
    discrepancy: "str | Drift | None" = None,
) -> "pm.Model":
    """The PyMC model that `fit` samples, to be read, drawn or extended.

    Parameters are those of `fit`; the law is taken to be exact unless `discrepancy` says otherwise, which
    makes for a model that is easier to read. ``discrepancy="auto"`` gives what `fit` samples by default.
    """
    from bayescale.model.build import build
    from bayescale.runs.read import read_runs

    table = runs if isinstance(runs, RunTable) else read_runs(runs)
    spec = specify(table, law, pool=pool, noise=noise, priors=priors, measurements=measurements)
    return build(with_drift(spec, discrepancy))


def prior_predictive(
    runs: Any,
    law: str | Law = "chinchilla",
    *,
    pool: Mapping[str, str | list[str]] | str | None = None,
    noise: str | Noise | None = None,
    priors: Mapping[str, Any] | None = None,
    measurements: Any = None,
    draws: int = 1000,
    random_seed: int = 0,
) -> "xr.Dataset":
    """Values that the priors alone expect at the scales of the runs.

    Parameters are those of `fit`. Measurements name the tokenizers here, and are not heeded themselves.

    Returns
    -------
    Dataset
        ``value`` with dims (draw, run), in the unit of the metric, noise included; ``observed`` (run).
    """
    import xarray as xr

    from bayescale.runs.read import read_runs

    table = runs if isinstance(runs, RunTable) else read_runs(runs)
    spec = specify(table, law, pool=pool, noise=noise, priors=priors, measurements=measurements)
    s, rng = spec.structure, np.random.default_rng(random_seed)
    blocks = {
        b.name: b.prior.sample(rng, draws) if b.prior else rng.standard_normal((draws, b.size))
        for b in s.blocks
    }
    density = Density(spec)
    mean = np.broadcast_to(density.mean(blocks), (draws, spec.value.size))
    value = s.noise.sample(rng, mean, **density.noise(blocks))
    return xr.Dataset(
        {"value": (("draw", "run"), value), "observed": ("run", spec.value)},
        {"run": list(spec.run_ids)},
        attrs={"metric": s.metric},
    )


@dataclass(frozen=True, eq=False)
class _Adapted:
    """Adapted coordinates, found when first used: not every engine needs them."""

    density: Density

    @cached_property
    def made(self) -> Any:
        return adapt(self.density)

    def blocks(self, points: Any) -> Mapping[str, np.ndarray]:
        return self.made.blocks(points)

    def __call__(self, points: Any) -> Any:
        return self.made(points)

    def fitted(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.made.fitted(points)

    def gradient(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        return self.made.gradient(point)


def target_of(spec: Spec, density: Density) -> tuple[Target, Any]:
    """What an engine is given, and the coordinates in which its points are to be read."""
    from bayescale.model.build import build
    from bayescale.model.group_modes import fits_grouped, grouped
    from bayescale.model.start import starting_points

    by_group = fits_grouped(spec)
    coordinates = _Adapted(density) if by_group else adapt(density)
    starts = starting_points(density)
    inner = coordinates.inner if isinstance(coordinates, Bent) else ()
    if isinstance(coordinates, Bent):
        starts[:, list(inner)] = 0.0
        starts[0] = coordinates.top
    many = density.dim > _MOST_STEPPED and allowed_gb() > FOR_JAX_GB
    target = Target(
        names=density.names,
        log_density=coordinates,
        gradient=by_jax(coordinates) if many else coordinates.gradient,
        starts=starts,
        symbolic=lambda: build(spec),
        width=spec.value.size,
        fitted=coordinates.fitted,
        inner=inner,
        parts=(lambda: grouped(spec)) if by_group else None,
    )
    return target, coordinates


def _study(
    density: Density,
    blocks: Mapping[str, np.ndarray],
    drawn: Draws,
    table: RunTable,
    asked: str,
    settings: Settings,
    foreseen: list[Finding],
) -> "xr.DataTree":
    """Assemble the tree, judge the draws, and say what was found."""
    from bayescale.diagnostics.convergence import faults_found
    from bayescale.model.posterior import assemble, note_findings

    findings = _outliers(density, blocks)
    if drawn.partial:
        findings.append(
            Finding(
                "interrupted",
                "warning",
                f"interrupted: {next(iter(blocks.values())).shape[1]} of {settings.draws} draws per chain "
                "were kept, and the study is marked partial. Run it again for a complete posterior.",
            )
        )
    findings += _summed_up(drawn.notes)
    whole = {k: v for k, v in vars(settings).items() if k != "progressbar"}
    told = {"name": drawn.engine, "asked": asked, "partial": drawn.partial, **drawn.notes}
    tree = assemble(density, blocks, runs=table, statistics=drawn.statistics, engine=told, settings=whole)
    findings += faults_found(tree)
    findings = [f for f in findings if f not in foreseen]
    _heed("this fit asks for care:", findings, 4)
    note_findings(tree, [*foreseen, *findings])
    return tree


def _summed_up(notes: Mapping[str, Any]) -> list[Finding]:
    """What is to be known of draws of a likelihood in which each group's runs are summed up."""
    if not notes.get("compressed"):
        return []
    return [
        Finding(
            "compressed-runs",
            "note",
            f"these many runs were summed up group by group, and the draws moved to the means and deviations "
            f"that the exact likelihood gives at {notes['checked']} of them (k-hat "
            f"{notes['checked_khat']:.2f}): their tails are approximate. engine='numpyro' is exact.",
        )
    ]


def _foreseen(spec: Spec, settings: Settings, asked: str) -> list[Finding]:
    """What the options alone say of the draws to come."""
    from bayescale.model.posterior import LARGEST_POINTWISE

    findings = []
    if settings.tune < _LEAST_TUNE and asked != "laplace":
        findings.append(
            Finding(
                "short-warm-up",
                "warning",
                f"tune={settings.tune}: a sampler needs a warm-up of at least {_LEAST_TUNE} draws to find "
                "its step, and starts where the posterior may not be. Use tune=1000.",
            )
        )
    if settings.chains * settings.draws * spec.value.size > LARGEST_POINTWISE:
        size = settings.chains * settings.draws * spec.value.size * 8 / 2**30
        findings.append(
            Finding(
                "no-pointwise",
                "warning",
                f"the pointwise log likelihood would take {size:.1f} GB and is left out: compare() will not "
                "work on this study. Fewer draws or fewer rows keep it.",
            )
        )
    return findings


def _heed(heading: str, findings: Iterable[Finding], level: int = 3) -> None:
    """Warn once of all findings that are more than a note."""
    heard = [f.message for f in findings if f.severity != "note"]
    if heard:
        warnings.warn(listed(heading, heard), BayescaleWarning, level)


def _outliers(density: Density, blocks: Mapping[str, np.ndarray]) -> list[Finding]:
    """Runs further from the fitted law than noise explains, by name."""
    spec, s = density.spec, density.spec.structure
    middle = {k: np.median(v, axis=(0, 1)) for k, v in blocks.items()}
    away = spec.away(density.mean(middle))
    scale = 1.4826 * float(np.median(np.abs(away - np.median(away))))
    far = np.flatnonzero(np.abs(away) > 6 * scale) if scale > 0 else np.array([], dtype=int)
    if far.size == 0 or far.size > max(3, 0.1 * spec.value.size):
        return []
    far = far[np.argsort(-np.abs(away[far]))]
    named = ", ".join(f"{spec.run_ids[i]} ({away[i] / scale:+.0f})" for i in far[:8])
    robust = type(s.noise).__name__ in ("StudentT", "Laplace", "AsymmetricLaplace", "Contaminated")
    mend = (
        "The heavy-tailed noise gives them little weight."
        if robust
        else "They pull the fit: use noise='student_t', and look at them."
    )
    return [
        Finding(
            "outliers",
            "note" if robust and far.size < 3 else "warning",
            f"{far.size} outlying run{'s' if far.size > 1 else ''}, more than 6 robust deviations from the "
            f"law: {named}{', …' if far.size > 8 else ''}. {mend}",
        )
    ]


def _settings(
    draws: Any, tune: Any, chains: Any, seed: Any, target_accept: Any, progressbar: bool, spec: Spec
) -> Settings:
    whole = {
        "draws": _whole("draws", draws, 1),
        "tune": _whole("tune", tune, 0),
        "chains": _whole("chains", chains, 1),
        "random_seed": int(np.random.SeedSequence().generate_state(1)[0])
        if seed is None
        else _whole("random_seed", seed, 0, 2**32 - 1),
    }
    if not isinstance(target_accept, int | float) or not 0 < target_accept < 1:
        raise InputError(
            f"target_accept={target_accept!r} must lie between 0 and 1, as in target_accept=0.95."
        )
    _refuse_too_large(whole["draws"] * whole["chains"], spec)
    return Settings(**whole, target_accept=float(target_accept), progressbar=bool(progressbar))


def _whole(name: str, value: Any, least: int, most: float = math.inf) -> int:
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value != int(value) or not least <= value <= most:
        bounds = f"of at least {least}" if math.isinf(most) else f"from {least} to {most:.0f}"
        raise InputError(f"{name}={value!r} must be a whole number {bounds}.")
    return int(value)


def _refuse_too_large(draws: int, spec: Spec) -> None:
    unknowns = sum(b.size for b in spec.structure.blocks)
    needed, present = draws * unknowns * 8 * _COPIES / 2**30, present_gb()
    if needed > min(0.6 * present, _LARGEST_GB):
        raise InputError(
            f"draws: {draws:,} draws of {unknowns} unknowns need about {needed:,.1f} GB of memory (this "
            f"process may have {present:,.1f} GB; {_LARGEST_GB:.0f} GB is the limit anywhere). A few "
            "thousand draws in all are enough: use draws=1000."
        )


@contextmanager
def _memory_in_words(settings: Settings, spec: Spec) -> Iterator[None]:
    """What to do about memory that ran out, in place of what NumPy and JAX say of it."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise InputError(
            f"out of memory: {settings.chains} chains of {settings.draws:,} draws over "
            f"{spec.value.size:,} runs do not fit into {present_gb():,.1f} GB. Fewer draws (draws=500) or "
            "fewer runs (where=...) need less."
        ) from error


def _refuse_unknown(unknown: Mapping[str, Any]) -> None:
    if not unknown:
        return
    name = next(iter(unknown))
    hint = did_you_mean(name, _ARGUMENTS)
    raise InputError(
        f"fit() has no argument {name!r} (given: {name}={unknown[name]!r}).{hint} It takes "
        f"{', '.join(_ARGUMENTS)}; the engines (auto, grouped, laplace, numpyro, nutpie, pymc) have no own "
        "options."
    )


def _refuse_uncertified(drawn: Draws) -> None:
    if drawn.certified:
        return
    rivals = drawn.notes.get("rivals", 0)
    other = f", {rivals} other mode{'s' if rivals > 1 else ''} (none may be known)" if rivals else ""
    raise InputError(
        f"engine='laplace' cannot certify its result here: Pareto k-hat {drawn.notes['khat']:.2f} (at most "
        f"0.5 is needed), weights worth {drawn.notes['effective_draws']:,.0f} draws (at least 1,000){other}. "
        "Use engine='auto' or 'numpyro', which sample."
    )
