"""Python names of an emitted class: the one place that decides them."""

from pgcompile.model.kinds import kind_of
from pgcompile.model.names import attribute_name, factor_attribute, identifier
from pgcompile.plan.methods.description import ModulePlan
from pgcompile.vocabulary.reserved import ANCHOR, METHODS


def factor_names(plan: ModulePlan) -> dict[str, str]:
    """Methods of factors and of named densities by the names that the plan gives them.

    An objective keeps the name that its user wrote; where it has that of a factor's method, the factor's gives way.
    """
    taken = {*METHODS, *_formula_names(plan)}
    planned = [f.name for f in plan.factors] + [m.name for _, m in plan.log_densities if m.same_as is None]
    planned += [table.method.name for table in plan.tables] + [m.name for _, m, _ in plan.mixtures]
    found: dict[str, str] = {}
    for name in planned:
        if name not in found:
            found[name] = name
            while found[name] in taken:
                found[name] += "_"
            taken.add(found[name])
    return found


def _formula_names(plan: ModulePlan) -> set[str]:
    return {identifier(m.name) for m in plan.objectives} | {loss.name for loss in plan.losses}


def attribute_names(plan: ModulePlan) -> dict[str, str]:
    """Attributes by what the program calls them; none hides a method, an attribute of `nn.Module` or another."""
    tensors = plan.tensors
    taken = {*METHODS, *_formula_names(plan), *factor_names(plan).values(), ANCHOR}
    owned = [*tensors.modules, *tensors.constants]
    owned += [n for n in tensors.externs if n in plan.model.nets]
    owned += tensors.flows
    owned += [attribute_name(t) for t in tensors.parameters.values()]
    found = {ANCHOR: ANCHOR}
    for name in owned:
        wanted = identifier(name)
        while wanted in taken:
            wanted += "_net" if name in tensors.modules else "_"
        found[name] = wanted
        taken.add(wanted)
    for factor in plan.model.factors:
        if kind_of(factor).supplied:
            wanted = f"extern_{factor_attribute(factor)}"
            while wanted in taken:
                wanted += "_"
            found[factor_attribute(factor)] = wanted
            taken.add(wanted)
    return found
