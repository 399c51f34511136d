"""Densities inside `grad(log p(x), x)` and `jacobian(...)`: the only ones that a formula of variables may hold."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pgcompile.inference.algebra import drop_barren
from pgcompile.model.distributions import Distribution
from pgcompile.objective.densities import is_density, scorable
from pgcompile.objective.entries import atom_with
from pgcompile.objective.terms import Env
from pgcompile.syntax import tree
from pgcompile.vocabulary.functions import FUNCTIONS

if TYPE_CHECKING:
    from pgcompile.objective.resolve import Objectives


def is_derivative(node: tree.Node) -> bool:
    """True if a node is a call of `grad` or `jacobian`."""
    if not isinstance(node, tree.Call) or node.given is not None or node.name not in FUNCTIONS:
        return False
    return FUNCTIONS[node.name].shape in ("gradient", "jacobian")


def is_quantile(node: tree.Node) -> bool:
    """True if a node is a call of `quantile`, whose first argument is a factor."""
    return isinstance(node, tree.Call) and node.name == "quantile" and node.given is None and len(node.args) == 2


def outside_derivatives(whole: "Objectives", expr: tree.Expr) -> Iterator[tree.Node]:
    """Every node of an expression but the logarithms of densities that are differentiated."""
    pending: list[tuple[tree.Node, bool]] = [(expr, False)]
    while pending:
        node, inside = pending.pop()
        inside = inside or is_derivative(node)
        if inside and isinstance(node, tree.Log) and is_density(whole, node.operand):
            continue
        yield node
        if is_quantile(node) and isinstance(node, tree.Call):
            pending += [(argument.value, inside) for argument in node.args[1:]]
            continue
        pending += [(child, inside) for child in tree.children(node)]


def densities_in(whole: "Objectives", expr: tree.Expr, env: Env) -> tuple[tuple[tree.Expr, Distribution], ...] | None:
    """The densities of an expression with what each means; None after a report."""
    found: dict[tree.Expr, Distribution] = {}
    for node in tree.walk(expr):
        if isinstance(node, tree.Log) and node.operand not in found and is_density(whole, node.operand):
            distribution = whole.resolver.resolve(node.operand)
            if distribution is None or not scorable(whole, distribution, node.operand.span):
                return None
            found[node.operand] = drop_barren(distribution)
        elif isinstance(node, tree.Call) and is_quantile(node) and node not in found:
            atom = atom_with(whole, node, node.args[0].value)
            if atom is None:
                return None
            found[node] = Distribution((atom,))
    return tuple(found.items())
