"""Bare structures: `p(x|z) p(z)` in a program without families, where factors exist by being written."""

from pgcompile.declare.declaration_pass import DeclarationPass
from pgcompile.inference.distributions import Resolver
from pgcompile.inference.heads import head_variables, label_key
from pgcompile.model.factors import Factor, Undefined
from pgcompile.model.kinds import is_defined
from pgcompile.syntax import tree


def declare_free_factors(expr: tree.Expr, state: DeclarationPass) -> None:
    """Declare the factors that a formula names, where the program defines none."""
    if not any(map(is_defined, state.model.factors)):
        _declare_factors_in(expr, state)


def _declare_factors_in(expr: tree.Expr, state: DeclarationPass) -> None:
    match expr:
        case tree.Call():
            head = head_variables(expr, state.sink)
            if head is None or state.find_factor(expr.name, *head) is not None:
                return
            if label_key(expr.name, *head) not in state.defined:
                state.add_factor(Factor(expr.name, *head, Undefined(), expr.span))
        case tree.Product(factors):
            for factor in factors:
                _declare_factors_in(factor, state)
        case tree.Integral(body, _):
            _declare_factors_in(body, state)
        case tree.Rename(base, _):
            _declare_factors_in(base, state)
        case _:
            pass


def read_structure(statement: tree.Structure, state: DeclarationPass, resolver: Resolver) -> None:
    """Resolve a formula that stands by itself: the structure of the model."""
    if not any(map(is_defined, state.model.factors)):
        _declare_factors_in(statement.expr, state)
        if state.sink.has_errors:
            return
        resolver = resolver.renewed()
    if isinstance(statement.expr, tree.Call | tree.Product | tree.Integral | tree.Rename | tree.Name):
        found = resolver.resolve(statement.expr)
        if found is not None:
            state.model.structure = found
        return
    text = state.text(statement.expr)
    state.sink.add("PGC212", statement.span, f"`{text}` has no name", help=f"name it: `elbo = {text}`")
