"""What a law is: a formula that declares what it reads and what is learnt."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from bayescale.errors import InputError, did_you_mean
from bayescale.laws.elementwise import Array, log
from bayescale.laws.kinds import (
    Amplitude,
    Coefficient,
    Compression,
    Exponent,
    Factor,
    Fraction,
    Intercept,
    Irreducible,
    Kind,
    Level,
    Rate,
    Scale,
    Sharpness,
    Slope,
    kind_of,
)
from bayescale.laws.scaling import infer_scaling

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Amplitude",
    "Coefficient",
    "Compression",
    "Exponent",
    "Factor",
    "Fraction",
    "Intercept",
    "Irreducible",
    "Kind",
    "Law",
    "Level",
    "Rate",
    "Scale",
    "Sharpness",
    "Slope",
    "find",
    "law",
    "listing",
    "register",
    "registered",
]


@dataclass(frozen=True)
class Law:
    """A scaling law: one formula, the columns it reads, the parameters it learns.

    Calling it evaluates the formula: ``law(n, d, E=..., A=..., ...)``, positional inputs in the
    order of `inputs`, in raw units with the paper's parameters, or divided by reference scales with
    the parameters there.

    Attributes
    ----------
    name : str
    formula : callable
        The function as written.
    inputs : tuple of str
        Columns of the run table, in the order of the positional arguments.
    parameters : mapping of str to Kind
        What is learnt, by letter.
    declared_scaling : mapping of str to (mapping of str to str or float), optional
        How a parameter carries the units of the inputs: ``{"A": {"n": "alpha"}}`` says that the
        paper's A is the one at the reference scale times ``n_reference ** alpha``. An `Intercept`
        carries them by a sum: ``{"a": {"c": "-b"}}`` adds ``-b * log(c_reference)``. A power is a
        letter, a letter with a minus sign in front, or a number. Parameters left out carry no unit.
        None leaves it to be found from the formula; read the answer from `scaling`.
    typical : mapping of str to float
        Published middle values, where they differ from the usual one of their kind.
    falls_with : tuple of str
        Inputs with which the value can only fall.
    rises_with : tuple of str
        Inputs with which the value can only rise.
    stands_in : mapping of str to str
        Column that is read in place of an input where the table has it.
    reference : str
        Key of the citation in ``references.bib``.
    optional : mapping of str to tuple of str
        Inputs that a table may lack, each with the parameters that act through it alone. In a table that
        has the column, an empty cell or a zero says that this run had none of it.
    held : mapping of str to float
        Arguments and parameters of the formula that are held at a number (see `only` and `holding`).
    """

    name: str
    formula: Callable[..., Array]
    inputs: tuple[str, ...]
    parameters: Mapping[str, Kind]
    declared_scaling: Mapping[str, Mapping[str, str | float]] | None = None
    typical: Mapping[str, float] = field(default_factory=dict)
    falls_with: tuple[str, ...] = ()
    rises_with: tuple[str, ...] = ()
    stands_in: Mapping[str, str] = field(default_factory=dict)
    reference: str = ""
    optional: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    held: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, *inputs: Array, **parameters: Array) -> Array:
        """Value of the formula, of the array kind and shape of what it is given."""
        if not self.held:
            return self.formula(*inputs, **parameters)
        given = dict(zip(self.arguments, inputs, strict=True))
        every = [given[a] if a in given else self.held[a] for a in _positional(self.formula)]
        letters = {k: v for k, v in self.held.items() if k not in _positional(self.formula)}
        return self.formula(*every, **letters | parameters)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the positional arguments, one for each of `inputs`."""
        return tuple(a for a in _positional(self.formula) if a not in self.held)

    @cached_property
    def factors(self) -> Mapping[str, str]:
        """Compression factor of each input that is divided by one; these share one reference scale."""
        kinds = _kinds(self.formula, len(_positional(self.formula)))
        return {
            name: letter
            for name, letters in self.optional.items()
            for letter in letters
            if kinds[letter].name == "compression"
        }

    @property
    def scaling(self) -> Mapping[str, Mapping[str, str | float]]:
        """How parameters carry the units of the inputs: as declared, else as the formula shows."""
        return self._found_scaling or {}

    @property
    def carries_units(self) -> bool:
        """Whether the paper's parameters follow from those at a reference scale.

        False where nothing was declared and the formula shows no way: the parameters then belong to
        the reference scale they were learnt at, and another choice of it is another law.
        """
        return self._found_scaling is not None

    @cached_property
    def _found_scaling(self) -> Mapping[str, Mapping[str, str | float]] | None:
        return infer_scaling(self) if self.declared_scaling is None else self.declared_scaling

    @property
    def summary(self) -> str:
        """First line of the formula's docstring."""
        return (inspect.getdoc(self.formula) or "").partition("\n")[0]

    def reading(self, *columns: str) -> "Law":
        """The same formula reading other columns: ``find("m4").reading("flops")``."""
        if len(columns) != len(self.inputs):
            raise InputError(
                f"law {self.name!r} has {len(self.inputs)} inputs ({', '.join(self.inputs)}), "
                f"but {len(columns)} columns were given: {', '.join(columns)}."
            )
        renamed = dict(zip(self.inputs, columns, strict=True))
        return replace(
            self,
            inputs=columns,
            falls_with=tuple(renamed[c] for c in self.falls_with),
            rises_with=tuple(renamed[c] for c in self.rises_with),
            stands_in={},
            optional={renamed[c]: letters for c, letters in self.optional.items()},
        )

    def only(self, *inputs: str) -> "Law":
        """The same formula without the optional inputs that are not named.

        Their arguments are 0, and the parameters that act through them alone are gone.

        Raises
        ------
        InputError
            If an input is not of this law, or one left out is not optional, or no raw size is left.
        """
        unknown = [c for c in inputs if c not in self.inputs]
        needed = [c for c in self.inputs if c not in inputs and c not in self.optional]
        if unknown or needed:
            fault = f"does not read {unknown[0]!r}" if unknown else f"cannot do without {needed[0]!r}"
            raise InputError(
                f"law {self.name!r} {fault}: it reads {', '.join(self.inputs)}, of which "
                f"{', '.join(self.optional) or 'none'} may be left out."
            )
        if self.factors and not set(self.factors) & set(inputs):
            raise InputError(
                f"law {self.name!r} reads at least one of {', '.join(self.factors)}, and none is left."
            )
        columns = dict(zip(self.inputs, self.arguments, strict=True))
        gone = [c for c in self.inputs if c not in inputs]
        letters = [k for c in gone for k in self.optional[c] if k in self.parameters]
        return self.holding(**{columns[c]: 0.0 for c in gone}, **dict.fromkeys(letters, 1.0))

    def holding(self, **numbers: float) -> "Law":
        """The same formula with parameters held at numbers, and not learnt any more.

        Raises
        ------
        InputError
            If a name is no parameter of this law, or carries the unit of an input, or is an input that
            the law cannot do without.
        """
        columns = dict(zip(self.arguments, self.inputs, strict=True))
        gone = [columns[k] for k in numbers if k in columns]
        free = {k for k in self.parameters if k not in (self.declared_scaling or {})}
        wrong = [k for k in numbers if k not in free and columns.get(k) not in self.optional]
        wrong += [k for k, v in numbers.items() if k in columns and v != 0]
        if wrong:
            raise InputError(
                f"law {self.name!r}: {wrong[0]}={numbers[wrong[0]]!r} cannot be held; parameters without a "
                f"unit of the inputs can: {', '.join(k for k in self.parameters if k in free)}."
            )
        return replace(
            self,
            inputs=tuple(c for c in self.inputs if c not in gone),
            parameters={k: v for k, v in self.parameters.items() if k not in numbers},
            declared_scaling=self._scaling_without(numbers),
            typical={k: v for k, v in self.typical.items() if k not in numbers},
            falls_with=tuple(c for c in self.falls_with if c not in gone),
            rises_with=tuple(c for c in self.rises_with if c not in gone),
            stands_in={k: v for k, v in self.stands_in.items() if k not in gone},
            optional={k: v for k, v in self.optional.items() if k not in gone},
            held=dict(self.held) | numbers,
        )

    def _scaling_without(self, gone: Mapping[str, float]) -> Mapping[str, Mapping[str, str | float]] | None:
        """The declared scaling when arguments are gone; one that shares their reference takes their place."""
        if self.declared_scaling is None:
            return None
        columns = dict(zip(self.inputs, self.arguments, strict=True))
        addends = [columns[c] for c in self.factors if c in columns and columns[c] not in gone]
        found: dict[str, dict[str, str | float]] = {}
        for letter, powers in self.declared_scaling.items():
            kept = {a: p for a, p in powers.items() if a not in gone}
            left = [p for a, p in powers.items() if a in gone]
            if left and addends and not set(addends) & set(kept):
                kept[addends[0]] = left[0]
            found[letter] = kept
        return {k: v for k, v in found.items() if v}

    def undo_reference(
        self, parameters: Mapping[str, Array], scales: Mapping[str, float]
    ) -> dict[str, Array]:
        """The paper's parameters from those at the reference scales.

        Parameters
        ----------
        parameters : mapping
            Values at the reference scales, of any array kind.
        scales : mapping
            Reference scale of each input, by column.

        Returns
        -------
        dict
            Same keys; parameters without units are passed through.
        """
        return self._carry(parameters, scales, sign=1.0)

    def apply_reference(
        self, parameters: Mapping[str, Array], scales: Mapping[str, float]
    ) -> dict[str, Array]:
        """Parameters at the reference scales from the paper's: the inverse of `undo_reference`."""
        return self._carry(parameters, scales, sign=-1.0)

    def _carry(
        self, parameters: Mapping[str, Array], scales: Mapping[str, float], sign: float
    ) -> dict[str, Array]:
        columns = dict(zip(self.arguments, self.inputs, strict=True))
        carried, known = dict(parameters), {**self.held, **parameters}
        for letter, powers in self.scaling.items():
            for argument, power in powers.items():
                scale, exponent = scales[columns[argument]], sign * _power(power, known)
                if self.parameters[letter].name == "intercept":
                    carried[letter] = carried[letter] + exponent * log(scale)
                else:
                    carried[letter] = carried[letter] * scale**exponent
        return carried


