"""Laws as their sources printed them: coefficients, citation, unit, range, and what speaks against them."""

import math
import tomllib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import BayescaleWarning, InputError
from bayescale.laws.elementwise import Array
from bayescale.laws.law import Law, find
from bayescale.laws.pure import pure_range

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Published", "published"]

_FAR = 10.0  # beyond the runs by more than this factor a printed law is a guess, and says so


@dataclass(frozen=True, repr=False)
class Published:
    """A law with the coefficients that a source printed.

    Called with one keyword for each column that the law reads, in raw units, it gives the value in
    `unit`: ``published("hoffmann2022")(n_params=70e9, n_tokens=1.4e12)``. Numbers and arrays will do.

    Attributes
    ----------
    key, variant : str
        What it is found by.
    law : Law
    parameters : mapping of str to float
        By letter of the law, for raw inputs; letters that were not printed are not there.
    unit : str
        Of the value.
    citation : str
    reference : str
        Key in ``references.bib``.
    domain : mapping of str to (float, float)
        Least and greatest value of inputs among the runs that were fitted, where known.
    caveats : tuple of str
        What a later source corrects, what is degenerate, how figures were obtained.
    """

    key: str
    variant: str
    law: Law
    parameters: Mapping[str, float]
    unit: str
    citation: str
    reference: str
    domain: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Letters of the law that the source does not give; with any, it cannot be evaluated."""
        return tuple(letter for letter in self.law.parameters if letter not in self.parameters)

    def __call__(self, **inputs: Array) -> Array:
        """Value at raw inputs, of the array kind and shape of what is given.

        Raises
        ------
        InputError
            If an input is missing, unknown, or no positive number, or the source did not print every
            coefficient.

        Warns
        -----
        BayescaleWarning
            If an input lies beyond the runs by more than tenfold.
        """
        if self.missing:
            raise InputError(
                f"{self} cannot be evaluated: the source does not give {', '.join(self.missing)} "
                f"(it gives {_told(self.parameters)}). {' '.join(self.caveats[:1])}{self._others()}"
            )
        given = self._given(inputs)
        self._warn_far(given)
        with np.errstate(all="ignore"):
            value = self.law(*given.values(), **self.parameters)
        if not np.isfinite(np.asarray(value, dtype=float)).all():
            raise InputError(f"{self} has no finite value at some of these inputs.")
        return float(value) if isinstance(value, np.generic) else value

    def _given(self, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """Inputs in the order of the law; a column that stands in counts for the one it stands for."""
        stands_for = {other: name for name, other in self.law.stands_in.items() if name not in inputs}
        named = {stands_for.get(name, name): value for name, value in inputs.items()}
        wanted = self.law.inputs
        faults = [f"it also reads {name}, which is missing" for name in wanted if name not in named]
        faults += [f"it does not read {name}" for name in named if name not in wanted]
        if faults:
            raise InputError(
                f"{self} is called with {', '.join(f'{name}=' for name in wanted)}: {'; '.join(faults)}."
            )
        return {name: _number(name, named[name], str(self)) for name in wanted}

    def _warn_far(self, given: Mapping[str, Array]) -> None:
        far = []
        for name, (low, high) in self.domain.items():
            values = np.asarray(given[name], dtype=float)
            if pure_range(name) is None and values.size:
                beyond = max(low / values.min(), values.max() / high)
                far += [f"{name} is {beyond:.3g} times beyond the runs"] if beyond > _FAR else []
        if far:
            text = f"{self}: {'; '.join(far)}. A printed law says nothing of how wrong it may be there."
            warnings.warn(text, BayescaleWarning, stacklevel=3)

    def _others(self) -> str:
        whole = [v for v in _table()[self.key]["variants"] if not published(self.key, v).missing]
        return f" Variants of it that can be evaluated: {_some(whole)}." if whole else ""

    def __str__(self) -> str:
        return f"published({self.key!r}, variant={self.variant!r})"

    def __repr__(self) -> str:
        lines = [f"{self}: law {self.law.name!r} of {', '.join(self.law.inputs)}, in {self.unit}"]
        lines += [f"  {_told(self.parameters)}", f"  {self.citation}"]
        lines += [f"  not given: {', '.join(self.missing)}"] if self.missing else []
        return "\n".join([*lines, *(f"  caveat: {caveat}" for caveat in self.caveats)])


def published(key: str | None = None, variant: str | None = None) -> Any:
    """A printed law by its key, or the table of all of them.

    Parameters
    ----------
    key : str, optional
        Such as ``"hoffmann2022"``: mostly first author and year. Left out, all are listed.
    variant : str, optional
        Data set, modality or form, where a source printed several; the first by default.

    Returns
    -------
    Published or DataFrame
        The table has one row a variant: ``key``, ``variant``, ``law``, ``reads``, ``unit``,
        ``missing`` (letters that were not printed), ``caveats`` (their number), ``citation``.

    Raises
    ------
    InputError
        If there is no such key or variant; the message names the nearest.

    Examples
    --------
    >>> import bayescale as bs
    >>> chinchilla = bs.published("hoffmann2022")
    >>> round(chinchilla(n_params=70e9, n_tokens=1.4e12), 4)
    1.9366
    >>> image = bs.published("henighan2020", variant="image 8x8")
    >>> image.parameters["E"]
    3.12
    """
    if key is None:
        if variant is not None:
            raise InputError(f"variant={variant!r} is of a source: name it, as in published('henighan2020').")
        return _listing()
    source = _table()[_known(key, list(_table()), "published law", "bayescale.published() lists them")]
    names = list(source["variants"])
    chosen = names[0] if variant is None else _known(variant, names, f"variant of {key!r}", "")
    row = source["variants"][chosen]
    law = find(row.get("law", source["law"]))
    convert = _CONVERSIONS.get(row.get("convert", ""), dict)
    return Published(
        key=key,
        variant=chosen,
        law=law,
        parameters=convert({k: _value(v) for k, v in row["parameters"].items()}),
        unit=row.get("unit", source["unit"]),
        citation=source["citation"],
        reference=key,
        domain={
            k: (float(v[0]), float(v[1])) for k, v in row.get("domain", source.get("domain", {})).items()
        },
        caveats=(*row.get("caveats", ()), *source.get("caveats", ())),
    )


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads((files("bayescale.laws") / "published.toml").read_text(encoding="utf-8"))


def _listing() -> "pd.DataFrame":
    import pandas as pd

    every = [published(key, variant) for key, source in _table().items() for variant in source["variants"]]
    return pd.DataFrame(
        {
            "key": [p.key for p in every],
            "variant": [p.variant for p in every],
            "law": [p.law.name for p in every],
            "reads": [", ".join(p.law.inputs) for p in every],
            "unit": [p.unit for p in every],
            "missing": [", ".join(p.missing) for p in every],
            "caveats": [len(p.caveats) for p in every],
            "citation": [p.citation for p in every],
        }
    )


def _known(name: Any, names: list[str], what: str, more: str) -> str:
    if isinstance(name, str) and name in names:
        return name
    folded = {n.lower(): n for n in names}
    near = get_close_matches(str(name).lower(), folded, n=3, cutoff=0.4)
    hint = f" Did you mean {' or '.join(repr(folded[n]) for n in near)}?" if near else ""
    end = f" ({more})" if more else ""
    raise InputError(f"there is no {what} called {name!r}.{hint} There are: {_some(names)}{end}.")


def _some(names: list[str], most: int = 30) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _told(parameters: Mapping[str, float]) -> str:
    return ", ".join(f"{k} = {v:.6g}" for k, v in parameters.items()) or "no coefficient"


def _value(printed: Any) -> float:
    """A number from how it was printed: itself, an exponential, or a power of a scale."""
    if not isinstance(printed, Mapping):
        return float(printed)
    if "exp" in printed:
        return math.exp(printed["exp"])
    base = float(printed["base"]) * printed.get("scale", 1.0)
    return printed.get("times", 1.0) * base ** printed["power"]


def _clark(p: dict[str, float]) -> dict[str, float]:
    """The bilinear form in logarithms of base 10, as `routed` writes it."""
    return {
        "A": 10 ** p["d"],
        "a": -p["a"],
        "c": p["c"] / math.log(10),
        "P": 10 ** (-p["b"] / p["c"]),
        "E_start": p["E_start"],
        "span": p["E_max"] / p["E_start"] - 1,
    }


_CONVERSIONS: dict[str, Callable[[dict[str, float]], dict[str, float]]] = {"clark": _clark}


def _number(name: str, value: Any, where: str) -> Array:
    """An input, if all of it can be one: a share from 0 to 1, anything else above 0."""
    share = (pure_range(name) or (0.0, math.inf))[1] == 1.0
    try:
        words = isinstance(value, str | bytes | bool) or value is None
        numbers = np.asarray(math.nan if words else value, dtype=float)
    except (TypeError, ValueError):
        numbers = np.asarray(math.nan)
    fine = np.isfinite(numbers) & ((numbers >= 0) & (numbers <= 1) if share else numbers > 0)
    if not fine.all():
        allowed = "a number from 0 to 1" if share else "a positive number, such as 7e9"
        bad = value if numbers.ndim == 0 else float(numbers[~fine][0])
        raise InputError(f"{where}: {name}={bad!r} must be {allowed}.")
    return numbers[()] if isinstance(value, int | float | list | tuple) else value
