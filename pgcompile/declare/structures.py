"""Bare structures: `p(x|z) p(z)` in a program without families, where factors exist by being written."""

from pgcompile.declare.declaration_pass import DeclarationPass
from pgcompile.declare.free_factors import declare_free_factors, defines_factors
from pgcompile.inference.distributions import Resolver
from pgcompile.syntax import tree


def read_structure(statement: tree.Structure, state: DeclarationPass, resolver: Resolver) -> None:
    """Resolve a formula that stands by itself: the structure of the model."""
    if not defines_factors(state):
        declare_free_factors(statement.expr, state)
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
