"""Scopes: the names that a formula may use, and the types that they have."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pgcompile.diagnostics import Sink
from pgcompile.model.typed import Typed, TypedMany
from pgcompile.syntax import tree

Result = Typed | TypedMany | None
"""The type of an expression; None where a fault in it has been reported."""


@dataclass
class Scope:
    """The meaning of the names inside one formula.

    Args:
        where: what the formula is called in messages, such as `q(z|x)`.
        variables: types of the variables it may use; None stands for one whose fault is already reported.
        bindings: `where` clauses by the names they bind.
        forbidden: variables of the model that this formula is not conditioned on, for a better message.
        density: whether an expression is a density that may stand here, as in `grad(log p(x), x)`.
        in_objective: whether the formula is a part of an objective, and has a batch.
        results: types of the bound names that have been inferred.
        in_progress: bound names whose clause is being inferred: one that is met again is defined by itself.
    """

    where: str
    variables: dict[str, Typed | None]
    bindings: dict[str, tuple[tree.Binding, int]] = field(default_factory=dict)
    forbidden: Callable[[str], str | None] = lambda name: None
    density: Callable[[tree.Expr], bool] = lambda expr: False
    in_objective: bool = False
    results: dict[str, Result] = field(default_factory=dict)
    in_progress: set[str] = field(default_factory=set)


def bind(bindings: tuple[tree.Binding, ...], sink: Sink) -> dict[str, tuple[tree.Binding, int]]:
    """Where clauses by the names they bind; the same name twice is reported.

    Args:
        bindings: the clauses, in order.
        sink: of reports.

    Returns:
        For each name its clause and its place among the names of that clause.
    """
    found: dict[str, tuple[tree.Binding, int]] = {}
    for binding in bindings:
        for position, name in enumerate(binding.names):
            if name.id in found:
                sink.add(
                    "PGC107",
                    name.span,
                    f"{name.id} is bound twice in this `where`",
                    help="give the second one another name",
                )
            found.setdefault(name.id, (binding, position))
    return found
