"""Methods of log-densities, and distributions of torch's for marginals and posteriors of finite variables."""

from dataclasses import replace
from math import prod

from pgcompile.inference.algebra import drop_barren
from pgcompile.inference.elimination import evidence_of, states, tables
from pgcompile.model.distributions import Distribution, NamedDistribution, by_indices, names_of
from pgcompile.model.factors import Extern, Factor, FactorInstance
from pgcompile.model.kinds import is_point_mass, kind_of, unscored
from pgcompile.model.model import Model
from pgcompile.model.names import factor_attribute
from pgcompile.objective.estimators import LARGEST_TABLE, LIMIT
from pgcompile.objective.terms import OBSERVED, Draw
from pgcompile.plan.lower.environment import FactorLowering
from pgcompile.plan.lower.marginals import log_of, take_every_value
from pgcompile.plan.lower.places import over_places
from pgcompile.plan.methods.description import Argument, Method, ModulePlan, TableMethod
from pgcompile.plan.methods.factors import full_parameters, solved_factors
from pgcompile.plan.methods.maker import MethodMaker
from pgcompile.plan.values import Axis, Value
from pgcompile.vocabulary.spaces import Space


def add_log_densities(methods: MethodMaker, plan: ModulePlan, generative: Distribution | None) -> None:
    """Add log-densities of the model, of what is unnormalised, and of every distribution the program named."""
    if (
        generative is not None
        and all(is_scorable(atom, methods.model) for atom in generative.atoms)
        and generative.atoms
    ):
        plan.log_prob = log_density_method(methods, "log_prob", f"log {generative.spelled}", generative)
    seen = {factor.label for factor in methods.model.factors} | solved_factors(methods).keys()
    for factor in methods.model.factors:
        if not kind_of(factor).normalised:
            name = f"log_{factor_attribute(factor)}"
            formula = f"log {factor.label}, up to a constant"
            method = log_density_method(methods, name, formula, Distribution((FactorInstance(factor),)))
            plan.log_densities.append((factor.label, method))
    for named in methods.model.named:
        reduced = drop_barren(named.distribution)
        exact = is_exact(methods, reduced) and all(is_scorable(a, methods.model) for a in reduced.atoms)
        if exact and named.label not in seen and named.label not in plan.aliases:
            seen.add(named.label)
            head = Factor(named.name, *names_of(named.distribution), Extern(), named.span)
            method = log_density_method(methods, f"log_{factor_attribute(head)}", f"log {reduced.spelled}", reduced)
            plan.log_densities.append((named.label, with_every_parent(methods, method, named)))
            if not add_table(methods, plan, factor_attribute(head), named, reduced):
                add_mixture(methods, plan, factor_attribute(head), named, reduced)


def add_table(
    methods: MethodMaker, plan: ModulePlan, name: str, named: NamedDistribution, distribution: Distribution
) -> bool:
    """A distribution over finite variables as the table of its log-probabilities, every value along a dimension.

    Returns:
        Whether it is one, with few enough entries.
    """
    made: list[tuple[str, Space, int]] = []
    draws: list[Draw] = []
    for position, target in enumerate(distribution.targets):
        maker = next(atom for atom in distribution.atoms if target in atom.targets)
        space = methods.model.spaces[maker.factor.targets[0]]
        count = states(maker, methods.model)
        entries = space.shape[:-1] if space.kind == "one_hot" else space.shape
        if count is None or entries:
            return False
        made.append((target.name, space, count))
        draws.append(
            Draw(Distribution((maker,)), 1, OBSERVED, enumerated=(target,), repetition=(named,), order=position + 1)
        )
    if not made or prod(count for _, _, count in made) > LARGEST_TABLE:
        return False
    lowering = methods.lowering()
    methods.take(lowering, distribution.parents)
    env = OBSERVED
    for draw in draws:
        env = env.extended(draw.enumerated, draw)
    builder = lowering.builder
    rank = {name: place for place, name in enumerate(methods.model.variables)}
    axes: list[Axis] = []
    for draw, (variable, _, count) in zip(draws, made, strict=True):
        # The axes stand as they would if the variables were summed out, so that both share their tables.
        own = draw.enumerated[0]
        axes.append(lowering.axes.summed(draw, own, count, rank.get(variable, len(rank)), frozenset(), axes))
    take_every_value(lowering, {draw.enumerated[0]: draw for draw in draws})
    value = log_of(lowering, Distribution(distribution.atoms, distribution.hidden), env)
    sizes = tuple(count for _, _, count in made)
    at = tuple(value.axes.index(axis) for axis in axes)
    value = builder.make("axes_to_last", (value,), at, shape=sizes, axes=())
    value = builder.name(value, "logits")
    method = methods.finished(name, named.label, lowering, [(name, value)])
    method = in_written_order(with_every_parent(methods, method, named), named)
    plan.tables.append(TableMethod(named.label, method, tuple((t, s) for t, s, _ in made), sizes))
    return True


