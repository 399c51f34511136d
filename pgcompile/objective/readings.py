"""The context that a whole formula gives its parts: densities that a divergence counts, options, and bare names."""

from typing import TYPE_CHECKING

from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import base_name
from pgcompile.model.variable import Variable
from pgcompile.objective.context import Context
from pgcompile.objective.options import read_options
from pgcompile.objective.terms import Estimator
from pgcompile.syntax import tree
from pgcompile.syntax.tree import names_in

if TYPE_CHECKING:
    from pgcompile.objective.resolve import Objectives


def context_of(whole: "Objectives", name: str) -> Context:
    """The context of an objective in the formulas that it is a part of, so that it is the same in each of them."""
    if name not in whole.contexts:
        own = whole.model.objectives[name].expr
        around = [o.expr for o in whole.model.objectives.values() if own in expanded(whole, o.expr)]
        counted = dict.fromkeys(pair for expr in around for pair in _counted(whole, expr))
        options = [found for expr in around for found in _options(whole, expr)]
        whole.contexts[name] = Context(tuple(counted), tuple(options))
    return whole.contexts[name]


def _counted(whole: "Objectives", expr: tree.Expr) -> list[tuple[str, tuple[Variable, ...]]]:
    """`(p, targets of q)` for every `KL[q || p]` of the formula, so that a bare `log p` is the rest of p."""
    found = []
    for node in tree.walk(expanded(whole, expr)):
        if isinstance(node, tree.Functional) and node.kind == "KL" and node.right is not None:
            left = _quietly(whole, node.left)
            right = _dist_name(node.right)
            if left is not None and right is not None:
                found.append((base_name(right), left.targets))
    return found


def _options(whole: "Objectives", expr: tree.Expr) -> list[tuple[Distribution, int | None, Estimator]]:
    """Options of the expectations of the formula, which divergences over the same draw share."""
    found = []
    for node in tree.walk(expanded(whole, expr)):
        if isinstance(node, tree.Expectation) and node.over is not None:
            over = _quietly(whole, node.over)
            read = read_options(node.options, whole.model.constants, whole.sink.quiet())
            if over is not None and read is not None and read[1].relax is None:
                found.append((over, *read))
    return found


def expanded(whole: "Objectives", expr: tree.Expr) -> tuple[tree.Expr, ...]:
    """The formula and those it names."""
    seen: dict[str, tree.Expr] = {}
    stack = [expr]
    result = [expr]
    while stack:
        for name in names_in(stack.pop()):
            objective = whole.model.objectives.get(name)
            if objective is not None and name not in seen:
                seen[name] = objective.expr
                stack.append(objective.expr)
                result.append(objective.expr)
    return tuple(result)


def averages(whole: "Objectives", expr: tree.Expr) -> bool:
    """True if a formula averages over draws, itself or in an objective that it names."""
    return any(isinstance(n, tree.Expectation | tree.Functional) for n in tree.walk(expanded(whole, expr)))


def _quietly(whole: "Objectives", expr: tree.Expr) -> Distribution | None:
    """Resolve without reporting: the formula itself reports later."""
    return whole.resolver.quietly().resolve(expr)


def note_readings(whole: "Objectives", name: str, expr: tree.Expr) -> None:
    """The readings of the bare names of a formula, as one note with the full spelling."""
    inside = sorted(
        (s, text) for s, text in whole.readings.items() if expr.span.start <= s.start and s.end <= expr.span.end
    )
    if not inside:
        return
    pieces, at = [], expr.span.start
    for span, text in inside:
        before = whole.sink.source.text[at : span.start]
        pieces += [before, f"{{{text}}}" if before.endswith("_") else text]
        at = span.end
    pieces.append(whole.sink.source.text[at : expr.span.end])
    spelled = " ".join("".join(pieces).split())
    whole.sink.add("N101", expr.span, f"{name} is read as {spelled}", reasons=whole.reasons)


def _dist_name(expr: tree.Expr) -> str | None:
    match expr:
        case tree.Name(id):
            return id
        case tree.Call(name):
            return name
        case tree.Product(factors):
            return _dist_name(factors[0])
        case _:
            return None
