"""The verb that measures files."""

import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from bayescale.cli import machine, show

if TYPE_CHECKING:
    import pandas as pd

    from bayescale.compression.table import MeasurementTable

__all__ = ["measure"]


def measure(given: Namespace) -> int:
    """Raw units per token of files; with ``--codec`` and ``--fit``, also what these say."""
    from bayescale.compression.measure import measure_compression

    watched = sys.stderr.isatty() and not given.json
    table = measure_compression(
        given.paths,
        given.tokenizer,
        modality=given.modality,
        raw_unit=given.raw_unit,
        material=given.material,
        random_seed=given.seed,
        progressbar=watched,
    )
    answer: dict[str, Any] = {"rows": machine.records(_told(table))}
    packed = _packed(given, table, watched) if given.codec else None
    if packed is not None:
        answer["codecs"] = machine.records(packed)
    standing = _standing(given, table) if given.fit else None
    if standing is not None:
        answer["factors"] = machine.records(standing)
    answer["notes"] = [finding.message for finding in table.findings]
    if given.output:
        table.export(given.output)
    if given.json:
        machine.tell(answer)
        return 0
    _show(table, packed, standing)
    if given.output:
        show.line(f"measurements written to {given.output}; read_measurements reads them.")
    return 0


def _told(table: "MeasurementTable") -> "pd.DataFrame":
    """The rows, with the factor itself beside its log."""
    import numpy as np

    return table.frame.assign(factor=np.exp(table.frame["log_factor"]))


def _packed(given: Namespace, table: "MeasurementTable", watched: bool) -> "pd.DataFrame":
    from bayescale.compression.baseline import codec_baseline

    one = table.modalities[0] if len(table.modalities) == 1 else None
    return codec_baseline(
        given.paths,
        None if "all" in given.codec else given.codec,
        modality=given.modality or one,
        material=given.material,
        random_seed=given.seed,
        progressbar=watched,
    )


def _standing(given: Namespace, table: "MeasurementTable") -> "pd.DataFrame":
    """The factors of modalities that were measured, from these rows and the shipped ones together."""
    from bayescale.compression.catalogue import load_measurements
    from bayescale.factors import fit_compression
    from bayescale.queries.factors import compression_factors

    shipped = load_measurements(raw_unit=given.raw_unit)
    mine = shipped.frame["modality"].isin(table.modalities).to_numpy(dtype=bool)
    post = fit_compression(shipped.where(mine) + table, random_seed=given.seed)
    return compression_factors(post, prob=given.prob)


def _show(table: "MeasurementTable", packed: "pd.DataFrame | None", standing: "pd.DataFrame | None") -> None:
    rows = _told(table)
    columns = {
        "modality": list(rows["modality"]),
        "tokenizer": list(rows["tokenizer"]),
        "material": list(rows["material"]),
        "raw": list(rows["raw"]),
        "tokens": list(rows["tokens"]),
        "per token": [
            f"{factor:.4g} {unit}" for factor, unit in zip(rows["factor"], rows["raw_unit"], strict=True)
        ],
        "error": [f"{error:.2%}" if error > 0 else "" for error in rows["se_log"]],
    }
    show.table(columns, "measured; raw size is that of the plain signal")
    if packed is not None:
        told = packed.drop(columns=["file_bytes", "raw_bytes", "packed_bytes"])
        show.frame(told, "lossless compressors, bits for each raw byte")
    if standing is not None:
        show.frame(standing, "factors with the shipped measurements, on a typical material")
    show.findings(table.findings)
