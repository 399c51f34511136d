"""The arguments of functions that are no tensors: sizes, an order of dimensions, an equation of indices."""

from fractions import Fraction

from pgcompile.model.literals import Constants, evaluate, flatten
from pgcompile.syntax import tree
from pgcompile.vocabulary.functions import FUNCTIONS

_LITERAL_FROM = {"eye": 0, "reshape": 1, "transpose": 1}
"""The place from which on all arguments of a function are whole numbers, by its `shape`."""


def parts_of_call(call: tree.Call, constants: Constants) -> tuple[tuple[tree.Argument, ...], tuple[int | str, ...]]:
    """The arguments of a function that are tensors, and those that say how it is computed.

    Args:
        call: of a function of the vocabulary, checked already.
        constants: values of the named sizes.

    Returns:
        The first, with their names, and the values of the others: of `cat` the place of the dimension `dim`.
    """
    shape = FUNCTIONS[call.name].shape
    if shape == "einsum":
        equation = call.args[0].value
        text = equation.value if isinstance(equation, tree.Text) else ""
        return call.args[1:], ("".join(text.split()),)
    if shape == "cat":
        dim = next((a.value for a in call.args if a.name == "dim"), None)
        rest = tuple(a for a in call.args if a.name is None)
        return rest, () if dim is None else (place_of(dim, constants) or 0,)
    start = _LITERAL_FROM.get(shape)
    if start is None:
        return call.args, ()
    return call.args[:start], tuple(whole_numbers(tuple(a.value for a in call.args[start:]), constants) or ())


def whole_numbers(exprs: tuple[tree.Expr, ...], constants: Constants) -> list[int] | None:
    """The values of some expressions, a list being all its entries; None where one is no whole number."""
    found: list[int] = []
    for expr in exprs:
        value = evaluate(expr, constants)
        if value is None:
            return None
        for number in [value] if isinstance(value, Fraction) else flatten(value):
            if number.denominator != 1:
                return None
            found.append(int(number))
    return found


def place_of(dim: tree.Expr, constants: Constants) -> int | None:
    """The dimension that `dim=` names: a number from 0, or `channels`, the first; None for anything else."""
    if isinstance(dim, tree.Name) and dim.id == "channels":
        return 0
    numbers = whole_numbers((dim,), constants)
    return numbers[0] if numbers is not None and len(numbers) == 1 else None