def _power(power: str | float, parameters: Mapping[str, Array]) -> Array:
    if not isinstance(power, str):
        return power
    return -parameters[power[1:]] if power.startswith("-") else parameters[power]


_REGISTRY: dict[str, Law] = {}


def law(
    *,
    inputs: tuple[str, ...],
    name: str | None = None,
    scaling: Mapping[str, Mapping[str, str | float]] | None = None,
    typical: Mapping[str, float] | None = None,
    falls_with: tuple[str, ...] = (),
    rises_with: tuple[str, ...] = (),
    stands_in: Mapping[str, str] | None = None,
    reference: str = "",
    optional: Mapping[str, tuple[str, ...]] | None = None,
) -> Callable[[Callable[..., Array]], Law]:
    """Make a function of one run into a law that can be fitted, queried and saved by name.

    The function takes its inputs first, then after ``*`` the parameters, each annotated with a kind
    (`Irreducible`, `Amplitude`, `Exponent`, ...). Arithmetic needs no library; ``exp``, ``log`` and
    their like come from `bayescale.laws.elementwise`.

    Parameters
    ----------
    inputs : tuple of str
        Columns of the run table, one for each positional argument.
    name : str, optional
        Name under which the law is found; the function's own by default.
    scaling : mapping, optional
        How parameters carry the units of the inputs (`Law.declared_scaling`). Left out, it is found
        from the formula when first needed; ``{}`` says that no parameter carries any.
    typical, falls_with, rises_with, stands_in, reference
        See `Law`.
    optional : mapping of str to tuple of str, optional
        Inputs that a table may lack, with the parameters that act through each alone:
        ``{"bytes_audio": ("C_audio",)}``. The argument of an absent one is 0, so the formula must allow it.

    Raises
    ------
    InputError
        If the name is taken by another law, or the signature declares too little, or a declaration
        names what the signature does not have.

    Examples
    --------
    >>> import bayescale as bs
    >>> from bayescale.laws import Amplitude, Exponent, Irreducible
    >>> @bs.law(inputs=("n_tokens",))
    ... def my_law(d, *, E: Irreducible, B: Amplitude, beta: Exponent):
    ...     return E + B * d**-beta
    """

    def declare(formula: Callable[..., Array]) -> Law:
        declared = Law(
            name=name or formula.__name__,
            formula=formula,
            inputs=tuple(inputs),
            parameters=_kinds(formula, len(inputs)),
            declared_scaling=None if scaling is None else dict(scaling),
            typical=dict(typical or {}),
            falls_with=tuple(falls_with),
            rises_with=tuple(rises_with),
            stands_in=dict(stands_in or {}),
            reference=reference,
            optional={k: tuple(v) for k, v in (optional or {}).items()},
        )
        _check_declarations(declared)
        known = _REGISTRY.get(declared.name)
        # The same function again is a notebook cell run twice, or a module reloaded.
        if known is not None and _origin(known.formula) != _origin(formula):
            raise InputError(
                f"a law called {declared.name!r} is registered already (by {_origin(known.formula)}). "
                f"Give yours another name: @law(name=...)."
            )
        return register(declared)

    return declare


