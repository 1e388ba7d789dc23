"""Runs: tables of trainings and their evaluations, checked at the door."""

from bayescale.runs.design import design_findings
from bayescale.runs.findings import Finding, raise_errors
from bayescale.runs.read import read_runs
from bayescale.runs.schema import COLUMNS, METRICS, Column, Metric
from bayescale.runs.table import RunTable

__all__ = [
    "COLUMNS",
    "METRICS",
    "Column",
    "Finding",
    "Metric",
    "RunTable",
    "design_findings",
    "raise_errors",
    "read_runs",
]
