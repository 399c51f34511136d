"""What variables stand for while a method is planned: arguments, draws, deterministic values; and how factors are
scored, drawn and averaged there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod

from sympy import Add, Expr, Symbol

from pgcompile.model.algebra import order_atoms
from pgcompile.model.elimination import eliminate, evidence_of, hidden_states, states
from pgcompile.model.literals import evaluate, flatten
from pgcompile.model.mixtures import component_atoms, weights_of
from pgcompile.model.values import (
    Atom,
    Data,
    Deterministic,
    Distribution,
    Evidence,
    Extern,
    FamilyUse,
    FlowUse,
    LogDensityUse,
    Mixture,
    Model,
    ModuleSegment,
    Net,
    Pushforward,
    is_pathwise,
)
from pgcompile.model.variable import Variable
from pgcompile.objective.moments import ExprUse
from pgcompile.objective.rewrite import ClosedLeaf, ParameterUse, parameter_symbols
from pgcompile.objective.terms import OBSERVED, Aggregate, Discrepancy, Draw, Env, point
from pgcompile.plan.axes import AxisPool, bound
from pgcompile.plan.builder import Builder, in_order, merge_axes
from pgcompile.plan.expressions import ExpressionLowering
from pgcompile.plan.formulas import FormulaLowering
from pgcompile.plan.names import factor_attribute
from pgcompile.plan.origin import Origin
from pgcompile.plan.tensors import Tensors
from pgcompile.plan.values import Axis, Value
from pgcompile.syntax import tree
from pgcompile.vocabulary.family import Parameter
from pgcompile.vocabulary.symbols import DIM, Facts, X


@dataclass
class Environment:
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
    tensors: Tensors
    local: dict[str, Value] = field(default_factory=dict)
    axes: AxisPool = field(default_factory=AxisPool)
    _variables: dict[tuple[Variable, Draw | Env], Value] = field(default_factory=dict)
    _parameters: dict[tuple[Atom, Env], dict[str, Value]] = field(default_factory=dict)
    _facts: dict[Atom, tuple[Facts, tuple[tuple[Symbol, ParameterUse], ...]]] = field(default_factory=dict)

    _pushed: dict[tuple[int, int | None, str, bool], tuple[Value, Value]] = field(default_factory=dict)
    """What a value drawn through a flow was made from, and the log-determinant found on the way."""

    _patterns: dict[tuple[str, tuple[tuple[str, Expr], ...]], Facts] = field(default_factory=dict)
    _constants: dict[Expr, tuple[Expr, float]] = field(default_factory=dict)

    def copy(self) -> "Environment":
        """The same method, with variables of its own."""
        return Environment(self.builder, self.model, self.tensors, self.local, self.axes)

    # --- variables ---

    def variable(self, variable: Variable, env: Env) -> Value:
        """The value of a variable."""
        name = variable.name
        if variable.is_named and name in self.local:
            return self.local[name]
        draw = env.get(variable)
        if draw is not None:
            if (variable, draw) not in self._variables:
                self._variables[variable, draw] = self._drawn(draw, variable)
            return self._variables[variable, draw]
        factor = self.model.deterministic.get(name) if variable.is_named else None
        if factor is not None:
            if (variable, env) not in self._variables:
                assert isinstance(factor.definition, Deterministic)
                with self.builder.section(f"{name} = {self._text(factor.definition.expr)}", Origin(factor.span, name)):
                    value = self._expressions(env, {}, factor.definition.bindings).lower(factor.definition.expr)
                self._variables[variable, env] = self.builder.name(value, name)
            return self._variables[variable, env]
        return self.argument(name)

    def argument(self, name: str) -> Value:
        """A variable of the program as an argument of the method."""
        return self.builder.argument(name, self.model.spaces[name].shape)

    def override(self, variable: Variable, draw: Draw, value: Value) -> None:
        """Let a drawn variable stand for another value."""
        self._variables[variable, draw] = value

    def bind(self, variable: Variable, atom: Atom, env: Env, value: Value) -> Env:
        """An environment in which a variable of a factor stands for a value."""
        draw = point(atom, len(self._variables))
        self.override(variable, draw, value)
        return env.extended((variable,), draw)

    def _text(self, expr: tree.Expr) -> str:
        from pgcompile.syntax.format import format_expr

        return format_expr(expr)

    def _expressions(
        self, env: Env, mapping: Mapping[str, Variable], bindings: tuple[tree.Binding, ...]
    ) -> ExpressionLowering:
        def lookup(name: str) -> Value:
            return self.variable(mapping.get(name) or Variable(name), env)

        return ExpressionLowering(self.builder, self.model, self.tensors, lookup, bindings)

    def formula(self, definition: Deterministic) -> Value:
        """A deterministic variable's formula over observed and local variables."""
        return self._expressions(Env(), {}, definition.bindings).lower(definition.expr)

    def plain(self, expr: tree.Expr, env: Env) -> Value:
        """A formula of variables and nets."""
        return self._expressions(env, {}, ()).lower(expr)

    # --- factors ---

    def parameters(self, atom: Atom, env: Env) -> dict[str, Value]:
        """The parameters of a factor, named after it."""
        key = (atom, env)
        if key in self._parameters:
            return self._parameters[key]
        definition = atom.factor.definition
        assert isinstance(definition, FamilyUse)
        lowering = self._expressions(env, atom.mapping, definition.bindings)
        target = atom.targets[0]
        found: dict[str, Value] = {}
        with self.builder.section(atom.label, _origin(atom)):
            for name, expr in definition.parameters:
                value = self._parameter(
                    lowering, definition, definition.family.parameter(name), expr, atom.factor.targets[0]
                )
                alone = value.op in ("module", "item", "cell", "unflatten_batch")
                found[name] = self.builder.name(
                    value, name, f"{name}_{target}", f"{atom.factor.name}_{name}_{target}", keep=alone
                )
        self._parameters[key] = found
        return found

    def _parameter(
        self, lowering: ExpressionLowering, use: FamilyUse, parameter: Parameter, expr: tree.Expr, target: str
    ) -> Value:
        literal = evaluate(expr, self.model.constants)
        if literal is None or (isinstance(literal, Fraction) and parameter.rank == 0):
            value = lowering.lower(expr)
            simplex = parameter.constraint == "simplex" and use.types[parameter.name].space.kind not in (
                "simplex",
                "one_hot",
            )
            return self._normalised(value) if simplex else value
        shape = self.model.spaces[target].shape
        numbers = [float(x) for x in flatten(literal)]
        wide = self._table_shape(use, parameter, shape, self.model.spaces[target].categories)
        own = wide[len(wide) - max(parameter.rank, len(use.types[parameter.name].shape)) :]
        if isinstance(literal, Fraction):
            numbers = numbers * prod(own)
        if parameter.constraint == "simplex":
            width = own[-1]
            rows = [numbers[i : i + width] for i in range(0, len(numbers), width)]
            numbers = [x / sum(row) for row in rows for x in row]
        # Every element of the variable has the same table: written out, so that dimensions need no lining up.
        table = tuple(numbers * (prod(wide) // prod(own)))
        return self.builder.attribute(self.tensors.constant(table, wide), wide)

    def _table_shape(
        self, use: FamilyUse, parameter: Parameter, shape: tuple[int, ...], width: int | None
    ) -> tuple[int, ...]:
        """The shape of a literal parameter that every element of a variable has for itself."""
        own = use.types[parameter.name].shape
        if use.family.index_valued and parameter.rank == 1:
            return (*shape, own[-1] if own else width or 1)
        if parameter.rank == 2:
            return (*shape, shape[-1])
        return shape

    def _normalised(self, probs: Value) -> Value:
        """Probabilities that are not known to sum to one are divided by their sum, as torch does."""
        total = self.builder.make("sum_keep", (probs,), shape=(*probs.shape[:-1], 1))
        return self.builder.binary("div", probs, total)

    def facts(self, atom: Atom) -> tuple[Facts, tuple[tuple[Symbol, ParameterUse], ...]]:
        """A factor's formulas over symbols of its parameters."""
        if atom not in self._facts:
            definition = atom.factor.definition
            assert isinstance(definition, FamilyUse)
            values, uses = parameter_symbols(atom, Env(), self.model, "f")
            # Factors of one family with the same literals share their formulas.
            pattern = (definition.family.name, tuple(values.items()))
            if pattern not in self._patterns:
                self._patterns[pattern] = definition.family.facts(values)
            self._facts[atom] = (self._patterns[pattern], uses)
        return self._facts[atom]

    def _bindings(self, atom: Atom, env: Env) -> dict[Symbol, Value]:
        parameters = self.parameters(atom, env)
        return {symbol: parameters[use.name] for symbol, use in self.facts(atom)[1]}

    def _shape(self, atom: Atom) -> tuple[int, ...]:
        return self.model.spaces[atom.factor.targets[0]].shape

    def _lead(self, atom: Atom) -> tuple[int, ...]:
        """Event dimensions that a formula does not sum itself: those of independent elements."""
        definition = atom.factor.definition
        assert isinstance(definition, FamilyUse)
        shape = self._shape(atom)
        return shape[: len(shape) - definition.family.event_rank]

    def _dim(self, atom: Atom) -> int | None:
        definition = atom.factor.definition
        assert isinstance(definition, FamilyUse)
        if definition.family.index_valued:
            return self.model.spaces[atom.factor.targets[0]].categories
        shape = self._shape(atom)
        return shape[-1] if shape else None

    # --- log-densities ---

    def log_density(self, atom: Atom, env: Env, *, detached: bool = False, within: str | None = None) -> Value:
        """log of a factor, summed over its event shape.

        Args:
            atom: the factor.
            env: the values of its variables.
            detached: whether gradients are kept from its parameters.
            within: the formula that it is a part of, if it has no name of its own.
        """
        if isinstance(atom.factor.definition, Extern):
            return self._extern_log_density(atom, env)
        if isinstance(atom.factor.definition, Evidence):
            return self._evidence(atom.factor.definition, atom, env)
        if isinstance(atom.factor.definition, Pushforward):
            return self._pushforward(atom.factor.definition, atom, env)
        if isinstance(atom.factor.definition, Mixture):
            return self._mixture(atom.factor.definition, atom, env)
        if isinstance(atom.factor.definition, FlowUse):
            return self._flow_log_density(atom.factor.definition, atom, env)
        if isinstance(atom.factor.definition, LogDensityUse):
            definition = atom.factor.definition
            with self.builder.section(f"log {atom.label}, up to a constant", _origin(atom)):
                value = self._expressions(env, atom.mapping, definition.bindings).lower(definition.expr)
            return self.builder.name(value, _density_name(atom), keep=True)
        facts, _ = self.facts(atom)
        bindings = self._bindings(atom, env)
        if detached:
            bindings = {
                symbol: value if value.constant is not None else self.builder.unary("detach", value)
                for symbol, value in bindings.items()
            }
        x = self.variable(atom.targets[0], env)
        with self.builder.section(within or f"log {atom.label}", _origin(atom)):
            formula = FormulaLowering(self.builder, {**bindings, X: x}, self._dim(atom))
            total = self._summed(formula, facts.log_density, self._lead(atom))
            if x.batched and not total.batched:
                total = self.builder.expand_full(self.builder.tensor(total), (), x.axes, None)
        if within is not None:
            return total
        return self.builder.name(total, _density_name(atom), keep=True)

    def _summed(self, formula: FormulaLowering, expr: Expr, lead: tuple[int, ...]) -> Value:
        """A density's formula summed over independent elements; its constant is counted once, outside the sum."""
        build = self.builder
        if formula.dim is not None:
            expr = expr.subs(DIM, formula.dim)
        if expr not in self._constants:
            constant = Add(*(term for term in Add.make_args(expr) if term.is_number))
            self._constants[expr] = (expr - constant, float(constant.evalf(25)))
        rest, number = self._constants[expr]
        value = formula.lower(rest)
        total = self._reduce(value, lead)
        number *= prod(lead)
        if number == 0:
            return total
        return build.binary("add" if number > 0 else "sub", total, build.constant(abs(number)))

    def _reduce(self, value: Value, lead: tuple[int, ...]) -> Value:
        """Sum over independent elements; a sign or a factor is taken out of the sum."""
        build = self.builder
        if not lead:
            return value
        if value.op == "neg":
            return build.unary("neg", self._reduce(value.args[0], lead))
        if value.op == "mul" and value.args[0].constant is not None:
            return build.binary("mul", value.args[0], self._reduce(value.args[1], lead))
        return build.sum_to_scalar(value, lead)

    def _extern_log_density(self, atom: Atom, env: Env) -> Value:
        parents = [self.variable(p, env) for p in atom.parents]
        x = self.variable(atom.targets[0], env)
        attribute = self.tensors.extern(factor_attribute(atom.factor))
        with self.builder.section(f"log {atom.label}", _origin(atom)):
            value = self.builder.make("extern_log_prob", (x, *parents), (attribute, x.rank), shape=())
        return self.builder.name(value, _density_name(atom), keep=True)

    def _pushforward(self, definition: Pushforward, atom: Atom, env: Env) -> Value:
        """log of the density of a deterministic variable, by a change of variables."""
        build, x = self.builder, definition.base.targets[0]
        names = {**atom.mapping, definition.variable: x}
        inner = env
        if env.get(x) is None:
            with build.section(f"log {atom.label}: a change of variables", _origin(atom)):
                value = self._expressions(env, atom.mapping, ()).lower(definition.inverse)
            inner = self.bind(x, definition.base, env, build.name(value, x.name, keep=True))
        density = self.log_density(definition.base, inner)
        with build.section(f"log {atom.label}: a change of variables", _origin(atom)):
            slope = self._expressions(env, names, ()).lower(definition.log_slope)
            total = build.binary("add", density, slope)
        return build.name(total, _density_name(atom), keep=True)

    # --- flows ---

    def flow_context(self, definition: FlowUse, atom: Atom, env: Env) -> Value | None:
        """What a flow is conditioned on, as one vector."""
        lowering = self._expressions(env, atom.mapping, definition.bindings)
        parts = []
        for argument in definition.arguments:
            value = self.builder.tensor(lowering.lower(argument))
            if value.rank == 0:
                value = self.builder.make("unsqueeze", (value,), (1,), shape=(1,))
            parts.append(value)
        return self.builder.name(lowering.cat(parts), "context") if parts else None

    def _through(self, definition: FlowUse, x: Value, context: Value | None, *, to_base: bool) -> tuple[Value, Value]:
        """What a flow makes of a value, to the base or back, and the log-determinant."""
        build = self.builder
        attribute = self.tensors.flow(definition.flow)
        sized = self.tensors.flows[attribute]
        backwards = to_base == definition.inverted
        args = (x,) if context is None else build.align_axes(x, context)
        whole = build.make("flow", args, (attribute, backwards, 2), shape=())
        shape = sized.shape if backwards else sized.out_shape
        return (
            build.make("item", (whole,), (0,), shape=shape),
            build.make("item", (whole,), (1,), shape=()),
        )

    def _pushed_key(self, definition: FlowUse, x: Value, context: Value | None) -> tuple[int, int | None, str, bool]:
        return (x.number, None if context is None else context.number, definition.flow, definition.inverted)

    def _flow_log_density(self, definition: FlowUse, atom: Atom, env: Env) -> Value:
        """log of the base's density where the flow takes a value, and the log-determinant.

        A value that was drawn through the same flow is not taken back: what it was made from is known.
        """
        build, target = self.builder, atom.targets[0]
        x = self.variable(target, env)
        with build.section(f"log {atom.label}", _origin(atom)):
            context = self.flow_context(definition, atom, env)
            known = self._pushed.get(self._pushed_key(definition, x, context))
            if known is not None:
                base, ladj = known[0], build.unary("neg", known[1])
            else:
                base, ladj = self._through(definition, x, context, to_base=True)
                own = f"{atom.factor.name}_{target}"
                base = build.name(base, "u", f"u_{target}", f"u_{own}", keep=True)
                ladj = build.name(ladj, "ladj", f"ladj_{target}", f"ladj_{own}", keep=True)
        made = definition.base_atom(atom)
        inner = self.bind(target.as_base(), made, env, base)
        density = self.log_density(made, inner, within=f"log {atom.label}")
        with build.section(f"log {atom.label}", _origin(atom)):
            total = build.binary("add", density, ladj)
        return build.name(total, _density_name(atom), keep=True)

    def _flow_draw(
        self, definition: FlowUse, atom: Atom, env: Env, axes: tuple[Axis, ...], comment: str, identity: object
    ) -> Value:
        """A draw of the base taken back through the flow."""
        build, target = self.builder, atom.targets[0]
        with build.section(atom.label, _origin(atom)):
            context = self.flow_context(definition, atom, env)
        with build.section(comment, _origin(atom)):
            wide = axes if context is None else tuple(dict.fromkeys((*axes, *context.axes)))
            base = self.draw(definition.base_atom(atom), env, wide, comment, identity, hint="u")
            x, ladj = self._through(definition, base, context, to_base=False)
            x = build.name(x, str(target), keep=True)
            ladj = build.name(ladj, "ladj", f"ladj_{target}", f"ladj_{atom.factor.name}_{target}", keep=True)
        self._pushed[self._pushed_key(definition, x, context)] = (base, ladj)
        return x

    def _mixture(self, definition: Mixture, atom: Atom, env: Env) -> Value:
        """log of a weighted sum of densities."""
        build = self.builder
        densities = [self.log_density(part, env) for part in component_atoms(atom)]
        with build.section(f"log {atom.label}: a log-sum-exp of its components", _origin(atom)):
            terms = []
            for weight, density in zip(weights_of(definition, self.model), densities, strict=True):
                value = self._expressions(env, atom.mapping, ()).lower(weight)
                terms.append(build.binary("add", density, build.unary("log", value)))
            total = terms[0]
            for term in terms[1:]:
                total = build.binary("logaddexp", total, term)
        return build.name(total, _density_name(atom), keep=True)

    def weights(self, definition: Mixture) -> list[Value]:
        """The weights of a mixture over observed variables."""
        return [self.plain(weight, OBSERVED) for weight in weights_of(definition, self.model)]

    def _evidence(self, definition: Evidence, atom: Atom, env: Env) -> Value:
        """log of `p(c|z) p(z) / p(z|c)`, at one z."""
        build, z = self.builder, definition.variable
        names = {Variable(n): atom.variable(n) for n in (*atom.factor.targets, *atom.factor.parents)}
        prior, likelihood, posterior = (
            part.renamed(names) for part in (definition.prior, definition.likelihood, definition.posterior)
        )
        with build.section(f"log {atom.label}: Bayes' rule at the mean of {posterior.label}"):
            at = self._expressions(env, atom.mapping, definition.bindings).lower(definition.at)
            inner = self.bind(z, prior, env, build.name(at, f"{z}_mean", keep=True))
        parts = [self.log_density(part, inner) for part in (likelihood, prior, posterior)]
        with build.section(f"log {atom.label}", _origin(atom)):
            total = build.binary("sub", build.binary("add", parts[0], parts[1]), parts[2])
        return build.name(total, _density_name(atom), keep=True)

    def closed(self, leaf: ClosedLeaf) -> Value:
        """A divergence, entropy or expected log-density in closed form."""
        bindings = {symbol: self._used(use) for symbol, use in leaf.parameters}
        lead = self._lead(leaf.atom) if leaf.shape is None else leaf.shape
        with self.builder.section(f"{leaf.label}, closed form"):
            formula = FormulaLowering(self.builder, bindings, self._dim(leaf.atom))
            value = self._reduce_closed(formula.lower(leaf.formula), lead)
        name = {"KL": "kl", "H": "entropy", "CE": "expected"}[leaf.kind]
        return self.builder.name(value, name, f"{name}_{leaf.atom.targets[0]}", keep=True)

    def _used(self, use: ParameterUse | ExprUse) -> Value:
        """What a symbol of a closed form stands for."""
        if isinstance(use, ParameterUse):
            return self.parameters(use.atom, use.env)[use.name]
        return self._expressions(use.env, dict(use.mapping), use.bindings).lower(use.expr)

    def _reduce_closed(self, value: Value, lead: tuple[int, ...]) -> Value:
        return self.builder.sum_to_scalar(value, lead) if lead else value

    def log_of(self, distribution: Distribution, env: Env) -> Value:
        """log of a product, of a marginal of finite variables, or of a posterior."""
        if distribution.evidence:
            joint = self.log_of(Distribution(distribution.atoms, distribution.hidden), env)
            return self.builder.binary("sub", joint, self.log_of(evidence_of(distribution), env))
        if distribution.hidden:
            return self.log_marginal(distribution, env)
        values = [self.log_density(atom, env) for atom in order_atoms(distribution)]
        total = values[0]
        for value in values[1:]:
            total = self.builder.binary("add", total, value)
        return total

    def log_marginal(self, distribution: Distribution, env: Env) -> Value:
        """log of a product with finite variables summed out, one at a time (Zhang & Poole 1994), in log space."""
        makers = {t: atom for atom in distribution.atoms for t in atom.targets}
        counts = hidden_states(distribution, self.model) or {}
        taken = self.axes.around(bound(env, (*distribution.targets, *distribution.parents)))
        axes: dict[Variable, Axis] = {}
        draws: dict[Variable, Draw] = {}
        for position, variable in enumerate(distribution.hidden):
            draws[variable] = Draw(
                Distribution((makers[variable],)), 1, OBSERVED, enumerated=(variable,), repetition=(distribution, env)
            )
            around = {*taken, *axes.values()}
            axes[variable] = self.axes.summed(draws[variable], variable, counts[variable], position, around)
        tables: list[tuple[set[Variable], Value]] = []
        for atom in order_atoms(distribution):
            inside = {v for v in (*atom.targets, *atom.parents) if v in counts}
            inner = env
            for variable in sorted(inside):  # an environment of all of them would be as large as the model
                inner = inner.extended((variable,), draws[variable])
            tables.append((inside, self.log_density(atom, inner)))
        build = self.builder
        for variable in eliminate(distribution.atoms, counts).order:
            group = [t for t in tables if variable in t[0]]
            tables = [t for t in tables if variable not in t[0]]
            with build.section(f"log {distribution.label}: the sum over {variable}"):
                total = self._added([table for _, table in group])
                at = total.axes.index(axes[variable])
                rest = tuple(a for a in total.axes if a != axes[variable])
                total = build.make("logsumexp_axis", (total,), (at,), shape=(), axes=rest)
            total = build.name(total, f"log_sum_{variable}", keep=True)
            tables.append((set().union(*(names for names, _ in group)) - {variable}, total))
        total = tables[0][1]
        for _, table in tables[1:]:
            total = build.binary("add", total, table)
        return total

    def _added(self, values: list[Value]) -> Value:
        """A sum; a table that is the same for all data is not repeated for each where another term has the batch."""
        repeated = [v for v in values if _is_repeated(v)]
        if repeated and len(repeated) < len(values) and any(v.batched for v in values if v not in repeated):
            values = [self._lifted(v) if v in repeated else v for v in values]
        values = sorted(values, key=lambda v: len(v.axes))  # small tables are added before they meet a large one
        total = values[0]
        for value in values[1:]:
            total = self.builder.binary("add", total, value)
        return total

    def _lifted(self, value: Value) -> Value:
        """A repeated table with ones in place of the batch."""
        if value.op == "move_to_axis":
            inner = self._lifted(value.args[0])
            return self.builder.make(
                "move_to_axis", (inner,), value.attributes, shape=value.shape, batched=value.batched, axes=value.axes
            )
        return self.builder.make("lift_table", value.args, shape=value.shape, batched=value.batched, axes=value.axes)

    def discrepancy(self, term: Discrepancy) -> Value:
        """How far the samples of two distributions are apart."""
        build = self.builder
        with build.section(term.label):
            sides = [[self.variable(v, env) for v in term.variables] for env in (term.left_env, term.right_env)]
            shapes = [self._target_shape(term, v) for v in term.variables]
            if term.kind == "GP":
                return build.name(self._penalty(term, sides[0][0], sides[1][0]), "penalty", keep=True)
            if term.kind == "W":
                return build.name(self._paired(*sides), "distance", keep=True)
            size = sum(prod(shape) for shape in shapes)
            points = [self._points(side, shapes, size) for side in sides]
            if term.kind == "SW":
                directions = (size, term.settings.projections)
                zero = self.tensors.like(build)
                template = build.make("expand", (zero,), ((), directions), shape=directions, batched=False, axes=())
                noise = build.make("randn_like", (template,), shape=template.shape, batched=False, fresh=term.label)
                value = build.make(
                    "special", (*points, noise), ("sliced_wasserstein",), shape=(), batched=False, axes=()
                )
            else:
                widths = term.settings.widths or (round(size**0.5, 6),)
                kernel = f"{term.settings.kernel}_mmd"
                value = build.make("special", tuple(points), (kernel, widths), shape=(), batched=False, axes=())
        return build.name(value, term.kind.lower(), keep=True)

    def _penalty(self, term: Discrepancy, first: Value, second: Value) -> Value:
        """(||grad d|| - 1)^2 at a point between two draws (Gulrajani et al. 2017)."""
        build = self.builder
        net = self.model.nets[term.settings.kernel]
        assert isinstance(net, Net) and net.segments is not None and isinstance(net.segments[0], ModuleSegment)
        module = self.tensors.module(net.segments[0])
        first, second = build.align_axes(first, second)
        one = build.make("select", (first,), (first.rank, *(0 for _ in first.shape)), shape=()) if first.rank else first
        along = build.make("rand_like", (one,), shape=(), fresh=term.label)
        between = build.make("special", (first, second, along), ("between", first.rank), shape=first.shape)
        build.name(between, "point")
        value = build.make("gradient_penalty", (between,), (module, first.rank), shape=())
        while value.axes:
            value = build.make("mean_axis", (value,), (0,), shape=(), axes=value.axes[1:])
        return value

    def _target_shape(self, term: Discrepancy, variable: Variable) -> tuple[int, ...]:
        atom = term.left.atom_of(variable) or term.right.atom_of(variable)
        return self.model.spaces[atom.name_of(variable) if atom is not None else variable.name].shape

    def _points(self, values: list[Value], shapes: list[tuple[int, ...]], size: int) -> Value:
        """Samples as rows, their variables side by side."""
        build = self.builder
        axes = merge_axes(tuple(values))
        rows = []
        for value, shape in zip(values, shapes, strict=True):
            whole = build.expand_full(value, shape, axes, None) if len(values) > 1 else value
            rows.append(build.make("as_rows", (whole,), (prod(shape),), shape=(prod(shape),), batched=True, axes=()))
        return rows[0] if len(rows) == 1 else build.make("cat", tuple(rows), shape=(size,), batched=True, axes=())

    def _paired(self, left: list[Value], right: list[Value]) -> Value:
        """The distance of each draw from one of the other side, averaged over the samples."""
        build = self.builder
        distances = []
        for a, b in zip(left, right, strict=True):
            difference = build.binary("sub", a, b)
            op = ("norm", (difference.rank,)) if difference.rank else ("abs", ())
            distances.append(build.make(op[0], (difference,), op[1], shape=()))
        value = distances[0]
        if len(distances) > 1:
            squares = [build.unary("square", d) for d in distances]
            total = squares[0]
            for square in squares[1:]:
                total = build.binary("add", total, square)
            value = build.unary("sqrt", total)
        while value.axes:
            value = build.make("mean_axis", (value,), (0,), shape=(), axes=value.axes[1:])
        return value

    def aggregate(self, term: Aggregate) -> Value:
        """`log q(z)` under the mean of q over the batch, less what it is compared with."""
        build = self.builder
        atom = term.atom
        facts, _ = self.facts(atom)
        z = self.variable(atom.targets[0], term.env)
        bindings = self._bindings(atom, term.draw.env)
        with build.section(term.label):
            axis = self.axes.pairs(term.draw)
            others = {symbol: self._over_batch(value, axis) for symbol, value in bindings.items()}
            every = FormulaLowering(build, {**others, X: z}, self._dim(atom)).lower(facts.log_density)
            every = build.name(every, "log_q_pairs", keep=True)
            joint = self._log_mean_of(build.sum_last(every), axis)
            joint = build.name(joint, "log_q_aggregate", keep=True)
            if term.kind == "MI":
                return build.name(
                    build.binary("sub", self.log_density(atom, term.env), joint), "information", keep=True
                )
            apart = build.sum_last(self._log_mean_of(every, axis))
            return build.name(build.binary("sub", joint, apart), "total_correlation", keep=True)

    def _over_batch(self, value: Value, axis: Axis) -> Value:
        """A parameter with the batch as an axis of its own, so that each draw meets the parameters of all data."""
        if not value.batched:
            return value
        source = self.builder.batch_source
        assert source is not None
        args = (value, source)
        return self.builder.make("over_batch", args, (value.rank,), shape=value.shape, axes=(axis,))

    def _log_mean_of(self, value: Value, axis: Axis) -> Value:
        at = value.axes.index(axis)
        rest = tuple(a for a in value.axes if a != axis)
        return self.builder.make("special", (value,), ("log_mean", at), shape=value.shape, axes=rest)

    # --- draws ---

    def _drawn(self, draw: Draw, variable: Variable) -> Value:
        atom = draw.atom_of(variable)
        if atom is None or isinstance(atom.factor.definition, Data):
            return self.argument(variable.name)
        if variable in draw.enumerated:
            return self._enumerated(draw, atom, variable)
        axes = (self.axes.samples(draw),) if draw.samples > 1 else ()
        comment = f"E_{{{draw.distribution.label}}}: "
        if variable in draw.relaxed:
            return self._relaxed_draw(draw, atom, axes, comment)
        pathwise = is_pathwise(atom)
        word = "pathwise sample" if pathwise and variable not in draw.scored else "sample"
        count = f"one {word}" if draw.samples == 1 else f"{draw.samples} {word}s"
        value = self.draw(atom, draw.inside, axes, f"{comment}{count} of {variable}", (draw, variable))
        if variable not in draw.scored or not pathwise:
            return value
        # The score function carries the gradient: the path through the draw would count it twice.
        return self.builder.name(self.builder.unary("detach", value), str(variable), keep=True)

    def _enumerated(self, draw: Draw, atom: Atom, variable: Variable) -> Value:
        """Every value of a finite variable, along an axis of its own."""
        space = self.model.spaces[atom.factor.targets[0]]
        count = states(atom, self.model)
        assert count is not None
        axis = self.axes.values(draw, variable, count)
        kind = space.kind if space.kind in ("one_hot", "category") else "boolean"
        with self.builder.section(f"E_{{{draw.distribution.label}}}: every value of {variable}"):
            value = self.builder.states(kind, space.categories or 0, space.shape, axis)
        return self.builder.name(value, str(variable), keep=True)

    def _relaxed_draw(self, draw: Draw, atom: Atom, axes: tuple[Axis, ...], comment: str) -> Value:
        """A differentiable stand-in for a discrete draw (Jang, Gu & Poole 2017; Maddison, Mnih & Teh 2017)."""
        build = self.builder
        definition = atom.factor.definition
        assert isinstance(definition, FamilyUse)
        parameters = self.parameters(atom, draw.inside)
        shape = self._shape(atom)
        one_hot = definition.family.name == "OneHotCategorical"
        with build.section(f"{comment}a relaxed sample of {atom.targets[0]}"):
            if "logits" in parameters:
                logits = build.tensor(parameters["logits"])
            else:
                logits = build.unary("log" if one_hot else "logit", build.tensor(parameters["probs"]))
            uniform = build.noise("rand", shape, (*axes, *logits.axes), [logits], ((draw, atom.targets[0]), "", ""))
            logits, uniform = build.align(logits, uniform)
            soft = build.make(
                "special",
                (logits, uniform),
                (f"relaxed_{'one_hot' if one_hot else 'bernoulli'}", draw.estimator.temperature),
                shape=uniform.shape,
            )
            if draw.estimator.relax == "straight_through":
                hard = build.make(
                    "special", (soft,), (f"hard_{'one_hot' if one_hot else 'bernoulli'}",), shape=soft.shape
                )
                soft = build.name(soft, "soft", keep=True)
                # The value of the hard draw, the gradient of the soft one (Bengio, Leonard & Courville 2013).
                soft = build.binary("add", soft, build.unary("detach", build.binary("sub", hard, soft)))
        return build.name(soft, str(atom.targets[0]), keep=True)

    def draw(
        self,
        atom: Atom,
        env: Env,
        axes: tuple[Axis, ...],
        comment: str,
        identity: object,
        hint: str | None = None,
    ) -> Value:
        """A draw from a factor, with the draw axes of its parameters and `axes`; `hint` is what to call it."""
        name = hint or str(atom.targets[0])
        if isinstance(atom.factor.definition, Extern):
            return self._extern_draw(atom, env, axes, comment, identity)
        if isinstance(atom.factor.definition, FlowUse):
            return self._flow_draw(atom.factor.definition, atom, env, axes, comment, identity)
        facts, _ = self.facts(atom)
        bindings = self._bindings(atom, env)
        with self.builder.section(comment, _origin(atom)):
            value = self._from_noise(facts.draw, atom, bindings, axes, identity)
            if value.constant is not None:
                value = self.builder.expand_full(value, self._shape(atom), axes, None)
        return self.builder.name(value, name, keep=True)

    def _extern_draw(self, atom: Atom, env: Env, axes: tuple[Axis, ...], comment: str, identity: object) -> Value:
        parents = [self.variable(p, env) for p in atom.parents]
        attribute = self.tensors.extern(factor_attribute(atom.factor))
        shape = self._shape(atom)
        sizes = tuple(axis.size for axis in axes)
        with self.builder.section(comment, _origin(atom)):
            value = self.builder.make(
                "extern_draw",
                tuple(parents),
                (attribute, sizes, self.builder.sampler and not parents),
                shape=shape,
                batched=self.builder.sampler or any(p.batched for p in parents),
                axes=(*axes, *merge_axes(tuple(parents))),
                fresh=(identity, "extern"),
            )
        return self.builder.name(value, str(atom.targets[0]), keep=True)

    def _from_noise(
        self, expr: Expr, atom: Atom, bindings: dict[Symbol, Value], axes: tuple[Axis, ...], identity: object
    ) -> Value:
        """A draw's formula; its noise has the dimensions of the variable."""
        build = self.builder
        everything = merge_axes(tuple(bindings.values()))
        wanted = in_order((*everything, *axes))
        shape = self._shape(atom)
        like = next((v for v in bindings.values() if build.is_full(v, shape, wanted)), None)

        def noise(head: str, args: tuple[Expr, ...], lowering: FormulaLowering) -> Value:
            fresh = (identity, head, str(args))
            kinds = {"StandardNormal": "randn", "StandardUniform": "rand", "StandardExponential": "exponential"}
            if head in kinds:
                return build.noise(kinds[head], shape, wanted, list(bindings.values()), fresh)
            # A second argument of a gamma only tells two draws apart.
            taken = args[:1] if head == "StandardGamma" else args
            values = [lowering.lower(arg) for arg in taken]
            return self._noise_of(head, values, shape, wanted, like, fresh)

        return FormulaLowering(build, bindings, self._dim(atom), noise).lower(expr)

    def _noise_of(
        self,
        head: str,
        values: list[Value],
        shape: tuple[int, ...],
        axes: tuple[Axis, ...],
        like: Value | None,
        fresh: object,
    ) -> Value:
        """Draws that take their parameters directly."""
        build = self.builder
        match head:
            case "CategoryDraw":
                # The value is an index: the logits have one dimension more. For a one-hot value they have the same.
                logits = values[0]
                lead = logits.shape[:-1]
                full = build.expand_full(logits, logits.shape, axes, None)
                return build.make("category", (full,), shape=lead, fresh=fresh)
            case "MultinomialDraw":
                count, logits = values
                full = build.expand_full(logits, shape, axes, like)
                return build.make("multinomial", (full,), (int(count.constant or 0),), shape=shape, fresh=fresh)
            case "ContinuousBernoulliDraw":
                logits, uniform = values
                logits, uniform = build.align(build.tensor(logits), uniform)
                return build.make("special", (logits, uniform), ("continuous_bernoulli_draw",), shape=uniform.shape)
            case _:
                ops = {
                    "StandardGamma": "standard_gamma",
                    "BernoulliDraw": "bernoulli",
                    "PoissonDraw": "poisson",
                    "BinomialDraw": "binomial",
                    "VonMisesDraw": "von_mises",
                }
                full_values = tuple(build.expand_full(v, shape, axes, like) for v in values)
                return build.make(ops[head], full_values, shape=shape, fresh=fresh)


def _density_name(atom: Atom) -> str:
    """`log_p_xz`, for the log-density of a factor."""
    return f"log_{atom.factor.name}_{''.join(map(str, atom.targets))}"


def _is_repeated(value: Value) -> bool:
    """Whether a value is a table repeated over the batch, perhaps with its entries along an axis."""
    return value.op == "spread_table" or (value.op == "move_to_axis" and _is_repeated(value.args[0]))


def _origin(atom: Atom) -> Origin:
    return Origin(atom.factor.span, atom.label)
