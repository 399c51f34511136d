"""Log-densities: of one factor by its kind, of products, and of marginals and posteriors by brute force."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import Extern, FactorInstance, FamilyUse, LogDensityUse, Mixture, Pushforward
from pgcompile.model.variable import Variable, shown
from pgcompile.objective.terms import Env, point
from pgcompile.reference.factors import distribution, entry_choice
from pgcompile.reference.fields import Field
from pgcompile.reference.integrals import BeyondBruteForce, integral_of_gaussian, line_of
from pgcompile.reference.spaces import MOST_STATES, is_finite, unpacked, values_of

if TYPE_CHECKING:
    from pgcompile.reference.interpreter import Reference


def log_density(world: Reference, whole: Distribution, env: Env) -> Tensor:
    """log of a product of factors, of a marginal of finite variables, or of a posterior."""
    whole = whole.origin or whole
    if whole.evidence:
        joint = Distribution(whole.atoms, whole.hidden)
        hidden = [*whole.hidden, *whole.targets]
        return log_density(world, joint, env) - _summed(world, whole.atoms, hidden, env)
    if whole.hidden:
        return _log_marginal(world, whole, env)
    total = torch.zeros((), dtype=torch.float64)
    for atom in whole.atoms:
        total = total + _log_prob(world, atom, env)
    return total


def _log_marginal(world: Reference, whole: Distribution, env: Env) -> Tensor:
    """log of a product some of whose variables are integrated out: those that nothing is conditioned on are one."""
    atoms, hidden = list(whole.atoms), set(whole.hidden)
    while barren := [
        a for a in atoms if set(a.targets) <= hidden and not any(set(a.targets) & set(b.parents) for b in atoms)
    ]:
        atoms = [a for a in atoms if a not in barren]
        hidden -= {t for a in barren for t in a.targets}
    return _summed(world, tuple(atoms), sorted(hidden), env)


def _summed(world: Reference, atoms: tuple[FactorInstance, ...], hidden: list[Variable], env: Env) -> Tensor:
    """log of a product, summed over every joint value of some finite variables, and integrated over the others.

    Raises:
        BeyondBruteForce: they are too many for brute force, or cannot be integrated over.
    """
    makers = {t: atom for atom in atoms for t in atom.targets}
    continuous = [h for h in hidden if not is_finite(world.model.spaces[makers[h].factor.targets[0]])]
    hidden = [h for h in hidden if h not in continuous]
    choices = [values_of(world.model.spaces[makers[h].factor.targets[0]]) for h in hidden]
    if math.prod(map(len, choices)) > MOST_STATES:
        raise BeyondBruteForce(f"too many joint values of {shown(hidden)} for brute force")
    found = []
    for number, values in enumerate(itertools.product(*choices)):
        inner = env
        for name, value in zip(hidden, values, strict=True):
            draw = point(makers[name], world, number)
            world.drawn[draw, name] = Field(value, value.ndim)
            inner = inner.extended((name,), draw)
        found.append(_integrated(world, atoms, continuous, inner))
    return torch.stack(torch.broadcast_tensors(*found)).logsumexp(0)


def _integrated(world: Reference, atoms: tuple[FactorInstance, ...], variables: list[Variable], env: Env) -> Tensor:
    """log of the integral of a product over some variables, by what it is at points.

    Raises:
        BeyondBruteForce: they are neither Gaussian nor a single number.
    """
    makers = {t: atom for atom in atoms for t in atom.targets}
    spaces = {v: world.model.spaces[makers[v].factor.targets[0]] for v in variables}
    touched = [a for a in atoms if {*a.targets, *a.parents} & {*variables}]

    def log_joint(values: Mapping[Variable, Tensor], parts: Iterable[FactorInstance]) -> Tensor:
        inner = env
        for name, value in values.items():
            draw = point(makers[name], world, next(world.points))
            world.drawn[draw, name] = Field(value, len(spaces[name].shape))
            inner = inner.extended((name,), draw)
        return sum((_log_prob(world, atom, inner) for atom in parts), torch.zeros((), dtype=torch.float64))

    rest = log_joint({}, [a for a in atoms if a not in touched])
    if not variables:
        return rest
    names = {a.factor.definition.family.name for a in touched if isinstance(a.factor.definition, FamilyUse)}
    if names <= {"Normal", "MultivariateNormal"}:
        return rest + integral_of_gaussian(
            lambda h: log_joint(unpacked(h, spaces), touched), sum(s.numel for s in spaces.values())
        )
    if len(variables) == 1 and spaces[variables[0]].numel == 1:
        (name,) = variables
        points, log_widths = line_of(spaces[name].kind)
        shape = spaces[name].shape
        values = [log_joint({name: p.reshape(shape)}, touched) + w for p, w in zip(points, log_widths, strict=True)]
        return rest + torch.stack(torch.broadcast_tensors(*values)).logsumexp(0)
    raise BeyondBruteForce(f"{shown(variables)} cannot be integrated over by brute force")


def _log_prob(world: Reference, atom: FactorInstance, env: Env) -> Tensor:
    """log of one factor."""
    definition = atom.factor.definition
    return _SCORED.get(type(definition), _by_torch)(world, definition, atom, env)


def _by_torch(world: Reference, definition: Any, atom: FactorInstance, env: Env) -> Tensor:
    """By the `log_prob` of torch's distribution, or of a flow's or a supplied factor's."""
    x = world.variable(atom.targets[0], env)
    made = distribution(world, atom, env)
    log_prob: Tensor = made.log_prob(x.tensor)
    # A supplied factor may have left event dimensions to its batch shape.
    left = x.rank - len(made.event_shape) if isinstance(definition, Extern) else 0
    return log_prob.flatten(-left).sum(-1) if left else log_prob


