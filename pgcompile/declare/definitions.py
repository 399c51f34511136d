"""Definitions: the reading of a statement with `=`, by what stands on its left side."""

from pgcompile.declare.declaration_pass import DeclarationPass
from pgcompile.declare.factors import define_factor
from pgcompile.declare.formulas import define_formula, define_parts, is_formula
from pgcompile.inference.heads import head_variables
from pgcompile.model.factors import Extern, Factor
from pgcompile.syntax import tree


def define(statement: tree.Statement, state: DeclarationPass) -> None:
    """Read a factor, an algebraic definition, a deterministic variable or an objective; others are left alone."""
    match statement:
        case tree.Definition(tree.Call(given=None) as head, right) if is_formula(right):
            # `L(theta, phi; x) = E_q[...]`: papers write what an objective depends on.
            define_formula(tree.Name(head.name, span=head.name_span), right, state)
        case tree.Definition(tree.Call() as head, right):
            define_factor(head, right, state)
        case tree.Definition(tree.Name() as name, right):
            define_formula(name, right, state)
        case tree.Definition(tree.TupleLiteral(names), right) if all(isinstance(n, tree.Name) for n in names):
            define_parts(tuple(n for n in names if isinstance(n, tree.Name)), right, state)
        case tree.Definition(left, _):
            text = state.sink.source.snippet(left.span)
            state.sink.add(
                "PGC212",
                left.span,
                f"`{text}` cannot be defined",
                help="the left side is a factor such as p(x|z), or a name",
            )
        case tree.ExternFactor(head):
            variables = head_variables(head, state.sink)
            if variables is not None:
                state.add_factor(Factor(head.name, *variables, Extern(), head.span))
        case _:
            pass
