"""Methods that give a factor as a distribution: its parameters over its parents, in a row for each kind of factor."""

from collections.abc import Callable
from dataclasses import replace

from pgcompile.diagnostics import InternalError
from pgcompile.model.factors import (
    Data,
    Deterministic,
    Evidence,
    Extern,
    Factor,
    FactorInstance,
    FamilyUse,
    FlowUse,
    LogDensityUse,
    Mixture,
    Pushforward,
    Undefined,
)
from pgcompile.model.kinds import expressions_of, kind_of
from pgcompile.model.model import Model
from pgcompile.model.names import factor_attribute
from pgcompile.objective.terms import OBSERVED
from pgcompile.plan.double import factor_of, is_computed
from pgcompile.plan.expansion import expand_full
from pgcompile.plan.lower.environment import FactorLowering
from pgcompile.plan.lower.flow_factors import flow_context
from pgcompile.plan.lower.mixture_factors import weights_of_mixture
from pgcompile.plan.methods.description import Argument, FactorMethod, ModulePlan
from pgcompile.plan.methods.maker import MethodMaker
from pgcompile.plan.passes.heads import finish_heads
from pgcompile.plan.values import Value
from pgcompile.syntax import tree
from pgcompile.syntax.format import format_expr
from pgcompile.syntax.places import places_of
from pgcompile.syntax.tree import names_in

Planned = tuple[str, dict[str, Value]]
"""A factor as its docstring says it, and its parameters."""


def add_factors(methods: MethodMaker, plan: ModulePlan) -> None:
    """Add a method for each factor that is a distribution, and the names that renamed factors have."""
    for factor in (*methods.model.factors, *solved_factors(methods).values()):
        planner = _PLANNERS[type(factor.definition)]
        if planner is None:
            continue
        lowering = methods.given_parents(factor.parents)
        formula, parameters = planner(methods, factor, lowering)
        arguments = (
            *(argument_of(methods.model, p) for p in factor.parents),
            *methods.inputs(lowering),
        )
        named, items = factor_attribute(factor), tuple(parameters.items())
        experts, needs = experts_of(methods, factor)
        finish_heads(list(parameters.values()))
        plan.factors.append(
            FactorMethod(named, factor.label, formula, factor, arguments, lowering.builder, items, experts, needs)
        )
        if any(isinstance(node, tree.AtFirst) for node in tree.walk(*expressions_of(factor))):
            plan.factors.append(_first_place(methods, factor))
    written = {method.label for method in plan.factors}
    for known in methods.model.named:
        atoms = known.distribution.atoms
        alone = len(atoms) == 1 and not known.distribution.hidden
        if alone and atoms[0].renaming and atoms[0].factor.label in written:
            plan.aliases[known.label] = atoms[0].factor.label


def argument_of(model: Model, parent: str) -> Argument:
    """A parent as an argument; a run of places has as many as there are."""
    shape, lag = model.spaces[parent].shape, model.indices.lags.get(parent)
    if lag is not None and lag.is_run:
        return Argument(parent, shape[1:], places=(f"n_{lag.reach}",))
    return Argument(parent, shape)


def _first_place(methods: MethodMaker, factor: Factor) -> FactorMethod:
    """The distribution of a variable at the first place, `p(z_1)`, where it is another than at the others."""
    planner = _PLANNERS[type(factor.definition)]
    assert planner is not None
    parts = [node for node in tree.walk(*expressions_of(factor)) if isinstance(node, tree.AtFirst)]
    bound = {n.id: b.value for b in kind_of(factor).bindings(factor.definition) for n in b.names}
    used, pending = set[str](), [name for part in parts for name in names_in(part.first)]
    while pending:
        name = pending.pop()
        if name not in used:
            used.add(name)
            pending += names_in(bound[name]) if name in bound else ()
    parents = tuple(p for p in factor.parents if p in used)
    lowering = methods.given_parents(parents)
    lowering.at_first = True
    formula, parameters = planner(methods, factor, lowering)
    finish_heads(list(parameters.values()))
    arguments = (*(Argument(p, methods.model.spaces[p].shape) for p in parents), *methods.inputs(lowering))
    index = parts[0].index
    shown = replace(
        factor,
        targets=(_at_first(factor.targets[0], index),),
        parents=tuple(_at_first(parent, index) for parent in parents),
    )
    return FactorMethod(
        factor_attribute(shown),
        shown.label,
        formula,
        replace(factor, parents=parents),
        arguments,
        lowering.builder,
        tuple(parameters.items()),
        first=True,
    )


def _at_first(name: str, index: str) -> str:
    """`x_1` for `x_{t}`, as the program writes it of the first place of t."""
    places = places_of(name)
    return name if places is None or (index, 0) not in places[1] else f"{places[0]}_1"


# --- a planner for each kind of factor ---


def _family(methods: MethodMaker, factor: Factor, lowering: FactorLowering) -> Planned:
    use = factor.definition
    assert isinstance(use, FamilyUse)
    values = lowering.parameters(FactorInstance(factor), OBSERVED)
    formula = f"{use.family.name}({_written(use)})"
    for binding in use.bindings:
        formula += f", {', '.join(n.id for n in binding.names)} = {format_expr(binding.value)}"
    return formula, full_parameters(methods, factor, use, values, lowering)


def _extern(methods: MethodMaker, factor: Factor, lowering: FactorLowering) -> Planned:
    methods.tensors.extern(factor_attribute(factor))
    return "", {}


