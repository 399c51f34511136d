"""Factors as distributions of torch at the values of their parents; a table says how each kind is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.distributions as D
from torch import Tensor

from pgcompile.model.dependence import formula_parents
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import Extern, FactorInstance, FamilyUse, FlowUse, Mixture
from pgcompile.model.variable import Variable
from pgcompile.objective.terms import Draw, Env
from pgcompile.reference.draws import Choice
from pgcompile.reference.families import family_of
from pgcompile.reference.fields import Field, raised
from pgcompile.reference.flows import PushedBack
from pgcompile.vocabulary.family import Parameter
from pgcompile.vocabulary.spaces import Space

if TYPE_CHECKING:
    from pgcompile.reference.interpreter import Reference


def distribution(world: Reference, atom: FactorInstance, env: Env) -> D.Distribution:
    """A factor at the values of its parents, its event dimensions declared."""
    definition = atom.factor.definition
    return _MADE[type(definition)](world, definition, atom, env)


def _family(world: Reference, use: FamilyUse, atom: FactorInstance, env: Env) -> D.Distribution:
    """A family, a scalar parameter expanded to the shape of the variable."""
    space = world.model.spaces[atom.factor.targets[0]]
    found = parameters_of(world, use, atom, env)
    lead = len(space.shape) - use.family.event_rank
    base = family_of(use.family.name, found)
    if lead:
        base = base.expand(torch.broadcast_shapes(base.batch_shape, space.shape[:lead]))
    return D.Independent(base, lead, validate_args=False) if lead else base


def parameters_of(world: Reference, use: FamilyUse, atom: FactorInstance, env: Env) -> dict[str, Any]:
    """The parameters of a family, with the event dimensions that the variable gives them."""
    scope = world.scope(env, atom.mapping, use.bindings)
    space = world.model.spaces[atom.factor.targets[0]]
    found: dict[str, Any] = {}
    for name, expr in use.parameters:
        parameter, value = use.family.parameter(name), world.evaluate(expr, scope)
        value = Field(value.tensor.double(), value.rank)  # an index is a number here
        found[name] = int(value.tensor) if parameter.literal else _aligned_parameter(use, parameter, value, space)
    return found


def _aligned_parameter(use: FamilyUse, parameter: Parameter, value: Field, space: Space) -> Tensor:
    """A parameter with as many event dimensions as the variable's shape gives it."""
    wanted = 0 if parameter.shared else len(space.shape) + (use.family.index_valued and parameter.rank)
    wanted += 1 if parameter.rank == 2 and use.family.event_rank < 2 else 0
    wanted -= use.family.event_rank if parameter.per_event else 0
    unbatched = value.tensor.ndim == value.rank
    # A literal vector serves every element: its dimensions line up from the right.
    found = raised(value.tensor, 0 if unbatched and value.rank else wanted - value.rank)
    if parameter.rank and value.rank == 0:
        width = space.categories if use.family.index_valued else space.shape[-1]
        found = found.expand(*found.shape[:-1], width or 1)
    return found


def _mixture(world: Reference, mixture: Mixture, atom: FactorInstance, env: Env) -> D.Distribution:
    """One of the components, by chance."""
    scope = world.scope(env, atom.mapping, ())
    found = [world.evaluate(w, scope) for w in mixture.weights]
    if any(w.rank for w in found):
        return entry_choice(world, mixture, atom, env)
    weights = [w.tensor for w in found]
    return Choice(weights, [distribution(world, FactorInstance(c, atom.renaming), env) for c in mixture.components])


def entry_choice(world: Reference, mixture: Mixture, atom: FactorInstance, env: Env) -> D.Distribution:
    """A choice of a component for each entry: a product of mixtures of single numbers."""
    rank = len(world.model.spaces[atom.factor.targets[0]].shape)
    scope = world.scope(env, atom.mapping, ())
    weights = [world.evaluate(w, scope) for w in mixture.weights]
    tables = [raised(w.tensor, rank - w.rank) for w in weights]
    parts = [distribution(world, FactorInstance(c, atom.renaming), env) for c in mixture.components]
    entries = [part.base_dist for part in parts if isinstance(part, D.Independent)]
    return D.Independent(Choice(tables, entries), rank, validate_args=False)


