"""Hierarchical Bayesian models of neural scaling laws, with intervals one can question.

Everything public is found here and loaded when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import Any

_WHERE = {
    "allocate": "queries.allocate",
    "allocate_inference": "queries.inference",
    "average": "comparison.average",
    "AsymmetricLaplace": "model.strays",
    "backtest": "comparison.backtest",
    "backtest_table": "comparison.backtest_table",
    "BayescaleWarning": "errors",
    "beside_published": "queries.estimates",
    "Beta": "model.noise",
    "between": "priors",
    "bits_per_byte": "runs.per_byte",
    "build_model": "fitting",
    "card": "runs.catalogue",
    "check_extrapolation": "comparison.extrapolation",
    "codec_baseline": "compression.baseline",
    "compare": "comparison.compare",
    "compare_by": "comparison.by_group",
    "compression_factors": "queries.factors",
    "compute_exponent_draws": "queries.exponents",
    "compute_exponents": "queries.exponents",
    "Contaminated": "model.strays",
    "contrast": "queries.contrast",
    "convergence": "diagnostics.convergence",
    "curve": "queries.curves",
    "evidence": "comparison.evidence",
    "exchange": "queries.exchange",
    "FactorPrior": "compression.model",
    "Drift": "model.drift",
    "FewRuns": "comparison.groups_out",
    "fit": "fitting",
    "fit_compression": "factors",
    "FrameCodec": "compression.grids",
    "huber_fit": "comparison.huber",
    "identify": "diagnostics.identification",
    "InputError": "errors",
    "intervals": "queries.intervals",
    "isoflop": "queries.isoflop",
    "Laplace": "model.noise",
    "late_fusion_flops": "queries.costs",
    "law": "laws",
    "LeaveOut": "comparison.groups_out",
    "list_studies": "runs.catalogue",
    "load_estimates": "priors.published",
    "load_measurements": "compression.catalogue",
    "load_runs": "runs.catalogue",
    "measure_compression": "compression.measure",
    "measurement_card": "compression.catalogue",
    "MeasurementTable": "compression.table",
    "meta_analysis": "priors.meta",
    "meta_intervals": "priors.from_estimates",
    "Normal": "model.noise",
    "open": "storage",
    "PatchGrid": "compression.grids",
    "pooling": "queries.pooling",
    "practically_equal": "queries.equivalence",
    "predict": "queries.predict",
    "predict_compression": "queries.factors",
    "predict_draws": "queries.predict",
    "Prior": "priors",
    "prior_from": "priors.from_estimates",
    "prior_predictive": "fitting",
    "Published": "laws.published",
    "published": "laws.published",
    "read_measurements": "compression.read",
    "read_runs": "runs.read",
    "rescale_scores": "runs.scores",
    "residuals": "queries.residuals",
    "Rolling": "comparison.rolling",
    "RunTable": "runs.table",
    "save": "storage",
    "simulate_compression": "simulated_compression",
    "simulate_measurements": "simulated_compression",
    "simulate_native_multimodal": "simulated",
    "Split": "comparison.splits",
    "StudentT": "model.noise",
    "to_bits_per_byte": "runs.per_byte",
    "Tubelet": "compression.grids",
}
_RENAMED = {"open": "open_study"}
_ROOMS = ("laws", "plots")  # reached as they are; laws() also lists the laws

__all__ = sorted([*_WHERE, *_ROOMS])


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"bayescale.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'bayescale' has no attribute {name!r}; it has: {', '.join(__all__)}")
    found = getattr(import_module(f"bayescale.{_WHERE[name]}"), _RENAMED.get(name, name))
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
