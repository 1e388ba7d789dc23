"""Kinds of parameters: what sort of number a law learns."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from bayescale.errors import InputError

__all__ = [
    "KINDS",
    "Amplitude",
    "Coefficient",
    "Compression",
    "Exponent",
    "Factor",
    "Fraction",
    "Intercept",
    "Irreducible",
    "Kind",
    "Level",
    "Rate",
    "Scale",
    "Sharpness",
    "Slope",
    "kind_of",
]


@dataclass(frozen=True)
class Kind:
    """What sort of number a parameter is: its support, and what it means.

    Default priors are looked up by `name` (see `bayescale.priors`).
    """

    name: str
    support: Literal["positive", "real", "unit"]
    meaning: str


# The kinds. An annotation `alpha: Exponent` in a law's signature declares a learnt parameter.
type Irreducible = Annotated[Any, Kind("irreducible", "positive", "value that no scale can remove")]
type Amplitude = Annotated[Any, Kind("amplitude", "positive", "value still to be won at the reference scale")]
type Level = Annotated[Any, Kind("level", "positive", "a whole value, as large as those measured")]
type Exponent = Annotated[Any, Kind("exponent", "positive", "power of a scale")]
type Scale = Annotated[Any, Kind("scale", "positive", "a size or data size, in units of the reference scale")]
type Sharpness = Annotated[Any, Kind("sharpness", "positive", "width of a break on the log axis")]
type Rate = Annotated[Any, Kind("rate", "positive", "a positive number of order one to ten, without unit")]
type Factor = Annotated[Any, Kind("factor", "positive", "a positive multiplier of order one")]
type Compression = Annotated[Any, Kind("compression", "positive", "raw bytes that one token holds")]
type Fraction = Annotated[Any, Kind("fraction", "unit", "a number between 0 and 1")]
type Coefficient = Annotated[
    Any, Kind("coefficient", "real", "a number of order one and either sign, without unit")
]
type Slope = Annotated[Any, Kind("slope", "real", "change of value for e-fold change of scale")]
type Intercept = Annotated[Any, Kind("intercept", "real", "value at the reference scale")]

KINDS: dict[str, Kind] = {
    alias.__name__: get_args(alias.__value__)[1]
    for alias in (
        Irreducible,
        Amplitude,
        Level,
        Exponent,
        Scale,
        Sharpness,
        Rate,
        Factor,
        Compression,
        Fraction,
        Coefficient,
        Slope,
        Intercept,
    )
}
"""Every kind, by the name it is imported by."""


def kind_of(parameter: inspect.Parameter, name: str, names: Mapping[str, Any]) -> Kind:
    """Kind that a parameter of the law `name` is annotated with.

    Annotations may be text, as ``from __future__ import annotations`` makes them; they are looked up
    in `names` (the globals of the law's module), then among the kinds, and never evaluated.
    """
    annotation = parameter.annotation
    if isinstance(annotation, str):
        annotation = _looked_up(annotation, names)
    if isinstance(annotation, Kind):
        return annotation
    for part in get_args(getattr(annotation, "__value__", annotation)):
        if isinstance(part, Kind):
            return part
    raise InputError(
        f"parameter {parameter.name!r} of law {name!r} has no kind. Annotate it with one of "
        f"{', '.join(KINDS)} (from bayescale.laws)."
    )


def _looked_up(annotation: str, names: Mapping[str, Any]) -> Any:
    """What a dotted name means among `names`, else the kind it ends in."""
    first, *rest = annotation.strip("'\"").split(".")
    found = names.get(first)
    for attribute in rest:
        found = getattr(found, attribute, None)
    return KINDS.get((rest or [first])[-1]) if found is None else found