def register(law: Law) -> Law:
    """Make a law known by its name in this process, in place of one that had the name; passed through."""
    _REGISTRY[law.name] = law
    return law


def find(name: str | Law) -> Law:
    """The law of that name; a `Law` is passed through.

    Raises
    ------
    InputError
        If no law has that name; the message lists those that exist.
    """
    if isinstance(name, Law):
        return name
    registered()
    if name not in _REGISTRY:
        hint = did_you_mean(str(name), _REGISTRY)
        raise InputError(
            f"there is no law called {name!r}.{hint} Laws: {', '.join(sorted(_REGISTRY))}. "
            "A law of your own is a function with @bayescale.law(...); define it before it is used."
        )
    return _REGISTRY[name]


def listing() -> "pd.DataFrame":
    """Every law with what it reads and learns: ``bayescale.laws()``.

    Returns
    -------
    DataFrame
        Index ``law``; columns ``reads``, ``learns``, ``says`` (one line) and ``reference`` (key in
        ``references.bib``).
    """
    import pandas as pd

    rows = {
        name: (", ".join(law.inputs), ", ".join(law.parameters), law.summary, law.reference)
        for name, law in sorted(registered().items())
    }
    columns = ["reads", "learns", "says", "reference"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("law")


def registered() -> dict[str, Law]:
    """All laws by name: the package's and those declared in this process."""
    import bayescale.laws  # noqa: F401  (its members register themselves)

    return dict(_REGISTRY)


def _kinds(formula: Callable[..., Array], n_inputs: int) -> dict[str, Kind]:
    parameters = inspect.signature(formula, eval_str=False).parameters.values()
    positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    if len(positional) != n_inputs:
        raise InputError(
            f"law {formula.__name__!r} takes {len(positional)} positional arguments "
            f"({', '.join(positional)}) but declares {n_inputs} inputs; they must match one to one."
        )
    learnt = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    if not learnt:
        raise InputError(
            f"law {formula.__name__!r} learns nothing: put its parameters after *, each with a kind, "
            "as in def f(n, *, E: Irreducible, A: Amplitude, alpha: Exponent)."
        )
    names = getattr(formula, "__globals__", {})
    return {p.name: kind_of(p, formula.__name__, names) for p in learnt}


def _positional(formula: Callable[..., Array]) -> tuple[str, ...]:
    every = inspect.signature(formula).parameters.values()
    return tuple(p.name for p in every if p.kind is not p.KEYWORD_ONLY)


def _origin(formula: Callable[..., Array]) -> str:
    return f"{formula.__module__}.{formula.__qualname__}"


def _check_declarations(declared: Law) -> None:
    """Every letter and column that the decorator names must be in the signature."""
    powers = [
        str(power).removeprefix("-")
        for carried in (declared.declared_scaling or {}).values()
        for power in carried.values()
        if isinstance(power, str)
    ]
    arguments = [a for carried in (declared.declared_scaling or {}).values() for a in carried]
    own = [k for letters in declared.optional.values() for k in letters]
    letters = {
        "scaling": [*(declared.declared_scaling or {}), *powers],
        "typical": declared.typical,
        "optional": own,
    }
    columns = {
        "falls_with": declared.falls_with,
        "rises_with": declared.rises_with,
        "stands_in": declared.stands_in,
        "optional": declared.optional,
    }
    checks = [(where, got, declared.parameters) for where, got in letters.items()]
    checks += [(where, got, declared.inputs) for where, got in columns.items()]
    checks += [("scaling", arguments, declared.arguments)]
    for where, got, allowed in checks:
        for word in got:
            if word not in allowed:
                raise InputError(
                    f"law {declared.name!r}: {where}= names {word!r}, which its signature does not have "
                    f"(it has: {', '.join(allowed)})."
                )