def add_mixture(
    methods: MethodMaker, plan: ModulePlan, name: str, named: NamedDistribution, distribution: Distribution
) -> None:
    """`sum_k p(x|k) p(k)` as a distribution of torch's, where one category is summed out of one factor."""
    if distribution.evidence or len(distribution.hidden) != 1 or len(distribution.targets) != 1:
        return
    (hidden,), (target,) = distribution.hidden, distribution.targets
    maker = next(atom for atom in distribution.atoms if hidden in atom.targets)
    own = next(atom for atom in distribution.atoms if target in atom.targets)
    space = methods.model.spaces[maker.factor.targets[0]]
    use = own.factor.use
    whole = len(distribution.atoms) == 2 and space.kind == "category" and not space.shape
    if not whole or use is None or is_point_mass(own.factor):
        return
    lowering = methods.lowering()
    methods.take(lowering, distribution.parents)
    draw = Draw(Distribution((maker,)), 1, OBSERVED, enumerated=(hidden,), repetition=(named,))
    env = OBSERVED.extended((hidden,), draw)
    builder = lowering.builder
    weights = lowering.log_density(maker, env)
    logits = builder.make("axes_to_last", (weights,), (0,), shape=(space.categories or 1,), axes=())
    values = full_parameters(methods, own.factor, use, lowering.parameters(own, env), lowering)
    placed: list[tuple[str, Value]] = [("logits", builder.name(logits, "logits"))]
    for key, value in values.items():
        if use.family.parameter(key).literal:
            continue  # a number of Python, which the constructor is given as it is
        if value.axes:
            value = builder.make("axis_inside", (value,), (0, value.rank), shape=value.shape, axes=())
        elif value.batched:
            value = builder.make("unsqueeze_inside", (value,), (value.rank,), shape=value.shape)
        placed.append((key, value))
    method = methods.finished(name, named.label, lowering, placed)
    method = in_written_order(with_every_parent(methods, method, named), named)
    plan.mixtures.append((named.label, method, own.factor))


def is_exact(methods: MethodMaker, distribution: Distribution) -> bool:
    """True if what is hidden, and what a posterior infers, is finite and its tables are small enough."""
    parts = [distribution]
    if distribution.evidence:
        parts.append(evidence_of(distribution))
    for part in parts:
        found = tables(part, methods.model)
        if found is None or found.largest > LIMIT:
            return False
    return True


def log_density_method(methods: MethodMaker, name: str, formula: str, distribution: Distribution) -> Method:
    """The log-density of a distribution at its variables."""
    lowering = methods.lowering()
    lowering.one_place = name != "log_prob"
    methods.take(lowering, (*distribution.targets, *distribution.parents))
    total = log_of_places(lowering, distribution) if name == "log_prob" else log_of(lowering, distribution, OBSERVED)
    return methods.finished(name, formula, lowering, [(name, total)])


def log_of_places(lowering: FactorLowering, distribution: Distribution) -> Value:
    """log of a distribution over all places of its indices; what is shared by them counts once."""
    groups = by_indices(distribution, lowering.model.indices)
    if [*groups] == [()]:
        return log_of(lowering, distribution, OBSERVED)
    total: Value | None = None
    for indices, atoms in groups.items():
        part = log_of(lowering, Distribution(tuple(atoms)), OBSERVED)
        for index in indices:
            part = over_places(lowering, part, index, weighted=False)
        total = part if total is None else lowering.builder.binary("add", total, part)
    assert total is not None
    return total


def with_every_parent(methods: MethodMaker, method: Method, named: NamedDistribution) -> Method:
    """With the parents that the program names and that do not matter: a distribution is called as its name says."""
    known = {argument.name for argument in method.arguments}
    missing = [v.name for v in named.parents if v.name not in known and v.name not in methods.model.deterministic]
    added = tuple(Argument(name, methods.model.spaces[name].shape) for name in missing)
    inputs = [argument for argument in method.arguments if argument.is_input]
    others = [argument for argument in method.arguments if not argument.is_input]
    return replace(method, arguments=(*others, *added, *inputs))


def in_written_order(method: Method, named: NamedDistribution) -> Method:
    """Arguments in the order in which the program names them."""
    rank = {variable.name: i for i, variable in enumerate(named.parents)}
    return replace(method, arguments=tuple(sorted(method.arguments, key=lambda a: rank.get(a.name, len(rank)))))


def is_scorable(atom: FactorInstance, model: Model) -> bool:
    """True if a factor has a log-density."""
    return unscored(atom.factor, model.spaces[atom.factor.targets[0]]) is None
