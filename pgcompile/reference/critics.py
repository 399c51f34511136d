"""Divergences that a net estimates: `JS_d`, `KL_d`, `W_d`.

`d(x)` is the log-odds that x came from the left side (Goodfellow et al. 2014; Nowozin et al. 2016), or for `W_d` a
critic that is large on the left (Arjovsky et al. 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import Data, data_of
from pgcompile.model.learned import factors_behind, learnables_of
from pgcompile.model.variable import Variable, variables
from pgcompile.objective.terms import Env
from pgcompile.reference.averages import Body
from pgcompile.reference.discrepancies import points_of
from pgcompile.reference.fields import Field
from pgcompile.reference.nets import apply_net
from pgcompile.reference.readings import Options
from pgcompile.syntax import tree

if TYPE_CHECKING:
    from pgcompile.reference.formulas import Formulas


def estimate(formulas: Formulas, kind: str, net: str, node: tree.Functional, env: Env) -> Tensor:
    """The estimate, by means of the net over both sides.

    Args:
        formulas: evaluates what is inside.
        kind: `JS`, `KL` or `W`.
        net: its name.
        node: the functional.
        env: which draw each variable comes from.
    """
    left, right, compared = _sides(formulas, net, node)
    options = formulas.readings.options(node.options)

    def mean(side: Distribution, function: Callable[[Tensor], Tensor]) -> Tensor:
        body: Body = lambda at: function(_critic(formulas, net, compared, at))  # noqa: E731
        return formulas.average(side, options, env, node.span, body)

    if kind == "KL":
        return mean(left, lambda d: d)
    if kind == "W":
        difference = mean(left, lambda d: d) - mean(right, lambda d: d)
        weight = options.number("penalty", formulas.model, 0.0)
        if not weight:
            return difference
        return difference - weight * _penalty(formulas, net, node, (left, right), compared, options, env)
    match options.word("form", "saturating"):
        case "saturating":
            there = mean(left, torch.nn.functional.logsigmoid)
            here = mean(right, lambda d: torch.nn.functional.logsigmoid(-d))
            return math.log(2) + (there + here) / 2
        case "nonsaturating":
            # minus the log of the probability that a side that is learned is taken for the other
            from_left, from_right = (_is_learned(side, formulas) for side in (left, right))
            total = torch.zeros((), dtype=torch.float64)
            if from_left or not (from_right or _is_data(left)):
                total = total + mean(left, lambda d: -torch.nn.functional.logsigmoid(-d))
            if from_right or (_is_data(left) and not from_left):
                total = total + mean(right, lambda d: -torch.nn.functional.logsigmoid(d))
            return total
        case _:
            # Lim & Ye 2017
            return -mean(left, lambda d: torch.relu(1 - d)) - mean(right, lambda d: torch.relu(1 + d))


def _critic(formulas: Formulas, net: str, compared: tuple[Variable, ...], at: Env) -> Tensor:
    """The net on the variables, one number a draw."""
    names = [tree.Argument(None, tree.Name(v.name)) for v in compared]
    found = formulas.world.evaluate(tree.Call(net, tuple(names)), formulas.world.scope(at, {}, ()))
    return found.tensor.squeeze(-1) if found.rank else found.tensor


def _sides(
    formulas: Formulas, net: str, node: tree.Functional
) -> tuple[Distribution, Distribution, tuple[Variable, ...]]:
    """Both sides and the variables that the net compares: those it names, or those that nothing is conditioned on."""
    assert node.right is not None
    swapped = isinstance(node.left, tree.Name) and node.left.id == "data"
    first, second = (node.right, node.left) if swapped else (node.left, node.right)
    one = formulas.readings.drawn(first)
    compared = variables(formulas.model.nets[net].inputs or ())
    if not compared or not set(compared) <= set(one.targets):
        above = {p for atom in one.atoms for p in atom.parents}
        compared = tuple(t for t in one.targets if t not in above) or one.targets
    if isinstance(second, tree.Name) and second.id == "data":
        other = Distribution((data_of(compared, second.span),))
    else:
        other = formulas.readings.opposite(second, one)
    compared = tuple(v for v in compared if v in other.targets)
    return (other, one, compared) if swapped else (one, other, compared)


def _penalty(
    formulas: Formulas,
    net: str,
    node: tree.Functional,
    sides: tuple[Distribution, Distribution],
    compared: tuple[Variable, ...],
    options: Options,
    env: Env,
) -> Tensor:
    """`(||grad d|| - 1)^2` at random points between draws of both sides (Gulrajani et al. 2017).

    The draws pass no gradient themselves.
    """
    world = formulas.world
    world.own_draws.add("between")
    draws = [formulas.averages.draw(side, options, env, node.span) for side in sides]
    ends = [points_of(world, draw, compared).detach() for draw in draws]
    first, second = torch.broadcast_tensors(*ends)
    along = torch.rand(*first.shape[:-1], 1, dtype=torch.float64)
    between = (along * first + (1 - along) * second).requires_grad_()
    shape = world.model.spaces[compared[0].name].shape
    found = apply_net(world.expressions, net, [Field(between.reshape(-1, *shape), len(shape))])
    assert isinstance(found, Tensor)
    (slope,) = torch.autograd.grad(found.sum(), between, create_graph=True)
    steepness: Tensor = slope.square().sum(-1).sqrt()
    return (steepness - 1).square().mean(0)


def _is_learned(side: Distribution, formulas: Formulas) -> bool:
    """True if some factor of a side has something to learn."""
    return any(learnables_of(factor, formulas.model) for factor in factors_behind(side))


def _is_data(side: Distribution) -> bool:
    return all(isinstance(atom.factor.definition, Data) for atom in side.atoms)
