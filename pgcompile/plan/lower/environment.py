"""Variables and factors while a method is planned: what each stands for, and how it is scored and drawn."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from sympy import Expr, Symbol

from pgcompile.diagnostics import NOWHERE, InternalError
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import Deterministic, FactorInstance, data_of
from pgcompile.model.model import Model
from pgcompile.model.variable import Variable
from pgcompile.objective.leaves import ClosedLeaf, EntriesLeaf, ParameterUse
from pgcompile.objective.moments import ExprUse
from pgcompile.objective.rules.state import parameter_symbols
from pgcompile.objective.terms import OBSERVED, Draw, Env, point
from pgcompile.plan.axes import AxisPool
from pgcompile.plan.builder import Builder
from pgcompile.plan.lower.draws import drawn_value
from pgcompile.plan.lower.expressions import Around, ExpressionLowering
from pgcompile.plan.lower.family_factors import log_density_of_family, parameter_value
from pgcompile.plan.lower.formulas import FormulaLowering
from pgcompile.plan.lower.handlers import HANDLERS, DrawRequest, Handler
from pgcompile.plan.lower.marginals import log_of
from pgcompile.plan.lower.places import elsewhere, first_place, given, together
from pgcompile.plan.module_attributes import ModuleAttributes
from pgcompile.plan.origin import Origin, origin_of
from pgcompile.plan.passes.heads import is_head_of_net
from pgcompile.plan.recurrences import Recurrences
from pgcompile.plan.values import Axis, Value
from pgcompile.syntax import tree
from pgcompile.syntax.format import format_expr
from pgcompile.syntax.places import python_name
from pgcompile.vocabulary.family import Family
from pgcompile.vocabulary.spaces import filling
from pgcompile.vocabulary.symbols import LEVEL, Facts

NO_DENSITIES: Mapping[tree.Expr, Distribution] = MappingProxyType({})


def _equation(name: str, made: Deterministic) -> str:
    """A deterministic variable's formula; of one of several results, the formula of all."""
    if made.bindings and made.expr == tree.Name(name):
        whole = made.bindings[-1]
        return f"({', '.join(n.id for n in whole.names)}) = {format_expr(whole.value)}"
    return f"{name} = {format_expr(made.expr)}"