def _supplied(world: Reference, definition: Extern, atom: FactorInstance, env: Env) -> D.Distribution:
    """The distribution that the supplied module gives for the parents."""
    return world.externs[atom.factor.label](*(world.variable(p, env).tensor for p in atom.parents))


def _flow(world: Reference, definition: FlowUse, atom: FactorInstance, env: Env) -> PushedBack:
    """A base seen through a flow, of which values alone are taken."""
    scope = world.scope(env, atom.mapping, definition.bindings)
    parts = [world.evaluate(argument, scope) for argument in definition.arguments]
    tensors = [p.tensor if p.rank else p.tensor[..., None] for p in parts]
    lead = torch.broadcast_shapes(*(t.shape[:-1] for t in tensors))
    context = torch.cat([t.expand(*lead, t.shape[-1]) for t in tensors], -1) if tensors else None
    module: Any = world.modules[definition.flow]
    ways = (module, module.inverse)
    forward, inverse = reversed(ways) if definition.inverted else ways
    base = distribution(world, definition.base_atom(atom), env)
    shape = world.model.spaces[atom.factor.targets[0]].shape
    return PushedBack(
        base,
        lambda x: forward(x, context)[0],
        lambda u: inverse(u, context)[0],
        shape,
        tuple(lead),
        rounds=any(type(part).__name__ == "Dequantise" for part in module.modules()),
    )


def rough_variables(over: Distribution) -> tuple[Variable, ...]:
    """The variables of families whose draws pass no gradient."""
    found = []
    for atom in over.atoms:
        definition = atom.factor.definition
        if isinstance(definition, FamilyUse) and not definition.family.pathwise and definition.family.name != "Delta":
            found.append(atom.targets[0])
    return tuple(found)


def scored_variables(draw: Draw) -> tuple[Variable, ...]:
    """The variables whose gradient a score function carries: where draws pass none, or where that is asked for."""
    over = draw.distribution
    if draw.estimator.grad != "score":
        return rough_variables(over)
    drawn = [atom for atom in over.atoms if isinstance(atom.factor.definition, FamilyUse | FlowUse)]
    points = [a for a in drawn if isinstance(u := a.factor.definition, FamilyUse) and u.family.name == "Delta"]
    return tuple(atom.targets[0] for atom in drawn if atom not in points)


def centre(world: Reference, draw: Draw, name: Variable) -> Field:
    """The mean of a variable's factor (its mode where it has none) at the centres of its parents."""
    key = (draw, name)
    if key not in world.drawn:
        atom = draw.atom_of(name)
        assert atom is not None
        pending = list(atom.parents)
        while pending:
            parent = pending.pop()
            if draw.atom_of(parent) is not None:
                centre(world, draw, parent)
            else:
                pending += formula_parents(parent, world.model) or ()
        made = distribution(world, atom, draw.inside)
        definition = atom.factor.definition
        attribute = definition.family.centre if isinstance(definition, FamilyUse) else "mean"
        if isinstance(made, D.Independent) and not hasattr(made, attribute):
            value = getattr(made.base_dist, attribute)
        else:
            value = getattr(made, attribute)
        value = value.expand(*world.lead(draw), *made.event_shape)
        world.drawn[key] = Field(value, len(world.model.spaces[atom.factor.targets[0]].shape))
    return world.drawn[key]


_MADE: dict[type, Callable[[Reference, Any, FactorInstance, Env], D.Distribution]] = {
    FamilyUse: _family,
    FlowUse: _flow,
    Mixture: _mixture,
    Extern: _supplied,
}
