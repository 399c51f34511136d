"""The order in which finite variables are summed out of a product, and how large its tables become."""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import prod

from pgcompile.inference.algebra import drop_barren, hide_targets, order_atoms
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import FactorInstance
from pgcompile.model.model import Model
from pgcompile.model.variable import Variable


@dataclass(frozen=True)
class Elimination:
    """An order in which variables are summed out.

    Args:
        steps: what is summed at once, in order.
        largest: entries of the largest table on the way.
    """

    steps: tuple[tuple[Variable, ...], ...]
    largest: int

    @property
    def order(self) -> tuple[Variable, ...]:
        """Every variable, in the order in which they are summed out."""
        return tuple(variable for step in self.steps for variable in step)


def eliminate(
    atoms: Iterable[FactorInstance], hidden: Mapping[Variable, int], beside: Mapping[Variable, int] | None = None
) -> Elimination:
    """A good order: next is what needs the smallest table (minimum weight, Kjaerulff 1990).

    What is left is summed at once where the table of all of it is no larger than one that is made anyway. The order
    does not depend on which of the variables are asked for, so that marginals of one model share their tables.

    Args:
        atoms: the factors, parents first: earlier ones settle ties.
        hidden: the variables to sum out, with the number of their values.
        beside: others that take every value, which the tables have as well.
    """
    sizes = {**(beside or {}), **hidden}
    near: dict[Variable, set[Variable]] = {}
    largest = 1
    for atom in atoms:
        scope = [v for v in (*atom.targets, *atom.parents) if v in sizes]
        largest = max(largest, prod(sizes[v] for v in scope))
        for variable in scope:
            near.setdefault(variable, set()).update(v for v in scope if v != variable)
    rank = {variable: position for position, variable in enumerate(near)}

    def weight(variable: Variable) -> int:
        return sizes[variable] * prod(sizes[v] for v in near[variable])

    left = {variable for variable in near if variable in hidden}
    rest = prod(sizes[variable] for variable in near)
    queue = [(weight(variable), rank[variable], variable) for variable in left]
    heapq.heapify(queue)
    steps: list[tuple[Variable, ...]] = []
    while left:
        if rest <= largest:
            steps.append(tuple(sorted(left, key=rank.__getitem__)))
            break
        cost, _, variable = heapq.heappop(queue)
        if variable not in left or cost != weight(variable):
            continue  # it has a later entry
        steps.append((variable,))
        left.remove(variable)
        largest = max(largest, cost)
        rest //= sizes[variable]
        around = near.pop(variable)
        for other in around:
            near[other].discard(variable)
        for a, b in combinations(around, 2):
            near[a].add(b)
            near[b].add(a)
        for other in around & left:
            heapq.heappush(queue, (weight(other), rank[other], other))
    return Elimination(tuple(steps), largest)


def states(atom: FactorInstance, model: Model) -> int | None:
    """The number of values that a factor's variable can take; None where they are not finitely many."""
    family = atom.factor.family
    space = model.spaces.get(atom.factor.targets[0])
    if family is None or space is None:
        return None
    match family.support:
        case "boolean":
            return 1 << min(prod(space.shape), 64)
        case "category":
            base: int = space.categories or 1
            return prod([base] * min(prod(space.shape), 64))
        case "one_hot":
            return prod([space.shape[-1]] * min(prod(space.shape[:-1]), 64))
        case _:
            return None


def hidden_states(distribution: Distribution, model: Model) -> dict[Variable, int] | None:
    """The number of values of each hidden variable; None where one of them is not finite."""
    makers = {t: atom for atom in distribution.atoms for t in atom.targets}
    counts = {h: states(makers[h], model) for h in distribution.hidden}
    known = {h: count for h, count in counts.items() if count is not None}
    return known if len(known) == len(counts) else None


def tables(distribution: Distribution, model: Model) -> Elimination | None:
    """The order in which the hidden variables of a product are summed out; None where one of them is not finite."""
    counts = hidden_states(distribution, model)
    return None if counts is None else eliminate(order_atoms(distribution), counts)


def evidence_of(posterior: Distribution) -> Distribution:
    """The marginal that a posterior is divided by, without what integrates to one."""
    return drop_barren(hide_targets(posterior))
