"""Hidden variables whose entries can be summed out one by one: their sum is a product of sums, 2 x 100, not 2^100.

Where every factor that speaks of a variable h[n] has the form `prod_i f_i(h[i])`, given everything else, then
`sum_h prod_i f_i(h[i]) = prod_i sum_v f_i(v)`.
"""

from collections.abc import Iterable

from pgcompile.model.factors import FactorInstance, FamilyUse
from pgcompile.model.model import Model
from pgcompile.model.variable import Variable
from pgcompile.syntax import tree
from pgcompile.vocabulary.functions import FUNCTIONS

_BY_ENTRY = ("elementwise", "binary", "clamp", "compare", "where")
"""Functions whose value at an entry depends on that entry of their arguments."""


def entrywise(atoms: Iterable[FactorInstance], hidden: Iterable[Variable], model: Model) -> frozenset[Variable]:
    """Those hidden variables of a product that can be summed out entry by entry.

    Args:
        atoms: the factors.
        hidden: the variables that are summed out.
        model: the spaces of the variables.
    """
    atoms = list(atoms)
    makers = {t: atom for atom in atoms for t in atom.targets}
    found = {h for h in hidden if h in makers and _has_entries(makers[h], model)}
    for variable in [*found]:
        shape = model.spaces[makers[variable].factor.targets[0]].shape
        touching = [a for a in atoms if variable in (*a.targets, *a.parents)]
        if not all(_is_product(atom, variable, shape, model) for atom in touching):
            found.discard(variable)
    return frozenset(found)


def _has_entries(atom: FactorInstance, model: Model) -> bool:
    space = model.spaces.get(atom.factor.targets[0])
    return space is not None and bool(space.shape) and space.kind in ("boolean", "category")


def _is_product(atom: FactorInstance, variable: Variable, shape: tuple[int, ...], model: Model) -> bool:
    """True if a factor is a product over the entries of a variable, as far as it depends on it."""
    use = atom.factor.use
    names = (*atom.factor.targets, *atom.factor.parents)
    if use is None or use.family.event_rank or any(name in model.deterministic for name in names):
        return False
    if len(atom.targets) != 1 or model.spaces[atom.factor.targets[0]].shape != shape:
        return False
    if variable in atom.targets:
        return variable not in atom.parents
    name = atom.name_of(variable)
    return all(_is_entrywise_parameter(use, parameter, expr, name, shape) for parameter, expr in use.parameters)


def _is_entrywise_parameter(use: FamilyUse, parameter: str, expr: tree.Expr, name: str, shape: tuple[int, ...]) -> bool:
    bound = {n.id: b for b in use.bindings for n in b.names}
    if not _speaks_of(expr, name, bound):
        return True
    if use.family.parameter(parameter).rank:
        # Rows of a table: anything else might mix the entries with the dimension of the parameter.
        return isinstance(expr, tree.Index) and _is_entrywise(expr, name, bound)
    return use.types[parameter].shape == shape and _is_entrywise(expr, name, bound)


def _is_entrywise(expr: tree.Expr, name: str, bound: dict[str, tree.Binding]) -> bool:
    """True if an entry of an expression depends on that entry of a variable only."""
    if not _speaks_of(expr, name, bound):
        return True
    match expr:
        case tree.Name(id) if id in bound:
            return len(bound[id].names) == 1 and _is_entrywise(bound[id].value, name, bound)
        case tree.Name():
            return True
        case tree.Index(base, (index,)):
            return not _speaks_of(base, name, bound) and _is_entrywise(index, name, bound)
        case tree.Call(name=function, args=args) if _acts_by_entry(function):
            return all(_is_entrywise(argument.value, name, bound) for argument in args)
        case tree.Sum() | tree.Product() | tree.Quotient() | tree.Negative() | tree.Power() | tree.Log():
            return all(_is_entrywise(part, name, bound) for part in tree.children(expr))  # type: ignore[arg-type]
        case _:
            return False


def _acts_by_entry(function: str) -> bool:
    return function in FUNCTIONS and FUNCTIONS[function].shape in _BY_ENTRY


def _speaks_of(expr: tree.Expr, name: str, bound: dict[str, tree.Binding]) -> bool:
    """True if a name is in an expression, or in what its names are bound to."""
    pending, seen = [*tree.names_in(expr)], set[str]()
    while pending:
        found = pending.pop()
        if found == name and found not in bound:
            return True
        if found in bound and found not in seen:
            seen.add(found)
            pending += tree.names_in(bound[found].value)
    return False