def _mixture(world: Reference, mixture: Mixture, atom: FactorInstance, env: Env) -> Tensor:
    """The logarithm of the weighted mean of the components' densities."""
    scope = world.scope(env, atom.mapping, ())
    found = [world.evaluate(w, scope) for w in mixture.weights]
    if any(w.rank for w in found):
        made = entry_choice(world, mixture, atom, env)
        return made.log_prob(world.variable(atom.targets[0], env).tensor)
    weights = [w.tensor for w in found]
    logs = [_log_prob(world, FactorInstance(c, atom.renaming), env) for c in mixture.components]
    total = sum(weights, torch.zeros((), dtype=torch.float64))
    return torch.log(sum((w / total * one.exp() for w, one in zip(weights, logs, strict=True)), torch.zeros(())))


def _unnormalised(world: Reference, use: LogDensityUse, atom: FactorInstance, env: Env) -> Tensor:
    """The formula that the program gives."""
    return world.evaluate(use.expr, world.scope(env, atom.mapping, use.bindings)).tensor


def _pushed(world: Reference, definition: Pushforward, atom: FactorInstance, env: Env) -> Tensor:
    """By the inverse, which is checked, and the slope of the formula by automatic differentiation."""
    y, variable = world.variable(atom.targets[0], env), definition.base.targets[0]
    x = world.evaluate(definition.inverse, world.scope(env, atom.mapping, ()))
    draw = point(definition.base, world, next(world.points))
    inner = env.extended((variable,), draw)
    at = x.tensor if x.tensor.requires_grad else x.tensor.detach().requires_grad_()
    world.drawn[draw, variable] = Field(at, x.rank)
    names = {**atom.mapping, definition.variable: variable}
    again = world.evaluate(definition.forward, world.scope(inner, names, ())).tensor
    torch.testing.assert_close(again, y.tensor.expand_as(again), rtol=1e-6, atol=1e-6)
    (slope,) = torch.autograd.grad(again.sum(), at, create_graph=True)
    rank = x.rank
    log_slope = slope.abs().log()
    return _log_prob(world, definition.base, inner) - (log_slope.flatten(-rank).sum(-1) if rank else log_slope)


_SCORED: dict[type, Callable[[Reference, Any, FactorInstance, Env], Tensor]] = {
    Pushforward: _pushed,
    LogDensityUse: _unnormalised,
    Mixture: _mixture,
}
