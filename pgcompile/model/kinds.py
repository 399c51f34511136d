"""Kinds of factor: the facts of each before it is typed, planned or written.

A factor's definition has a class of its own for each kind, and a row here says what the other rooms may ask of it.
What a room does with a kind (checking, scoring, drawing, writing, judging) stands in a table of that room, by the same
class.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pgcompile.diagnostics import InternalError
from pgcompile.model.factors import (
    Data,
    Deterministic,
    Evidence,
    Extern,
    Factor,
    FamilyUse,
    FlowUse,
    LogDensityUse,
    Mixture,
    Pushforward,
    Undefined,
)
from pgcompile.syntax import tree
from pgcompile.vocabulary.spaces import Space, is_countable

Obstacle = tuple[str, str]
"""The reason why something cannot be done, and what to write instead."""


def _nothing(definition: Any) -> tuple[()]:
    return ()


def _never(definition: Any) -> bool:
    return False


def _possible(definition: Any) -> None:
    return None


@dataclass(frozen=True)
class Kind:
    """The facts about one kind of factor.

    Args:
        noun: what people call it.
        pathwise: whether its draws carry gradients of its parameters, as far as is known before it is supplied.
        expressions: the formulas that it is defined with, those of `where` too.
        parts: the factors that it is made of.
        flows: the flows that it goes through.
        undrawn: why it cannot be drawn inside an expectation, and what to write instead; None where it can.
        unscored: why it has no log-density, and what to write instead; None where it has one.
        normalised: whether its density integrates to one.
        bindings: what its `where` binds.
        parametrised: whether it has parameters, which are computed from its parents.
        defined: whether anything is known of it but its variables.
        supplied: whether Python supplies it.
        no_family: what is missing, for messages, where a family and its parameters are asked for.
    """

    noun: str
    pathwise: Callable[[Any], bool] = _never
    expressions: Callable[[Any], Iterable[tree.Expr]] = _nothing
    parts: Callable[[Any], Iterable[Factor]] = _nothing
    flows: Callable[[Any], Iterable[str]] = _nothing
    undrawn: Callable[[Any], Obstacle | None] = _possible
    unscored: Callable[[Any], Obstacle | None] = _possible
    normalised: bool = True
    bindings: Callable[[Any], tuple[tree.Binding, ...]] = _nothing
    parametrised: bool = False
    defined: bool = True
    supplied: bool = False
    no_family: str = "has no family"


def _bound(bindings: tuple[tree.Binding, ...]) -> list[tree.Expr]:
    return [binding.value for binding in bindings]


def _where(definition: Any) -> tuple[tree.Binding, ...]:
    bindings: tuple[tree.Binding, ...] = definition.bindings
    return bindings


def _point_mass(use: FamilyUse) -> Obstacle | None:
    if use.family.name != "Delta":
        return None
    return (
        "it is a point mass",
        "it can be drawn and conditioned on; give it a family with a width to score it",
    )


KINDS: dict[type, Kind] = {
    FamilyUse: Kind(
        "family",
        pathwise=lambda use: use.family.pathwise,
        expressions=lambda use: [*(expr for _, expr in use.parameters), *_bound(use.bindings)],
        unscored=_point_mass,
        bindings=_where,
        parametrised=True,
    ),
    FlowUse: Kind(
        "flow",
        pathwise=lambda use: True,
        expressions=lambda use: [*use.arguments, *_bound(use.bindings)],
        parts=lambda use: (use.base,),
        flows=lambda use: (use.flow,),
        bindings=_where,
        parametrised=True,
    ),
    Mixture: Kind(
        "mixture",
        expressions=lambda mixture: mixture.weights,
        parts=lambda mixture: mixture.components,
        undrawn=lambda mixture: (
            (
                "each of its entries chooses a component of its own, and a choice has no pathwise gradient",
                "draw the choice too, as in `b : boolean[10]`, `q(b) = Bernoulli(w)` and `E_{q(z|b) q(b)}[...]`",
            )
            if mixture.by_entry
            else (
                "a mixture is averaged component by component",
                "write the sum, as in 0.5 IWAE[p || q_1; samples=8] + 0.5 IWAE[p || q_2; samples=8]",
            )
        ),
    ),
    Extern: Kind("supplied distribution", supplied=True),
    Data: Kind(
        "data",
        unscored=lambda data: ("it is a set of points", "it can be averaged over: E_{data(x)}[...]"),
    ),
    Deterministic: Kind("formula", expressions=lambda made: [made.expr, *_bound(made.bindings)], bindings=_where),
    LogDensityUse: Kind(
        "unnormalised density",
        expressions=lambda use: [use.expr, *_bound(use.bindings)],
        undrawn=lambda use: (
            "its density is known up to a constant",
            "take the expectation over another distribution",
        ),
        normalised=False,
        bindings=_where,
    ),
    Pushforward: Kind(
        "change of variables",
        expressions=lambda pushed: (pushed.forward,),
        parts=lambda pushed: (pushed.base.factor,),
        undrawn=lambda pushed: (
            f"it is computed from {pushed.variable}",
            f"take the expectation over {pushed.base.label}",
        ),
    ),
    Evidence: Kind(
        "evidence",
        expressions=lambda evidence: _bound(evidence.bindings),
        parts=lambda evidence: (evidence.prior.factor, evidence.likelihood.factor),
        bindings=_where,
        no_family="is in no family of the language",
    ),
    Undefined: Kind("factor without a family", defined=False),
}


def kind_of(factor: Factor) -> Kind:
    """The facts about the kind of a factor."""
    found = KINDS.get(type(factor.definition))
    if found is None:
        raise InternalError(f"no row of KINDS for {type(factor.definition).__name__}")
    return found


def is_defined(factor: Factor) -> bool:
    """True if anything is known of a factor but its variables."""
    return kind_of(factor).defined


def is_pathwise(factor: Factor) -> bool:
    """True if its draws carry gradients of its parameters, as far as is known before it is supplied."""
    return kind_of(factor).pathwise(factor.definition)


def is_point_mass(factor: Factor) -> bool:
    """True if it is `Delta(...)`: a value, which has no density."""
    return factor.family is not None and factor.family.name == "Delta"


def unscored(factor: Factor, space: Space) -> Obstacle | None:
    """Why a factor over a space has no log-density, and what to write instead; None where it has one.

    A point mass counts in a mixture over a space whose values can be counted: its density is a probability there, as
    those of the other components are.
    """
    kind = kind_of(factor)
    found = kind.unscored(factor.definition)
    if found is not None or not isinstance(factor.definition, Mixture):
        return found
    for part in kind.parts(factor.definition):
        if is_point_mass(part) and not is_countable(space.kind):
            return (
                f"{part.label} is a probability and the densities beside it are not",
                "give the component a small width, or score a variable that is counted",
            )
        found = None if is_point_mass(part) else unscored(part, space)
        if found is not None:
            return found
    return None


def expressions_of(factor: Factor) -> list[tree.Expr]:
    """The formulas of a factor and of the factors that it is made of."""
    kind = kind_of(factor)
    inner = [expr for part in kind.parts(factor.definition) for expr in expressions_of(part)]
    return [*kind.expressions(factor.definition), *inner]


def flows_of(factor: Factor) -> list[str]:
    """The flows of a factor and of the factors that it is made of."""
    kind = kind_of(factor)
    inner = [flow for part in kind.parts(factor.definition) for flow in flows_of(part)]
    return [*kind.flows(factor.definition), *inner]


def supplied_in(factor: Factor) -> list[str]:
    """Labels of the factors among these that Python supplies."""
    kind = kind_of(factor)
    inner = [label for part in kind.parts(factor.definition) for label in supplied_in(part)]
    return [factor.label] if kind.supplied else inner
