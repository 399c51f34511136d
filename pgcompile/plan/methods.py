"""Plans every method of the emitted class: objectives, loss, terms, log-densities, samplers, factors."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

import networkx as nx

from pgcompile.diagnostics import InternalError
from pgcompile.inference.algebra import drop_barren, order_atoms
from pgcompile.inference.elimination import evidence_of, states, tables
from pgcompile.model.values import (
    Atom,
    Data,
    Deterministic,
    Distribution,
    Extern,
    Factor,
    FamilyUse,
    FlowUse,
    LogDensityUse,
    Mixture,
    Model,
    NamedDistribution,
    OptimiseLine,
    loss_name,
    names_of,
)
from pgcompile.model.variable import Variable
from pgcompile.objective.derivation import Rewritten
from pgcompile.objective.estimators import LARGEST_TABLE, LIMIT
from pgcompile.objective.leaves import ClosedLeaf, NamedLeaf
from pgcompile.objective.terms import OBSERVED, Draw
from pgcompile.plan.builder import Builder
from pgcompile.plan.lower.environment import FactorLowering
from pgcompile.plan.lower.flow_factors import flow_context
from pgcompile.plan.lower.marginals import log_of
from pgcompile.plan.lower.mixture_factors import weights_of_mixture
from pgcompile.plan.lower.objectives import ObjectiveLowering
from pgcompile.plan.names import factor_attribute
from pgcompile.plan.origin import Origin
from pgcompile.plan.passes.batch_mean import batch_mean
from pgcompile.plan.tensors import Tensors
from pgcompile.plan.values import Value
from pgcompile.syntax.format import format_expr
from pgcompile.syntax.tree import names_in
from pgcompile.vocabulary.spaces import Space


@dataclass(frozen=True)
class Argument:
    """An argument of a method: a variable of the model, or an `input`."""

    name: str
    shape: tuple[int, ...]
    is_input: bool = False


@dataclass(frozen=True)
class Method:
    """A method that computes one value, or a named value for each of several formulas."""

    name: str
    formula: str
    arguments: tuple[Argument, ...]
    builder: Builder
    outputs: tuple[tuple[str, Value], ...]
    batched: bool


@dataclass(frozen=True)
class LossMethod:
    """The scalar that one optimisation line minimises."""

    name: str
    line: OptimiseLine
    objective: Method
    mean: Method


@dataclass(frozen=True)
class SampleStep:
    """One variable of a sampler: drawn from its factor, or computed from its formula."""

    variable: str
    label: str
    parents: tuple[str, ...]
    factor: Factor | None = None
    batched: bool = True
    inputs: tuple[Argument, ...] = ()
    builder: Builder | None = None
    value: Value | None = None


@dataclass(frozen=True)
class Sampler:
    """What `sample` and `sample_mean` go through, parents first."""

    label: str
    steps: tuple[SampleStep, ...]
    conditions: tuple[str, ...]
    inputs: tuple[Argument, ...]
    ancestors: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class FactorMethod:
    """A factor as a distribution object: its family's parameters in the environment of its parents."""

    name: str
    label: str
    formula: str
    factor: Factor
    arguments: tuple[Argument, ...]
    builder: Builder
    parameters: tuple[tuple[str, Value], ...]
    experts: tuple[tuple[Factor, Value | None], ...] = ()
    """Of a product: its factors with their powers, so that those whose parents are not given can be left out."""
    needs: tuple[tuple[str, ...], ...] = ()
    """The arguments that each expert and its power need."""


@dataclass(frozen=True)
class TableMethod:
    """A distribution over finite variables: its log-probabilities, and the variables along their dimensions."""

    label: str
    method: Method
    variables: tuple[tuple[str, Space], ...]


@dataclass
class ModulePlan:
    """Everything the emitted class has."""

    model: Model
    tensors: Tensors
    objectives: list[Method] = field(default_factory=list)
    losses: list[LossMethod] = field(default_factory=list)
    terms: Method | None = None
    log_prob: Method | None = None
    log_densities: list[tuple[str, Method]] = field(default_factory=list)
    tables: list[TableMethod] = field(default_factory=list)
    mixtures: list[tuple[str, Method, Factor]] = field(default_factory=list)
    """Posteriors over one category, by label: methods of their logits."""
    sampler: Sampler | None = None
    factors: list[FactorMethod] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    generative: Distribution | None = None
    closed: frozenset[str] = frozenset()


