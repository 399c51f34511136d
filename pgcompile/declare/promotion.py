"""The `where` of an objective: what it binds are variables and objectives of the program, under names of their own."""

from dataclasses import replace
from fractions import Fraction

from pgcompile.declare.declaration_pass import DeclarationPass
from pgcompile.declare.vectors import Shapes
from pgcompile.diagnostics import Span
from pgcompile.inference.expression_maker import renamed
from pgcompile.model.literals import evaluate
from pgcompile.syntax import tree

Formulas = dict[str, tuple[tree.Expr, Span]]


def promote_bindings(formulas: Formulas, state: DeclarationPass) -> Formulas:
    """Objectives without their `where`, and the names that it bound beside them.

    A name that the program has already, for something else, is given a number: `h` becomes `h_1`.

    Args:
        formulas: the objectives, of which some have a `where`.
        state: of the program; variables that are bound are counted among its own.

    Returns:
        The formulas in the order of the program, each after what it uses.
    """
    found: Formulas = {}
    for name, (expr, span) in formulas.items():
        if not isinstance(expr, tree.Where):
            found[name] = (expr, span)
            continue
        names: dict[str, str] = {}
        for binding in _in_order(expr.bindings):
            value = renamed(binding.value, names)
            for part in binding.names:
                chosen = _free_name(part.id, value, found, state)
                names[part.id] = chosen
                whole: tree.Expr = value
                number = evaluate(value, state.model.constants) if len(binding.names) == 1 else None
                if isinstance(number, Fraction):
                    state.model.constants[chosen] = number
                    continue
                if len(binding.names) > 1:
                    parts = replace(binding, value=value)
                    whole = tree.Where(part, (parts,), span=binding.span)
                found[chosen] = state.formulas[chosen] = (whole, part.span)
                if len(binding.names) > 1 or Shapes(state).is_plain(whole):
                    state.model.variables.setdefault(chosen, part.span)
        found[name] = (renamed(expr.value, names), span)
    return found


def _in_order(bindings: tuple[tree.Binding, ...]) -> list[tree.Binding]:
    """Clauses after those that they use; a ring is left as it is written, and reported where names are looked up."""
    left, done = list(bindings), list[tree.Binding]()
    while left:
        bound = {n.id for b in left for n in b.names}
        ready = [b for b in left if not tree.names_in(b.value) & (bound - {n.id for n in b.names})] or left[:1]
        done += ready
        left = [b for b in left if b not in ready]
    return done


def _free_name(name: str, value: tree.Expr, found: Formulas, state: DeclarationPass) -> str:
    """The name itself, or with a number where it stands for something else."""
    number, chosen = 0, name
    while _is_taken(chosen, state) and not (chosen in found and found[chosen][0] == value):
        number += 1
        chosen = f"{name}_{number}"
    return chosen


def _is_taken(name: str, state: DeclarationPass) -> bool:
    known = {factor.name for factor in state.factors.values()}
    known |= state.model.constants.keys()
    return name in state.taken or name in state.formulas or name in state.model.variables or name in known