@dataclass
class FactorLowering:
    """The variables of one method.

    Args:
        builder: where values are made.
        model: the model.
        tensors: attributes of the class.
        local: variables that are local names of the method already (the sampler's), instead of arguments.
        axes: the axes of the method.
    """

    builder: Builder
    model: Model
    tensors: ModuleAttributes
    local: dict[str, Value] = field(default_factory=dict)
    axes: AxisPool = field(default_factory=AxisPool)
    path: Env = OBSERVED
    """Where variables at other places of an index come from."""
    one_place: bool = False
    """True while it computes for one place of every index: the distribution of a step."""
    at_first: bool = False
    """True if that is the first place."""
    inside: set[Axis] = field(default_factory=set)
    """The axes of samples that a mean around what is lowered will take."""
    recurrences: Recurrences = field(init=False)
    _variables: dict[tuple[Variable, Draw | Env], Value] = field(default_factory=dict)
    _parameters: dict[tuple[FactorInstance, Env], dict[str, Value]] = field(default_factory=dict)
    _facts: dict[FactorInstance, tuple[Facts, tuple[tuple[Symbol, ParameterUse], ...]]] = field(default_factory=dict)
    flows: dict[tuple[int, int | None, str, bool], tuple[Value, Value]] = field(default_factory=dict)
    """The base of each value drawn through a flow, and the log-determinant found on the way."""

    _patterns: dict[tuple[str, tuple[tuple[str, Expr], ...]], Facts] = field(default_factory=dict)
    constants: dict[Expr, tuple[Expr, float, str | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.recurrences = Recurrences(self.builder, self.tensors.modules)

    def copy(self) -> "FactorLowering":
        """The same method, with variables of its own."""
        other = FactorLowering(self.builder, self.model, self.tensors, self.local, self.axes, path=self.path)
        other.recurrences = self.recurrences
        return other

    # --- variables ---

    def variable(self, variable: Variable, env: Env) -> Value:
        """The value of a variable."""
        name = variable.name
        if variable.is_named and name in self.local:
            return self.local[name]
        draw = env.get(variable)
        if draw is None and name in self.model.indices.lags and not self.one_place:
            return elsewhere(self, name)
        if draw is not None:
            if (variable, draw) not in self._variables:
                self._variables[variable, draw] = drawn_value(self, draw, variable)
            return self._variables[variable, draw]
        factor = self.model.deterministic.get(name) if variable.is_named else None
        if factor is not None:
            if (variable, env) not in self._variables:
                assert isinstance(factor.definition, Deterministic)
                with self.builder.section(_equation(name, factor.definition), Origin(factor.span, name)):
                    value = self.expressions(env, {}, factor.definition.bindings).lower(factor.definition.expr)
                self._variables[variable, env] = self.builder.name(value, name)
            return self._variables[variable, env]
        return self.argument(name)

    def argument(self, name: str) -> Value:
        """A variable of the program as an argument of the method; where data may lack it, with values put in."""
        space = self.model.spaces[name]
        value = given(self, name)
        if not space.optional:
            return value
        filled = self.builder.make(
            "filled", (value,), (space.kind == "category", filling(space.kind)), shape=value.shape
        )
        return self.builder.name(filled, f"{name}_filled", materialize=True)

    def is_observed(self, name: str, event_rank: int = 0) -> Value:
        """1 for each entry of a variable that the data has, else 0; or for each event, along its last dimensions."""
        space = self.model.spaces[name]
        value = given(self, name)
        seen = self.builder.make("is_observed", (value,), (space.kind == "category",), shape=value.shape)
        if event_rank:
            seen = self.builder.make("amin", (seen,), (event_rank,), shape=value.shape[: value.rank - event_rank])
        return self.builder.name(seen, f"has_{python_name(name)}", materialize=True)

    def override(self, variable: Variable, draw: Draw, value: Value) -> None:
        """Let a drawn variable stand for another value."""
        self._variables[variable, draw] = value

    def bind(self, variable: Variable, atom: FactorInstance, env: Env, value: Value) -> Env:
        """An environment in which a variable of a factor stands for a value."""
        draw = point(atom, len(self._variables))
        self.override(variable, draw, value)
        return env.extended((variable,), draw)

    def expressions(
        self,
        env: Env,
        mapping: Mapping[str, Variable],
        bindings: tuple[tree.Binding, ...],
        densities: Mapping[tree.Expr, Distribution] = NO_DENSITIES,
    ) -> ExpressionLowering:
        """The lowering of expressions over names, which stand for variables of an environment.

        Args:
            env: where the variables come from.
            mapping: the variables of names that do not stand for the variable of that name.
            bindings: of `where`.
            densities: what is meant by densities inside derivatives.
        """

        def lookup(name: str) -> Value:
            return self.variable(mapping.get(name) or Variable(name), env)

        def at(name: str, value: Value) -> ExpressionLowering:
            variable = mapping.get(name) or Variable(name)
            draw = point(FactorInstance(data_of((variable,), NOWHERE).factor), "derivative", len(self._variables))
            self.override(variable, draw, value)
            return self.expressions(env.extended((variable,), draw), mapping, bindings, densities)

        def log_density(expr: tree.Expr) -> Value | None:
            found = densities.get(expr)
            return None if found is None else log_of(self, found, env)

        def quantile(call: tree.Call, share: Value) -> Value:
            return self._quantile(densities[call].atoms[0], env, share)

        around = Around(at, log_density, quantile)
        return ExpressionLowering(
            self.builder,
            self.model,
            self.tensors,
            lookup,
            bindings,
            around=around,
            observed=self.is_observed,
            is_first=lambda index: first_place(self, index),
            over=lambda kind, index, value: together(self, kind, index, value),
        )

    def formula(self, definition: Deterministic) -> Value:
        """A deterministic variable's formula over observed and local variables."""
        return self.expressions(Env(), {}, definition.bindings).lower(definition.expr)

    def plain(self, expr: tree.Expr, env: Env, densities: Mapping[tree.Expr, Distribution] = NO_DENSITIES) -> Value:
        """A formula of variables and nets, and of densities inside derivatives."""
        return self.expressions(env, {}, (), densities).lower(expr)

    # --- factors ---

    def parameters(self, atom: FactorInstance, env: Env) -> dict[str, Value]:
        """The parameters of a factor, named after it."""
        key = (atom, env)
        if key in self._parameters:
            return self._parameters[key]
        definition = atom.factor.use
        assert definition is not None
        expressions = self.expressions(env, atom.mapping, definition.bindings)
        target = atom.targets[0]
        found: dict[str, Value] = {}
        with self.builder.section(atom.label, origin_of(atom)):
            for name, expr in definition.parameters:
                parameter = definition.family.parameter(name)
                value = parameter_value(self, expressions, definition, parameter, expr, atom.factor.targets[0])
                alone = value.op in ("module", "item", "cell", "unflatten_batch") or is_head_of_net(value)
                found[name] = self.builder.name(
                    value, name, f"{name}_{target}", f"{atom.factor.name}_{name}_{target}", materialize=alone
                )
        self._parameters[key] = found
        return found

    def facts(self, atom: FactorInstance) -> tuple[Facts, tuple[tuple[Symbol, ParameterUse], ...]]:
        """A factor's formulas over symbols of its parameters."""
        if atom not in self._facts:
            definition = atom.factor.use
            assert definition is not None
            values, uses = parameter_symbols(atom, Env(), self.model, "f")
            # Factors of one family with the same literals share their formulas.
            pattern = (definition.family.name, tuple(values.items()))
            if pattern not in self._patterns:
                self._patterns[pattern] = definition.family.facts(values)
            self._facts[atom] = (self._patterns[pattern], uses)
        return self._facts[atom]

    def bindings(self, atom: FactorInstance, env: Env) -> dict[Symbol, Value]:
        """The values of the symbols in a factor's formulas."""
        parameters = self.parameters(atom, env)
        return {symbol: parameters[use.name] for symbol, use in self.facts(atom)[1]}

    def family(self, atom: FactorInstance) -> Family:
        """The family of a factor that has one."""
        family = atom.factor.family
        assert family is not None
        return family

    def shape(self, atom: FactorInstance) -> tuple[int, ...]:
        """The event shape of a factor's variable."""
        return self.model.spaces[atom.factor.targets[0]].shape

    def independent_shape(self, atom: FactorInstance) -> tuple[int, ...]:
        """Event dimensions that a formula does not sum itself: those of independent elements."""
        shape = self.shape(atom)
        return shape[: len(shape) - self.family(atom).event_rank]

    def width(self, atom: FactorInstance) -> int | None:
        """The categories of an index, or the last event dimension."""
        if self.family(atom).index_valued:
            return self.model.spaces[atom.factor.targets[0]].categories
        shape = self.shape(atom)
        return shape[-1] if shape else None

    # --- log-densities and draws ---

    def log_density(self, atom: FactorInstance, env: Env, *, detached: bool = False) -> Value:
        """log of a factor, summed over its event shape.

        Args:
            atom: the factor.
            env: the values of its variables.
            detached: whether gradients are kept from its parameters, which are those of a family.
        """
        if detached:
            return log_density_of_family(self, atom, env, detached=True)
        return self._handler(atom).log_density(self, atom, env)

    def _quantile(self, atom: FactorInstance, env: Env, share: Value) -> Value:
        """The value below which a share of a factor's draws lies."""
        facts, _ = self.facts(atom)
        if facts.quantile is None:
            raise InternalError(f"no formula of the quantiles of {atom.label}")
        with self.builder.section(f"quantile of {atom.label}", origin_of(atom)):
            formula = FormulaLowering(self.builder, {**self.bindings(atom, env), LEVEL: share}, self.width(atom))
            value = formula.lower(facts.quantile)
            return self.builder.raise_rank(self.builder.tensor(value), len(self.shape(atom)))

    def score_of_entries(self, leaf: EntriesLeaf) -> Value:
        """The entries of a variable, each scored by itself: those that are observed, or by their factor's tails."""
        atom = leaf.atom
        lead = self.independent_shape(atom)
        score = log_density_of_family(self, atom, leaf.env, by_entry=True, of=leaf.kind, within=leaf.label)
        if leaf.kind == "observed":
            seen = self.is_observed(atom.targets[0].name, len(self.shape(atom)) - len(lead))
            a, b = self.builder.align(seen, score)
            score = self.builder.binary("mul", a, b)
        total = self.builder.sum_to_scalar(score, lead) if lead else score
        return self.builder.name(total, f"log_{leaf.kind}_{atom.targets[0]}", materialize=True)

    def log_density_of_entries(self, atom: FactorInstance, env: Env) -> Value:
        """log of a factor of a family at each entry of its variable."""
        return log_density_of_family(self, atom, env, by_entry=True)

    def draw(self, atom: FactorInstance, env: Env, request: DrawRequest) -> Value:
        """A draw from a factor, with the axes of its parameters and those of the request."""
        draw = self._handler(atom).draw
        if draw is None:
            raise InternalError(f"{atom.label} cannot be drawn")
        return draw(self, atom, env, request)

    def _handler(self, atom: FactorInstance) -> Handler:
        found = HANDLERS.get(type(atom.factor.definition))
        if found is None:
            raise InternalError(f"{atom.label} has no place in a plan")
        return found

    # --- closed forms ---

    def closed(self, leaf: ClosedLeaf) -> Value:
        """A divergence, entropy or expected log-density in closed form."""
        bindings = {symbol: self._used(use) for symbol, use in leaf.parameters}
        lead = self.independent_shape(leaf.atom) if leaf.shape is None else leaf.shape
        with self.builder.section(f"{leaf.label}, closed form"):
            formula = FormulaLowering(self.builder, bindings, self.width(leaf.atom))
            value = self._reduce_closed(formula.lower(leaf.formula), lead)
        name = {"KL": "kl", "H": "entropy", "CE": "expected"}[leaf.kind]
        return self.builder.name(value, name, f"{name}_{leaf.atom.targets[0]}", materialize=True)

    def _used(self, use: ParameterUse | ExprUse) -> Value:
        """The value of a symbol of a closed form."""
        if isinstance(use, ParameterUse):
            value = self.parameters(use.atom, use.env)[use.name]
            return self.builder.unary("detach", value) if use.detached else value
        return self.expressions(use.env, dict(use.mapping), use.bindings).lower(use.expr)

    def _reduce_closed(self, value: Value, lead: tuple[int, ...]) -> Value:
        return self.builder.sum_to_scalar(value, lead) if lead else value
