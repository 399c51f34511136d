"""Numbers that stand before brackets: `beta (a - b)` is a product where beta is a number, and no call."""

from dataclasses import replace
from typing import Any

from pgcompile.declare.declaration_pass import DeclarationPass
from pgcompile.syntax import tree
from pgcompile.syntax.mapped import mapped
from pgcompile.vocabulary.functions import FUNCTIONS


def read_coefficients(state: DeclarationPass) -> None:
    """Let the constants, inputs and params of a program multiply the brackets behind them in objectives."""
    model = state.model
    numbers = {*model.constants, *(n for n, t in model.tensors.items() if not t.space.shape)} - {
        *model.nets,
        *FUNCTIONS,
    }

    def settled(expr: Any) -> Any:
        match expr:
            case tree.Call(name, (tree.Argument(None, value),), None) if name in numbers:
                factors = value.factors if isinstance(value, tree.Product) else (value,)
                return tree.Product((tree.Name(name, span=expr.name_span), *map(settled, factors)), span=expr.span)
            case _:
                return mapped(expr, settled)

    if numbers:
        for name, (expr, span) in state.formulas.items():
            state.formulas[name] = (settled(expr), span)
        state.training_lines[:] = [replace(line, objective=settled(line.objective)) for line in state.training_lines]