class Planner:
    """Plans a module from a model and its rewritten objectives."""

    def __init__(self, model: Model, generative: Distribution | None) -> None:
        self.model = model
        self.tensors = Tensors(model)
        self.plan = ModulePlan(model, self.tensors, generative=generative)
        self.generative = generative

    def run(self, objectives: dict[str, Rewritten]) -> ModulePlan:
        """The whole plan."""
        for name, rewritten in objectives.items():
            formula = " ".join(format_expr(self.model.objectives[name].expr).split())
            self.plan.objectives.append(self._method(name, formula, {name: rewritten}))
        self.plan.closed = frozenset(name for name, rewritten in objectives.items() if _has_closed_form(rewritten))
        by_name = {method.name: method for method in self.plan.objectives}
        lines = [line for line in self.model.optimise if line.objective in by_name]
        for line in lines:
            name = loss_name(line, lines)
            if any(loss.name == name for loss in self.plan.losses):
                continue  # two lines that train different parts by one objective
            mean = self._mean(name, line, objectives[line.objective])
            self.plan.losses.append(LossMethod(name, line, by_name[line.objective], mean))
        if len(objectives) > 1:
            self.plan.terms = self._method("terms", "every named term, in one pass", objectives)
        self._factors()
        self._log_densities(self.generative)
        unnormalised = self.generative is not None and any(
            isinstance(atom.factor.definition, LogDensityUse) for atom in self.generative.atoms
        )
        if self.generative is not None and not unnormalised:
            self._sampler(self.generative)
        return self.plan

    # --- objectives ---

    def _environment(self, *, sampler: bool = False) -> FactorLowering:
        builder = Builder(sampler=sampler)
        builder.device = lambda: self.tensors.like(builder)
        return FactorLowering(builder, self.model, self.tensors)

    def _method(self, name: str, formula: str, objectives: dict[str, Rewritten]) -> Method:
        environment = self._environment()
        for rewritten in objectives.values():
            self._touch_arguments(environment, rewritten)
        outputs = []
        for key, rewritten in objectives.items():
            with environment.builder.within(self._origin(key)):
                value = ObjectiveLowering(environment, rewritten).run()
            environment.builder.name(value, key, keep=len(objectives) > 1)
            outputs.append((key, value))
        return self._finished(name, formula, environment, outputs)

    def _mean(self, name: str, line: OptimiseLine, rewritten: Rewritten) -> Method:
        """What a training step minimises: the objective's mean over the batch, with its sign."""
        environment = self._environment()
        self._touch_arguments(environment, rewritten)
        with environment.builder.within(self._origin(line.objective)):
            value = ObjectiveLowering(environment, rewritten).run()
            mean = batch_mean(environment.builder, value, -1 if line.direction == "maximize" else 1)
        return self._finished(name, line.objective, environment, [(name, mean)])

    def _origin(self, objective: str) -> Origin:
        return Origin(self.model.objectives[objective].span, objective)

    def _touch_arguments(self, environment: FactorLowering, rewritten: Rewritten) -> None:
        """Observed variables exist before any draw, so that draws can take the batch shape from them."""
        for name in self.model.variables:
            if name in rewritten.observed and name in self.model.deterministic:
                environment.argument(name)  # it is scored
            elif name in rewritten.observed:
                environment.variable(Variable(name), OBSERVED)

    def _touch(self, environment: FactorLowering, variables: Iterable[Variable]) -> None:
        """The same for the variables of a distribution, in the order in which the program names them."""
        wanted = {*variables}
        for name in self.model.variables:
            if Variable(name) in wanted and name not in self.model.deterministic:
                environment.variable(Variable(name), OBSERVED)

    def _finished(
        self, name: str, formula: str, environment: FactorLowering, outputs: list[tuple[str, Value]]
    ) -> Method:
        outputs = [(key, self._as_tensor(environment.builder, value)) for key, value in outputs]
        used = {str(v.attributes[0]) for v in environment.builder.values if v.op == "argument"}
        arguments = [
            Argument(v, self.model.spaces[v].shape)
            for v in self.model.variables
            if v in used and v not in self.model.tensors
        ]
        inputs = self._inputs(environment)
        batched = any(value.batched for _, value in outputs)
        return Method(name, formula, (*arguments, *inputs), environment.builder, tuple(outputs), batched)

    def _as_tensor(self, builder: Builder, value: Value) -> Value:
        """A method gives a tensor, also where its formula folds to a number or to an input."""
        return builder.tensor(builder.as_tensor(value))

    @cached_property
    def solved(self) -> dict[str, Factor]:
        """Marginals and posteriors that are one factor of a family, by the name that the program gave them."""
        declared = {factor.label for factor in self.model.factors}
        found: dict[str, Factor] = {}
        for named in self.model.named:
            atoms = named.distribution.atoms
            alone = named.distribution.origin is not None and len(atoms) == 1 and not named.distribution.hidden
            if alone and not named.distribution.evidence and named.label not in declared:
                (atom,) = atoms
                if isinstance(atom.factor.definition, FamilyUse) and {*atom.parents} == {*named.distribution.parents}:
                    parents = named.parents if {*named.parents} == {*atom.parents} else atom.parents
                    names = tuple(map(atom.name_of, parents))
                    found[named.label] = replace(atom.factor, name=named.name, parents=names)
        return found

    # --- log-densities ---

    def _log_densities(self, generative: Distribution | None) -> None:
        if generative is not None and all(_scorable(atom) for atom in generative.atoms) and generative.atoms:
            self.plan.log_prob = self._log_density("log_prob", f"log {generative.spelled}", generative)
        seen = {factor.label for factor in self.model.factors} | self.solved.keys()
        for factor in self.model.factors:
            if isinstance(factor.definition, LogDensityUse):
                name = f"log_{factor_attribute(factor)}"
                formula = f"log {factor.label}, up to a constant"
                method = self._log_density(name, formula, Distribution((Atom(factor),)))
                self.plan.log_densities.append((factor.label, method))
        for named in self.model.named:
            reduced = drop_barren(named.distribution)
            exact = self._is_exact(reduced) and all(_scorable(a) for a in reduced.atoms)
            if exact and named.label not in seen and named.label not in self.plan.aliases:
                seen.add(named.label)
                head = Factor(named.name, *names_of(named.distribution), Extern(), named.span)
                method = self._log_density(f"log_{factor_attribute(head)}", f"log {reduced.spelled}", reduced)
                self.plan.log_densities.append((named.label, method))
                self._table_factor(factor_attribute(head), named, reduced)
                self._mixture_factor(factor_attribute(head), named, reduced)

    def _table_factor(self, name: str, named: NamedDistribution, distribution: Distribution) -> None:
        """A distribution over finite variables as the table of its log-probabilities, every value along a dimension."""
        made: list[tuple[str, Space, int]] = []
        draws: list[Draw] = []
        for position, target in enumerate(distribution.targets):
            maker = next(atom for atom in distribution.atoms if target in atom.targets)
            space = self.model.spaces[maker.factor.targets[0]]
            count = states(maker, self.model)
            if count is None or (space.shape and space.kind != "one_hot"):
                return
            made.append((target.name, space, count))
            draws.append(
                Draw(Distribution((maker,)), 1, OBSERVED, enumerated=(target,), repetition=(named,), order=position + 1)
            )
        if not made or prod(count for _, _, count in made) > LARGEST_TABLE:
            return
        environment = self._environment()
        self._touch(environment, distribution.parents)
        env = OBSERVED
        for draw in draws:
            env = env.extended(draw.enumerated, draw)
        builder = environment.builder
        value = log_of(environment, Distribution(distribution.atoms, distribution.hidden), env)
        sizes: tuple[int, ...] = ()
        for draw, (_, _, count) in zip(draws, made, strict=True):
            # An axis that the table lacks is one that it does not depend on.
            at = value.axes.index(environment.axes.values(draw, draw.enumerated[0], count))
            rest = tuple(axis for i, axis in enumerate(value.axes) if i != at)
            sizes = (*sizes, count)
            value = builder.make("axis_to_last", (value,), (at,), shape=sizes, axes=rest)
        value = builder.name(value, "logits")
        method = _in_order(self._finished(name, named.label, environment, [(name, value)]), named)
        self.plan.tables.append(TableMethod(named.label, method, tuple((t, s) for t, s, _ in made)))

    def _mixture_factor(self, name: str, named: NamedDistribution, distribution: Distribution) -> None:
        """`sum_k p(x|k) p(k)` as a distribution of torch's, where one category is summed out of one factor."""
        if distribution.evidence or len(distribution.hidden) != 1 or len(distribution.targets) != 1:
            return
        (hidden,), (target,) = distribution.hidden, distribution.targets
        maker = next(atom for atom in distribution.atoms if hidden in atom.targets)
        own = next(atom for atom in distribution.atoms if target in atom.targets)
        space = self.model.spaces[maker.factor.targets[0]]
        use = own.factor.definition
        whole = isinstance(use, FamilyUse) and len(distribution.atoms) == 2 and space.kind == "category"
        if not whole or space.shape or not isinstance(use, FamilyUse) or use.family.name == "Delta":
            return
        environment = self._environment()
        self._touch(environment, distribution.parents)
        draw = Draw(Distribution((maker,)), 1, OBSERVED, enumerated=(hidden,), repetition=(named,))
        env = OBSERVED.extended((hidden,), draw)
        builder = environment.builder
        weights = environment.log_density(maker, env)
        logits = builder.make("axis_to_last", (weights,), (0,), shape=(space.categories or 1,), axes=())
        values = self._full_parameters(own.factor, use, environment.parameters(own, env), environment)
        placed: list[tuple[str, Value]] = [("logits", builder.name(logits, "logits"))]
        for key, value in values.items():
            if value.axes:
                value = builder.make("axis_inside", (value,), (0, value.rank), shape=value.shape, axes=())
            elif value.batched:
                value = builder.make("unsqueeze_inside", (value,), (value.rank,), shape=value.shape)
            placed.append((key, value))
        method = _in_order(self._finished(name, named.label, environment, placed), named)
        self.plan.mixtures.append((named.label, method, own.factor))

    def _is_exact(self, distribution: Distribution) -> bool:
        """Whether what is hidden, and what a posterior infers, is finite and its tables are small enough."""
        parts = [distribution]
        if distribution.evidence:
            parts.append(evidence_of(distribution))
        for part in parts:
            found = tables(part, self.model)
            if found is None or found.largest > LIMIT:
                return False
        return True

    def _log_density(self, name: str, formula: str, distribution: Distribution) -> Method:
        environment = self._environment()
        self._touch(environment, (*distribution.targets, *distribution.parents))
        total = log_of(environment, distribution, OBSERVED)
        return self._finished(name, formula, environment, [(name, total)])

    # --- samplers ---

    def _sampler(self, generative: Distribution) -> None:
        self.by_factor = {method.factor: method for method in self.plan.factors}
        atoms = order_atoms(generative)
        generated = {name for atom in atoms for name in names_of(atom)[0]}
        order = self._with_deterministic(atoms, generated)
        conditioned = self._conditions(order, generated)
        conditions = tuple(v for v in self.model.variables if v in conditioned)
        steps = tuple(self._step(item) for item in order)
        inputs = tuple(dict.fromkeys(i for step in steps for i in step.inputs))
        self.plan.sampler = Sampler(generative.spelled, steps, conditions, inputs, self._ancestors(order))

    def _with_deterministic(self, atoms: list[Atom], generated: set[str]) -> list[Atom | Factor]:
        """Generated variables and the deterministic ones, each after what it is made from.

        A deterministic variable belongs to the model if what it is made from is generated or a condition of it.
        """
        graph = nx.DiGraph()
        items: dict[str, Atom | Factor] = {t: atom for atom in atoms for t in names_of(atom)[0]}
        reachable = set(generated) | {p for atom in atoms for p in names_of(atom)[1]}
        changed = True
        while changed:
            changed = False
            for name, factor in self.model.deterministic.items():
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

    def _conditions(self, order: list[Atom | Factor], generated: set[str]) -> set[str]:
        made = generated | {f.targets[0] for f in order if isinstance(f, Factor)}
        return {p for item in order for p in names_of(item)[1] if p not in made}

    def _ancestors(self, order: list[Atom | Factor]) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """For every variable, the drawn variables that it depends on, through deterministic ones."""
        found: dict[str, tuple[str, ...]] = {}
        for item in order:
            above: list[str] = []
            targets, parents = names_of(item)
            for parent in parents:
                if parent in found:
                    drawn = parent not in self.model.deterministic
                    above += [parent] if drawn else found[parent]
            for target in targets:
                found[target] = tuple(dict.fromkeys(above))
        return tuple(found.items())

    def _step(self, item: Atom | Factor) -> SampleStep:
        if isinstance(item, Atom):
            method = self.by_factor[item.factor]
            alone = isinstance(item.factor.definition, FamilyUse) and bool(method.parameters)
            drawn_alone = alone and not any(value.batched for _, value in method.parameters)
            batched = bool(item.parents) and not drawn_alone
            inputs = tuple(a for a in method.arguments if a.is_input)
            targets, parents = names_of(item)
            return SampleStep(targets[0], item.label, parents, item.factor, batched, inputs)
        environment = self._environment(sampler=True)
        for parent in item.parents:
            environment.local[parent] = environment.builder.argument(parent, self.model.spaces[parent].shape)
        assert isinstance(item.definition, Deterministic)
        text = f"{item.targets[0]} = {format_expr(item.definition.expr)}"
        with environment.builder.within(Origin(item.span, text)):
            value = environment.formula(item.definition)
        environment.builder.name(value, item.targets[0], keep=True)
        inputs = self._inputs(environment)
        return SampleStep(item.targets[0], text, item.parents, inputs=inputs, builder=environment.builder, value=value)

    def _inputs(self, environment: FactorLowering) -> tuple[Argument, ...]:
        """The `input`s that were used."""
        used = {str(v.attributes[0]) for v in environment.builder.values if v.op == "argument"}
        return tuple(
            Argument(t.name, t.space.shape, True)
            for t in self.model.tensors.values()
            if t.kind == "input" and t.name in used
        )

    # --- factors ---

    def _factors(self) -> None:
        for factor in (*self.model.factors, *self.solved.values()):
            definition = factor.definition
            formula = ""
            environment = self._environment()
            parameters: dict[str, Value] = {}
            for parent in factor.parents:
                environment.local[parent] = environment.builder.argument(parent, self.model.spaces[parent].shape)
            if isinstance(definition, FamilyUse):
                values = environment.parameters(Atom(factor), OBSERVED)
                parameters = self._full_parameters(factor, definition, values, environment)
                inner = ", ".join(f"{k}={format_expr(e)}" for k, e in definition.parameters)
                formula = f"{definition.family.name}({inner})"
                if definition.bindings:
                    bound = [
                        f"{', '.join(n.id for n in b.names)} = {format_expr(b.value)}" for b in definition.bindings
                    ]
                    formula += f", {', '.join(bound)}"
            elif isinstance(definition, Extern):
                self.tensors.extern(factor_attribute(factor))
            elif isinstance(definition, FlowUse):
                base = definition.base.definition
                assert isinstance(base, FamilyUse)
                values = environment.parameters(Atom(definition.base), OBSERVED)
                parameters = self._full_parameters(definition.base, base, values, environment)
                context = flow_context(environment, definition, Atom(factor), OBSERVED)
                parameters |= {"context": context} if context is not None else {}
                self.tensors.flow(definition.flow)
                inner = ", ".join(f"{k}={format_expr(e)}" for k, e in base.parameters)
                given = f"({', '.join(map(format_expr, definition.arguments))})" if definition.arguments else ""
                inv = ".inv" if definition.inverted else ""
                formula = f"Flow({base.family.name}({inner}), {definition.flow}{inv}{given})"
            elif isinstance(definition, Mixture):
                parameters = {f"weight_{i}": w for i, w in enumerate(weights_of_mixture(environment, definition), 1)}
                weighed = zip(definition.weights, definition.components, strict=True)
                formula = " + ".join(f"{format_expr(w)} {c.label}" for w, c in weighed)
            elif isinstance(definition, LogDensityUse):
                continue  # it can be scored, and nothing else is known of it
            arguments = (
                *(Argument(p, self.model.spaces[p].shape) for p in factor.parents),
                *self._inputs(environment),
            )
            self.plan.factors.append(
                FactorMethod(
                    factor_attribute(factor),
                    factor.label,
                    formula,
                    factor,
                    arguments,
                    environment.builder,
                    tuple(parameters.items()),
                    *self._experts(factor),
                )
            )
        for named in self.model.named:
            atoms = named.distribution.atoms
            if len(atoms) == 1 and not named.distribution.hidden and atoms[0].renaming:
                self.plan.aliases[named.label] = atoms[0].factor.label

    def _experts(self, factor: Factor) -> tuple[tuple[tuple[Factor, Value | None], ...], tuple[tuple[str, ...], ...]]:
        """The experts of a product that is conditioned on several variables, and what each needs."""
        products = self.model.products.get(factor.label, ()) if len(factor.parents) > 1 else ()
        inputs = any(t.kind == "input" for t in self.model.tensors.values())
        if inputs or not all(isinstance(expert.definition, FamilyUse) for expert, _ in products):
            return (), ()
        environment = self._environment()
        for parent in factor.parents:
            environment.local[parent] = environment.builder.argument(parent, self.model.spaces[parent].shape)
        found, needs = [], []
        for expert, power in products:
            named = names_in(power) if power is not None else set()
            found.append((expert, None if power is None else environment.plain(power, OBSERVED)))
            needs.append(tuple(p for p in factor.parents if p in (*expert.parents, *named)))
        return tuple(found), tuple(needs)

    def _full_parameters(
        self, factor: Factor, definition: FamilyUse, values: dict[str, Value], environment: FactorLowering
    ) -> dict[str, Value]:
        """Parameters with the event shape of the variable: the first one carries it for those that are scalars."""
        shape = self.model.spaces[factor.targets[0]].shape
        builder = environment.builder
        found = dict(values)
        elementwise = [
            p.name for p in definition.family.parameters if p.name in values and p.rank == 0 and not p.shared
        ]
        lined = elementwise if definition.family.event_rank == 0 and not definition.family.index_valued else []
        if lined and not any(values[name].shape == shape and values[name].constant is None for name in lined):
            found[lined[0]] = builder.expand_full(values[lined[0]], shape, (), None)
        shared = [p.name for p in definition.family.parameters if p.name in values and p.shared and not p.literal]
        for name in shared:
            if found[name].constant is None:
                found[name] = builder.raise_rank(found[name], len(shape))
        for name in lined:
            if found[name].rank < len(shape) and found[name].constant is None:
                found[name] = builder.raise_rank(found[name], len(shape))
        if definition.family.name == "MultivariateNormal" and values["loc"].constant is not None:
            raise InternalError("a table was expected for the location")
        return found


def _in_order(method: Method, named: NamedDistribution) -> Method:
    """Arguments in the order in which the program names them."""
    rank = {variable.name: i for i, variable in enumerate(named.parents)}
    return replace(method, arguments=tuple(sorted(method.arguments, key=lambda a: rank.get(a.name, len(rank)))))


def _scorable(atom: Atom) -> bool:
    match atom.factor.definition:
        case FamilyUse(family=family):
            return family.name != "Delta"
        case Data():
            return False
        case _:
            return True


def live_values(outputs: list[Value]) -> list[Value]:
    """What the outputs need, in the order it was made."""
    seen: dict[int, Value] = {}
    stack = list(outputs)
    while stack:
        value = stack.pop()
        if value.number not in seen:
            seen[value.number] = value
            stack.extend(value.args)
    return [seen[number] for number in sorted(seen)]


def _has_closed_form(rewritten: Rewritten) -> bool:
    return any(
        isinstance(leaf, ClosedLeaf) or (isinstance(leaf, NamedLeaf) and _has_closed_form(leaf.value))
        for leaf in rewritten.leaves.values()
    )
