"""Data that a program's families can have drawn, where their spaces hold more: `x : real` of a truncated normal."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pgcompile.model.factors import FamilyUse
from pgcompile.model.kinds import expressions_of
from pgcompile.model.model import Model
from pgcompile.model.names import identifier
from pgcompile.syntax.tree import names_in


def within_supports(module: Any, model: Model, observed: dict[str, Tensor], inputs: Mapping[str, Tensor]) -> None:
    """Draw the variables anew that have no density where they are; outside a support there is nothing to compare.

    Args:
        module: the emitted module, at the parameters that it is compared with.
        model: of the program.
        observed: values by name, changed in place.
        inputs: of the module.
    """
    for factor in (*model.factors, *model.factors):  # parents may be declared after their children
        variable = factor.targets[0]
        if not isinstance(factor.definition, FamilyUse) or variable not in observed or len(factor.targets) > 1:
            continue
        if not {*factor.parents} <= observed.keys() or any(
            model.spaces[name].optional for name in (variable, *factor.parents)
        ):
            continue  # what is missing has no density of its own
        try:
            method = module.factor(factor.label)
        except KeyError:
            continue  # one that no method speaks of
        used = {name for expr in expressions_of(factor) for name in names_in(expr)}
        given = {identifier(name): value for name, value in inputs.items() if name in used}
        with torch.no_grad():
            distribution = method(*(observed[name] for name in factor.parents), **given)
            density = distribution.log_prob(observed[variable])
            if not density.isfinite().all() and observed[variable].isfinite().all():
                drawn = distribution.sample(observed[variable].shape[: density.ndim - len(distribution.batch_shape)])
                observed[variable] = drawn.expand(observed[variable].shape).to(observed[variable])