def _flow(methods: MethodMaker, factor: Factor, lowering: FactorLowering) -> Planned:
    use = factor.definition
    assert isinstance(use, FlowUse)
    base = use.base.use
    assert base is not None
    values = lowering.parameters(FactorInstance(use.base), OBSERVED)
    parameters = full_parameters(methods, use.base, base, values, lowering)
    context = flow_context(lowering, use, FactorInstance(factor), OBSERVED)
    parameters |= {"context": context} if context is not None else {}
    methods.tensors.flow(use.flow)
    given = f"({', '.join(map(format_expr, use.arguments))})" if use.arguments else ""
    inverse = ".inv" if use.inverted else ""
    return f"Flow({base.family.name}({_written(base)}), {use.flow}{inverse}{given})", parameters


def _mixture(methods: MethodMaker, factor: Factor, lowering: FactorLowering) -> Planned:
    mixture = factor.definition
    assert isinstance(mixture, Mixture)
    weights = weights_of_mixture(lowering, mixture)
    weighed = zip(mixture.weights, mixture.components, strict=True)
    written = [(f"({format_expr(w)})" if isinstance(w, tree.Sum) else format_expr(w), c.label) for w, c in weighed]
    formula = " + ".join(f"{weight} {label}" for weight, label in written)
    return formula, {f"weight_{i}": weight for i, weight in enumerate(weights, 1)}


def _derived(methods: MethodMaker, factor: Factor, lowering: FactorLowering) -> Planned:
    return "", {}


_PLANNERS: dict[type, Callable[[MethodMaker, Factor, FactorLowering], Planned] | None] = {
    FamilyUse: _family,
    Extern: _extern,
    FlowUse: _flow,
    Mixture: _mixture,
    LogDensityUse: None,  # it can be scored, and nothing else is known of it
    **dict.fromkeys((Deterministic, Data, Evidence, Pushforward, Undefined), _derived),
}


def _written(use: FamilyUse) -> str:
    """The parameters of a family as the program writes them."""
    return ", ".join(f"{name}={format_expr(expr)}" for name, expr in use.parameters)


def experts_of(
    methods: MethodMaker, factor: Factor
) -> tuple[tuple[tuple[Factor, Value | None], ...], tuple[tuple[str, ...], ...]]:
    """The experts of a product that is conditioned on several variables, and what each needs."""
    products = methods.model.products.get(factor.label, ()) if len(factor.parents) > 1 else ()
    inputs = any(t.kind == "input" for t in methods.model.tensors.values())
    if inputs or any(expert.family is None for expert, _ in products):
        return (), ()
    lowering = methods.given_parents(factor.parents)
    found, needs = [], []
    for expert, power in products:
        named = names_in(power) if power is not None else set()
        found.append((expert, None if power is None else lowering.plain(power, OBSERVED)))
        needs.append(tuple(p for p in factor.parents if p in (*expert.parents, *named)))
    return tuple(found), tuple(needs)


def full_parameters(
    methods: MethodMaker, factor: Factor, definition: FamilyUse, values: dict[str, Value], lowering: FactorLowering
) -> dict[str, Value]:
    """Parameters with the event shape of the variable: the first one carries it for those that are scalars."""
    shape = methods.model.spaces[factor.targets[0]].shape
    builder = lowering.builder
    found = dict(values)
    elementwise = [p.name for p in definition.family.parameters if p.name in values and p.rank == 0 and not p.shared]
    lined = elementwise if definition.family.event_rank == 0 and not definition.family.index_valued else []
    if lined and not any(values[name].shape == shape and values[name].constant is None for name in lined):
        found[lined[0]] = expand_full(builder, values[lined[0]], shape, values[lined[0]].axes, None)
    shared = [p.name for p in definition.family.parameters if p.name in values and p.shared and not p.literal]
    for name in shared:
        if found[name].constant is None:
            found[name] = builder.raise_rank(found[name], len(shape))
    for name in lined:
        if found[name].rank < len(shape) and found[name].constant is None:
            found[name] = builder.raise_rank(found[name], len(shape))
    if definition.family.name == "MultivariateNormal":
        if values["loc"].constant is not None:
            raise InternalError("a table was expected for the location")
        for name, op in (("covariance_matrix", "cholesky"), ("precision_matrix", "cholesky_of_inverse")):
            if name in found and is_computed(found[name]):
                # torch would take the factor in single precision, where there may be none.
                found["scale_tril"] = factor_of(builder, op, found.pop(name))
    return found


def solved_factors(methods: MethodMaker) -> dict[str, Factor]:
    """Marginals and posteriors that are one factor of a family, by the name that the program gave them."""
    declared = {factor.label for factor in methods.model.factors}
    found: dict[str, Factor] = {}
    for named in methods.model.named:
        atoms = named.distribution.atoms
        alone = named.distribution.origin is not None and len(atoms) == 1 and not named.distribution.hidden
        if alone and not named.distribution.evidence and named.label not in declared:
            (atom,) = atoms
            if atom.factor.family is not None and {*atom.parents} == {*named.distribution.parents}:
                parents = named.parents if {*named.parents} >= {*atom.parents} else atom.parents
                names = tuple(atom.name_of(v) if v in atom.parents else v.name for v in parents)
                found[named.label] = replace(atom.factor, name=named.name, parents=names)
    return found
