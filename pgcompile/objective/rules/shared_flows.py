"""Divergences of two distributions that go through one flow: those of their bases, whatever the flow is."""

from dataclasses import replace

from pgcompile.model.factors import FactorInstance, FlowUse
from pgcompile.model.flows import referenced_flows
from pgcompile.model.model import Model
from pgcompile.objective.dependence import variables_in
from pgcompile.objective.terms import Add, Divergence, Env, LogDensity
from pgcompile.syntax import tree

_LATER = 1_000_000
"""Draws of bases are numbered after those of the program."""


def divergence_of_bases(term: Divergence, model: Model) -> Divergence | None:
    """`KL[base || base]` of two distributions that differ in their bases alone; None of any other divergence.

    A bijection changes both densities by the same factor, which their quotient does not have.

    Args:
        term: a divergence of the program.
        model: its flows.
    """
    if term.kind != "KL" or term.right is None or len(term.left.atoms) != 1 or len(term.right.atoms) != 1:
        return None
    (left,), (right,) = term.left.atoms, term.right.atoms
    one, other = left.factor.definition, right.factor.definition
    if not isinstance(one, FlowUse) or not isinstance(other, FlowUse) or left.targets != right.targets:
        return None
    if (one.flow, one.inverted) != (other.flow, other.inverted) or not _is_bijective(one.flow, model):
        return None
    variable = left.targets[0]
    inner = term.env.extended((variable,), term.draw)
    if _context(one, left, inner, model) != _context(other, right, inner, model):
        return None
    bases = one.base_atom(left), other.base_atom(right)
    sides = [replace(side, atoms=(base,)) for side, base in zip((term.left, term.right), bases, strict=True)]
    draw = replace(term.draw, distribution=sides[0], order=term.draw.order + _LATER)
    env = term.env.extended(draw.variables, draw)
    logs = [LogDensity(side, env, term.span) for side in sides]
    return replace(term, draw=draw, left=sides[0], right=sides[1], body=Add(((1, logs[0]), (-1, logs[1]))))


def _context(use: FlowUse, atom: FactorInstance, env: Env, model: Model) -> object:
    """The context of a flow: its arguments, and where their variables come from."""
    named = {v.name for expr in (*use.arguments, *(b.value for b in use.bindings)) for v in variables_in(expr, model)}
    places = tuple(sorted((name, atom.variable(name), env.get(atom.variable(name)) is None) for name in named))
    draws = tuple(env.get(place[1]) for place in places)
    return use.arguments, use.bindings, places, draws


def _is_bijective(flow: str, model: Model) -> bool:
    """True if a flow neither rounds nor adds noise."""
    sized = model.flows[flow].sized
    words = {n.name if isinstance(n, tree.Call) else getattr(n, "id", "") for n in tree.walk(model.flows[flow].stages)}
    if sized is None or "Dequantise" in words:
        return False
    return all(_is_bijective(other, model) for other in referenced_flows(sized.steps))
