"""The sampler of a model: its variables, parents first."""

import networkx as nx

from pgcompile.inference.algebra import order_atoms
from pgcompile.model.distributions import Distribution, names_of
from pgcompile.model.factors import Deterministic, Factor, FactorInstance
from pgcompile.plan.builder import in_order
from pgcompile.plan.lower.places import place_axes
from pgcompile.plan.methods.description import FactorMethod, Sampler, SampleStep
from pgcompile.plan.methods.maker import MethodMaker
from pgcompile.plan.origin import Origin
from pgcompile.plan.passes.heads import finish_heads
from pgcompile.syntax.format import format_expr


def sampler_of(methods: MethodMaker, generative: Distribution, factors: list[FactorMethod]) -> Sampler:
    """The steps of a sampler: every generated and deterministic variable, after what it is made from."""
    by_factor = {method.factor: method for method in factors}
    atoms = order_atoms(generative)
    generated = {name for atom in atoms for name in names_of(atom)[0]}
    order = with_deterministic(methods, atoms, generated)
    conditioned = conditions_of(order, generated)
    conditions = tuple(v for v in methods.model.variables if v in conditioned)
    steps = tuple(step_of(methods, item, by_factor) for item in order)
    inputs = tuple(dict.fromkeys(i for step in steps for i in step.inputs))
    return Sampler(generative.spelled, steps, conditions, inputs, _ancestors(methods, order))


def with_deterministic(
    methods: MethodMaker, atoms: list[FactorInstance], generated: set[str]
) -> list[FactorInstance | Factor]:
    """Generated variables and the deterministic ones, each after what it is made from.

    A deterministic variable belongs to the model if what it is made from is generated or a condition of it.
    """
    graph = nx.DiGraph()
    items: dict[str, FactorInstance | Factor] = {t: atom for atom in atoms for t in names_of(atom)[0]}
    reachable = set(generated) | {p for atom in atoms for p in names_of(atom)[1]}
    lags = methods.model.indices.lags
    changed = True
    while changed:
        changed = False
        earlier = {lags[name].of for name in reachable if name in lags}
        reachable |= earlier & methods.model.deterministic.keys()
        for name, factor in methods.model.deterministic.items():
            needed = name in reachable or all(p in reachable for p in factor.parents)
            if name not in items and needed:
                items[name] = factor
                reachable |= {name, *factor.parents}
                changed = True
    index = {name: i for i, name in enumerate(items)}
    graph.add_nodes_from(index.values())
    for name, item in items.items():
        graph.add_edges_from((index[p], index[name]) for p in names_of(item)[1] if p in index)
    values = list(items.values())
    return list(dict.fromkeys(values[i] for i in nx.lexicographical_topological_sort(graph)))


def conditions_of(order: list[FactorInstance | Factor], generated: set[str]) -> set[str]:
    """The variables that the steps need and none of them makes."""
    made = generated | {f.targets[0] for f in order if isinstance(f, Factor)}
    return {p for item in order for p in names_of(item)[1] if p not in made}


def _ancestors(methods: MethodMaker, order: list[FactorInstance | Factor]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """For every variable, the drawn variables that it depends on, through deterministic ones."""
    found: dict[str, tuple[str, ...]] = {}
    for item in order:
        above: list[str] = []
        targets, parents = names_of(item)
        for parent in parents:
            if parent in found:
                drawn = parent not in methods.model.deterministic
                above += [parent] if drawn else found[parent]
        for target in targets:
            found[target] = tuple(dict.fromkeys(above))
    return tuple(found.items())


def step_of(
    methods: MethodMaker,
    item: FactorInstance | Factor,
    by_factor: dict[Factor, FactorMethod],
    *,
    one_place: bool = False,
) -> SampleStep:
    """One step: a draw from a factor, or the value of a formula; of one place where the variable has an index."""
    if isinstance(item, FactorInstance):
        method = by_factor[item.factor]
        alone = item.factor.family is not None and bool(method.parameters)
        drawn_alone = alone and not any(value.batched for _, value in method.parameters)
        batched = bool(item.parents) and not drawn_alone
        inputs = tuple(a for a in method.arguments if a.is_input)
        targets, parents = names_of(item)
        return SampleStep(targets[0], item.label, parents, item.factor, batched, inputs)
    lowering = methods.lowering(sampler=True)
    lowering.one_place = one_place
    for parent in item.parents:
        axes = place_axes(lowering, parent)
        if axes:  # all places, which the sampler has along the first dimensions
            shape = methods.model.spaces[parent].shape
            lowering.local[parent] = lowering.builder.make("argument", (), (parent,), shape=shape, axes=in_order(axes))
        else:
            lowering.local[parent] = lowering.argument(parent)
    assert isinstance(item.definition, Deterministic)
    text = f"{item.targets[0]} = {format_expr(item.definition.expr)}"
    with lowering.builder.within(Origin(item.span, text)):
        value = lowering.formula(item.definition)
    lowering.builder.name(value, item.targets[0], materialize=True)
    finish_heads([value])
    inputs = methods.inputs(lowering)
    return SampleStep(item.targets[0], text, item.parents, inputs=inputs, builder=lowering.builder, value=value)
