"""The order in which finite variables are summed out of a product, and how large its tables become."""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import prod

from pgcompile.inference.algebra import drop_barren, hide_targets, order_atoms
from pgcompile.inference.entrywise import entrywise
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
        entrywise: variables whose entries are summed out one by one.
    """

    steps: tuple[tuple[Variable, ...], ...]
    largest: int
    entrywise: frozenset[Variable] = frozenset()

    @property
    def order(self) -> tuple[Variable, ...]:
        """Every variable, in the order in which they are summed out."""
        return tuple(variable for step in self.steps for variable in step)


def eliminate(
    atoms: Iterable[FactorInstance],
    hidden: Mapping[Variable, int],
    beside: Mapping[Variable, int] | None = None,
    first: frozenset[Variable] = frozenset(),
) -> Elimination:
    """A good order: next is what needs the smallest table (minimum weight, Kjaerulff 1990).

    What is left is summed at once where the table of all of it is no larger than one that is made anyway. The order
    does not depend on which of the variables are asked for, so that marginals of one model share their tables.

    Args:
        atoms: the factors, parents first: earlier ones settle ties.
        hidden: the variables to sum out, with the number of their values.
        beside: others that take every value, which the tables have as well.
        first: those that are summed out before all others, one by one: entry by entry.
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
    queue = [(variable not in first, weight(variable), rank[variable], variable) for variable in left]
    heapq.heapify(queue)
    steps: list[tuple[Variable, ...]] = []
    while left:
        if rest <= largest and not left & first:
            steps.append(tuple(sorted(left, key=rank.__getitem__)))
            break
        _, cost, _, variable = heapq.heappop(queue)
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
            heapq.heappush(queue, (other not in first, weight(other), rank[other], other))
    return Elimination(tuple(steps), largest, first)


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


@dataclass(frozen=True)
class Hidden:
    """What is summed out of a product.

    Args:
        counts: the number of values of each variable; of an entry, where its entries are summed out one by one.
        entrywise: the variables of which that is true.
    """

    counts: dict[Variable, int]
    entrywise: frozenset[Variable]


def hidden_states(distribution: Distribution, model: Model) -> Hidden | None:
    """The number of values of each hidden variable; None where one of them is not finite."""
    makers = {t: atom for atom in distribution.atoms for t in atom.targets}
    by_entry = entrywise(distribution.atoms, distribution.hidden, model)
    counts: dict[Variable, int] = {}
    for variable in distribution.hidden:
        count = states(makers[variable], model)
        if count is None:
            return None
        space = model.spaces[makers[variable].factor.targets[0]]
        counts[variable] = (space.categories or 2) if variable in by_entry else count
    return Hidden(counts, by_entry)


def tables(distribution: Distribution, model: Model) -> Elimination | None:
    """The order in which the hidden variables of a product are summed out; None where one of them is not finite."""
    found = hidden_states(distribution, model)
    return None if found is None else eliminate(order_atoms(distribution), found.counts, first=found.entrywise)


def evidence_of(posterior: Distribution) -> Distribution:
    """The marginal that a posterior is divided by, without what integrates to one."""
    return drop_barren(hide_targets(posterior))
