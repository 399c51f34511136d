"""Checks every factor: its parameters' shapes and supports against its family and its variable's space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import prod

from pgcompile.diagnostics import InternalError, Sink, Span
from pgcompile.model.literals import flatten
from pgcompile.model.values import (
    Constant,
    Data,
    Deterministic,
    Evidence,
    Extern,
    Factor,
    FamilyUse,
    FlowUse,
    LogDensityUse,
    Mixture,
    Model,
    Net,
    Pushforward,
    TensorValue,
    Typed,
    Undefined,
    base_name,
)
from pgcompile.syntax import tree
from pgcompile.syntax.tree import names_in
from pgcompile.typing.expressions import Scope, Typer, bind
from pgcompile.typing.flows import size_flow
from pgcompile.vocabulary.family import Family, Parameter
from pgcompile.vocabulary.layers import ACTIVATIONS, show
from pgcompile.vocabulary.spaces import KINDS, Space, contains


def check_factor(factor: Factor, typer: Typer) -> None:
    """Type the parameters of a factor, settle its variable's space, and report what does not fit."""
    if isinstance(factor.definition, Data | Undefined | Evidence | Pushforward):
        return
    variables_of(factor, typer)
    match factor.definition:
        case FamilyUse():
            _Check(factor, factor.definition, typer).run()
        case Deterministic():
            _deterministic(factor, factor.definition, typer)
        case Extern():
            for variable in factor.targets:
                space_of(variable, typer, factor)
        case Mixture(weights, components):
            for component in components:
                check_factor(component, typer)
            for weight in weights:
                _one_number(factor, weight, typer, scope_of(factor, typer, ()), "a weight")
        case FlowUse():
            _flow(factor, factor.definition, typer)
        case LogDensityUse(expr, bindings):
            scope = scope_of(factor, typer, bindings)
            scope = replace(scope, variables={**scope.variables, **_targets_of(factor, typer)})
            _one_number(factor, expr, typer, scope, "a log-density")
        case _:
            raise InternalError(f"no check for {type(factor.definition).__name__}")


def _targets_of(factor: Factor, typer: Typer) -> dict[str, Typed | None]:
    return {target: space_of(target, typer, factor) for target in factor.targets}


def _one_number(factor: Factor, expr: tree.Expr, typer: Typer, scope: Scope, what: str) -> None:
    """That an expression has one value for each data point."""
    found = typer.typed(expr, scope)
    if found is not None and found.shape:
        text = " ".join(typer.sink.source.snippet(expr.span).split())
        typer.sink.add(
            "PGC402",
            expr.span,
            f"`{text}` is {show(found.shape)}: {what} of {factor.label} is one number a data point",
            help=f"write sum({text})" if what == "a log-density" else f"write {text}[0]",
        )


def variables_of(factor: Factor, typer: Typer) -> dict[str, Typed | None]:
    """Types of a factor's parents."""
    return {parent: space_of(parent, typer, factor) for parent in factor.parents}


def space_of(variable: str, typer: Typer, factor: Factor) -> Typed | None:
    """Type of a variable: as declared, or as its family and parameters determine it."""
    known = typer.model.spaces.get(variable)
    if known is not None:
        return Typed(known)
    if variable in typer.model.untyped:
        return None
    typer.model.untyped.add(variable)
    maker = next(
        (f for f in typer.model.factors if variable in f.targets and isinstance(f.definition, FamilyUse)), None
    )
    maker = typer.model.deterministic.get(variable, maker)
    if maker is not None:
        check_factor(maker, typer)
        known = typer.model.spaces.get(variable)
    if known is not None:
        typer.model.untyped.discard(variable)
        return Typed(known)
    if not typer.sink.has_errors:
        span = typer.model.variables.get(variable, factor.span)
        typer.sink.add(
            "PGC307",
            span,
            f"the space of {variable} is not known",
            help=f"declare it: `{variable} : real[64]`",
        )
    return None


def scope_of(factor: Factor, typer: Typer, bindings: tuple[tree.Binding, ...]) -> Scope:
    """What names mean in the parameters of a factor."""
    label = factor.label if factor.name else factor.targets[0]
    return Scope(label, variables_of(factor, typer), bind(bindings, typer.sink), _forbidden(factor, typer.model))


def _forbidden(factor: Factor, model: Model) -> Callable[[str], str | None]:
    def reason(name: str) -> str | None:
        if name in factor.targets:
            return f"{name} is what {factor.label} generates; it cannot depend on itself"
        if name in model.variables:
            inside = factor.label[:-1] + (f",{name})" if factor.parents else f"|{name})")
            return f"write {inside} on the left side"
        return None

    return reason


def _circle(factor: Factor, model: Model) -> list[str] | None:
    """The variables through which a deterministic one is defined by itself."""
    paths = [[factor.targets[0]]]
    seen: set[str] = set()
    while paths:
        path = paths.pop()
        for parent in model.deterministic[path[-1]].parents:
            if parent == factor.targets[0]:
                return [*path, parent]
            if parent in model.deterministic and parent not in seen:
                seen.add(parent)
                paths.append([*path, parent])
    return None


def _deterministic(factor: Factor, definition: Deterministic, typer: Typer) -> None:
    variable = factor.targets[0]
    circle = _circle(factor, typer.model)
    if circle is not None:
        typer.sink.add(
            "PGC209",
            factor.span,
            f"{variable} is defined in terms of itself",
            reasons=[" -> ".join(circle)],
            help="define one of them without the others",
        )
        typer.model.untyped.add(variable)
        return
    value = typer.typed(definition.expr, scope_of(factor, typer, definition.bindings))
    if value is None:
        typer.model.untyped.add(variable)
        return
    declared = typer.model.spaces.get(variable)
    if declared is None:
        typer.model.spaces[variable] = value.space
    elif declared.shape != value.shape:
        typer.sink.add(
            "PGC301",
            definition.expr.span,
            f"{variable} is declared as `{declared}`, this is {show(value.shape)}",
            help=f"declare {variable} as `{replace(declared, shape=value.shape)}`, or change the formula",
        )


def _flow(factor: Factor, use: FlowUse, typer: Typer) -> None:
    """The context, the shapes and the base of a factor that is a flow."""
    if use.base_name in typer.model.spaces:
        return
    scope = scope_of(factor, typer, use.bindings)
    contexts = [typer.typed(argument, scope) for argument in use.arguments]
    target = space_of(factor.targets[0], typer, factor)
    if target is None or None in contexts:
        typer.model.untyped.add(use.base_name)
        return
    out = size_flow(factor, use, target.space, [c for c in contexts if c is not None], typer)
    definition = use.base.definition
    assert isinstance(definition, FamilyUse)
    if out is None:
        return
    family = definition.family
    if not family.pathwise or family.name == "Delta" or family.index_valued:
        typer.sink.add(
            "PGC316",
            use.base.span,
            f"{family.name} is no base of a flow: a base is drawn with a pathwise gradient",
            help=f"write {factor.label} = Flow(Normal(0, 1), ...)",
        )
        return
    kind = family.support if KINDS[family.support].event_rank == 0 else "real"
    typer.model.spaces[use.base_name] = Space(kind, out)
    check_factor(use.base, typer)


class _Check:
    """One factor against its family."""

    def __init__(self, factor: Factor, use: FamilyUse, typer: Typer) -> None:
        self.factor = factor
        self.use = use
        self.family: Family = use.family
        self.typer = typer
        self.sink: Sink = typer.sink

    def run(self) -> None:
        if self.use.types:
            return
        scope = scope_of(self.factor, self.typer, self.use.bindings)
        types: dict[str, Typed] = {}
        for name, expr in self.use.parameters:
            value = self.typer.typed(expr, scope)
            if value is not None:
                types[name] = value
        for name in scope.bindings:
            self.typer.infer(tree.Name(name, span=scope.bindings[name][0].span), scope)
        variable = self.factor.targets[0]
        if len(types) < len(self.use.parameters):
            self.typer.model.untyped.add(variable)
            return
        assert isinstance(self.use.types, dict)
        self.use.types.update(types)
        space = self.typer.model.spaces.get(variable) or self._infer_space(types)
        if space is None:
            return
        self.typer.model.spaces[variable] = space
        if not self._support(space):
            return
        for name, expr in self.use.parameters:
            self._parameter(self.family.parameter(name), expr, types[name], space)
        self._together(types)

    def _together(self, types: dict[str, Typed]) -> None:
        """Conditions on several parameters, and on matrices."""
        low, high = (types[n].literal if n in types else None for n in ("low", "high"))
        exprs = dict(self.use.parameters)
        if isinstance(low, Fraction) and isinstance(high, Fraction) and low >= high:
            self.sink.add(
                "PGC306",
                exprs["low"].span.to(exprs["high"].span),
                f"the interval of {self.factor.label} is empty: low is {float(low):g} and high is {float(high):g}",
                help="write the smaller number first",
            )
        for name in ("covariance_matrix", "precision_matrix"):
            literal = types[name].literal if name in types else None
            if literal is not None and not _is_positive_definite(literal):
                self.sink.add(
                    "PGC306",
                    exprs[name].span,
                    f"{name} of {self.factor.label} is not symmetric and positive definite",
                    help="its eigenvalues must be positive; `scale_tril = L` takes a lower triangle with diagonal > 0",
                )
        if "covariance_matrix" in types and types["covariance_matrix"].literal is None:
            self.sink.add(
                "N105",
                exprs["covariance_matrix"].span,
                f"the covariance of {self.factor.label} is decomposed at every call",
                help="a Cholesky factor is used as it is: `scale_tril = L`, with `L : lower_cholesky[D, D]`",
            )

    # --- the variable ---

    def _infer_space(self, types: dict[str, Typed]) -> Space | None:
        variable = self.factor.subject
        shape: tuple[int, ...] = ()
        categories = None
        for name, value in types.items():
            parameter = self.family.parameter(name)
            own = (
                value.shape
                if not parameter.rank
                else value.shape[: len(value.shape) - parameter.rank + self.family.event_rank]
            )
            if self.family.index_valued and parameter.rank == 1:
                own, categories = value.shape[:-1], value.shape[-1] if value.shape else None
            if len(own) > len(shape):
                shape = own
        support = "real" if self.family.support == "real" else self.family.support
        if (self.family.index_valued and categories is None) or len(shape) < KINDS[support].event_rank:
            self.sink.add(
                "PGC307",
                self.factor.span,
                f"the space of {variable} is not known",
                help=f"declare it, as in `{variable} : {support}[10]`",
            )
            return None
        return Space(support, shape, categories)

    def _support(self, space: Space) -> bool:
        """Whether values of the variable can be scored by the family."""
        variable, support = self.factor.subject, self.family.support
        span = self.typer.model.variables.get(self.factor.targets[0], self.factor.span)
        if self.family.event_rank > len(space.shape):
            self.sink.add(
                "PGC304",
                self.factor.span,
                f"{self.family.name} is a distribution over vectors, and {variable} is `{space}`",
                related=[(span, f"{variable} is declared here")],
                help=f"declare `{variable} : {support}[3]`",
            )
            return False
        if space.kind == "category" and not contains("nonnegative_integer", support):
            # An index is a number, and no value of a continuous scale.
            self._support_error(space, span)
            return False
        if contains(support, space.kind):
            self._wider(space)
            return True
        if space.kind == "unit_interval" and support == "boolean":
            self.sink.add(
                "W101",
                self.factor.span,
                f"{self.family.name} scores 0 and 1, and {variable} is declared `{space}`",
                reasons=["the cross-entropy of values between 0 and 1 is no normalised log-density"],
                help=f"use ContinuousBernoulli, or declare {variable} boolean",
            )
            return True
        if contains(space.kind, support):
            if not _scored(support, space.kind):
                self._support_error(space, span)
                return False
            narrower = replace(space, kind=support, categories=None)
            self.sink.add(
                "W103",
                self.factor.span,
                f"{variable} is declared `{space}`, and {self.family.name} "
                f"scores only values that are {KINDS[support].what}",
                help=f"declare `{variable} : {narrower}`",
            )
            return True
        self._support_error(space, span)
        return False

    def _wider(self, space: Space) -> None:
        """A family that draws values outside the variable's space."""
        variable, support = self.factor.subject, self.family.support
        if contains(space.kind, support) or self.family.index_valued or self.family.name == "Delta":
            return
        better = _FAMILIES_FOR.get(space.kind)
        self.sink.add(
            "W112",
            self.factor.span,
            f"{self.family.name} draws values that need not be {KINDS[space.kind].what}, and {variable} is `{space}`",
            related=[
                (
                    self.typer.model.variables.get(self.factor.targets[0], self.factor.span),
                    f"{variable} is declared here",
                )
            ],
            help=f"use {better}, or declare `{variable} : {replace(space, kind=support, categories=None)}`"
            if better
            else f"declare `{variable} : {replace(space, kind=support, categories=None)}`",
        )

    def _support_error(self, space: Space, span: Span) -> None:
        variable = self.factor.subject
        better = _FAMILIES_FOR.get(space.kind)
        self.sink.add(
            "PGC304",
            self.factor.span,
            f"{self.family.name} generates values that are "
            f"{KINDS[self.family.support].what}, and {variable} is `{space}`",
            related=[(span, f"{variable} is declared here")],
            help=(f"use {better} for {variable}, or declare" if better else "declare")
            + f" `{variable} : {self._declared(space)}`",
        )

    def _declared(self, space: Space) -> Space:
        """The variable's space as the family would have it."""
        if self.family.index_valued:
            wide = space.kind in ("one_hot", "simplex")
            categories = space.shape[-1] if wide and space.shape else 2
            return Space(self.family.support, space.shape[:-1] if wide else space.shape, categories)
        return replace(space, kind=self.family.support, categories=None)

    # --- parameters ---

    def _parameter(self, parameter: Parameter, expr: tree.Expr, value: Typed, space: Space) -> None:
        if parameter.literal and value.literal is None:
            self.sink.add(
                "PGC305",
                expr.span,
                f"{parameter.name} of {self.family.name} is a number known at compile time",
                help="write a number",
            )
            return
        if not self._shape(parameter, expr, value, space):
            return
        if parameter.shared and self.family.event_rank and names_in(expr) & set(self.factor.parents):
            self.sink.add(
                "PGC305",
                expr.span,
                f"{parameter.name} of {self.factor.label} is one number for all examples, and this depends on the data",
                help=f"make {parameter.name} a number, a `param` or an `input`",
            )
            return
        if not value.differentiable:
            self._step(parameter, expr)
        if value.literal is None:
            self._squashed(parameter, expr, value)
        if value.literal is not None:
            self._literal(parameter, expr, value)
        elif not contains(parameter.constraint, value.space.kind):
            self._constraint(parameter, expr, value)

    def _step(self, parameter: Parameter, expr: tree.Expr) -> None:
        """A step function of a variable that another distribution samples: no gradient reaches that distribution."""
        mine = base_name(self.factor.name)
        for parent in self.factor.parents:
            makers = [f for f in self.typer.model.factors if parent in f.targets and base_name(f.name) != mine]
            if makers:
                self.sink.add(
                    "W111",
                    expr.span,
                    f"no gradient passes from {self.factor.label} through {parameter.name} to {makers[0].label}",
                    reasons=["round, floor and sign have the slope zero everywhere"],
                    help="use a smooth function, or leave the step out",
                )
                return

    def _shape(self, parameter: Parameter, expr: tree.Expr, value: Typed, space: Space) -> bool:
        wanted = self._expected(parameter, value, space)
        filled = value.literal is not None and parameter.rank == 1 and parameter.constraint in ("real", "positive")
        fits = value.shape == wanted or (not value.shape and (parameter.rank == 0 or filled))
        if fits or (parameter.rank and value.literal is not None and value.shape == wanted[-parameter.rank :]):
            return True
        variable = self.factor.subject
        blamed = self._tensor_in(expr, value.shape)
        related = [
            (self.typer.model.variables.get(self.factor.targets[0], self.factor.span), f"{variable} is `{space}`")
        ]
        if blamed is not None:
            related.append((blamed.span, f"{blamed.name} is declared `{blamed.space}`"))
        self.sink.add(
            "PGC305",
            expr.span,
            f"{parameter.name} of {self.factor.label} is {show(value.shape)}, and {variable} needs {show(wanted)}",
            related=related,
            help=self._shape_help(parameter.name, expr, wanted, blamed),
        )
        return False

    def _tensor_in(self, expr: tree.Expr, shape: tuple[int, ...]) -> TensorValue | None:
        """The param or buffer in an expression that gives it its shape, if one does."""
        bound = {name.id: b.value for b in self.use.bindings for name in b.names}
        names = names_in(expr) | {n for name in names_in(expr) if name in bound for n in names_in(bound[name])}
        tensors = [self.typer.model.tensors[n] for n in sorted(names) if n in self.typer.model.tensors]
        return next((t for t in tensors if t.space.shape == shape), None)

    def _shape_help(self, parameter: str, expr: tree.Expr, wanted: tuple[int, ...], blamed: TensorValue | None) -> str:
        text = " ".join(self.sink.source.snippet(expr.span).split())
        net = self._net_of(expr)
        if blamed is not None:
            return f"declare `{blamed.name} : {replace(blamed.space, shape=wanted)}`"
        shape = self.use.types[parameter].shape if parameter in self.use.types else ()
        if net is not None and len(shape) > max(len(wanted), 1):
            return f"Linear acts on the last dimension only: start {net} with Flatten"
        for binding in self.use.bindings:
            cut = [n.id for n in binding.names]
            if len(cut) > 1 and names_in(expr) & {*cut} and isinstance(binding.value, tree.Call) and wanted:
                whole = len(cut) * prod(wanted)
                return f"end {binding.value.name} with Linear({whole}): it is cut into {len(cut)} parts"
        if net is not None and wanted:
            size = prod(wanted)
            return f"end {net} with Linear({size})" + (f" >> Unflatten({wanted})" if len(wanted) > 1 else "")
        if net is not None:
            return f"end {net} with Linear(1) and write `{text}[0]`"
        return f"give `{text}` the shape {show(wanted)}" if wanted else f"make `{text}` a scalar"

    def _expected(self, parameter: Parameter, value: Typed, space: Space) -> tuple[int, ...]:
        if parameter.shared:
            return ()
        if self.family.index_valued and parameter.rank == 1:
            return (*space.shape, space.categories or (value.shape[-1] if value.shape else 0))
        if parameter.rank == 2:
            return (*space.shape, space.shape[-1])
        return space.shape

    def _literal(self, parameter: Parameter, expr: tree.Expr, value: Typed) -> None:
        assert value.literal is not None
        numbers = flatten(value.literal)
        bad = next((n for n in numbers if not _in_domain(parameter.constraint, n)), None)
        if bad is None and parameter.constraint == "simplex" and sum(numbers) <= 0:
            bad = sum(numbers, Fraction(0))
        if bad is None:
            if parameter.constraint == "simplex" and isinstance(value.literal, tuple):
                self._sums_to_one(parameter, expr, value.literal)
            return
        self.sink.add(
            "PGC306",
            expr.span,
            f"{parameter.name} of {self.factor.label} is {float(bad):g}, "
            f"and it must be {KINDS[parameter.constraint].what}",
            help=_domain_help(parameter),
        )

    def _sums_to_one(self, parameter: Parameter, expr: tree.Expr, table: tuple[Constant, ...]) -> None:
        """Literal probabilities that are divided by their sum, which is seldom what was meant."""
        while isinstance(table[0], tuple):
            table = table[0]
        total = sum(flatten(table), Fraction(0))
        if abs(total - 1) < Fraction(1, 1000) or len(set(table)) == 1:  # equal weights need no explanation
            return
        self.sink.add(
            "W121",
            expr.span,
            f"{parameter.name} of {self.factor.label} sum to {float(total):g}, not to 1",
            reasons=["they are divided by their sum"],
            help="write probabilities that sum to 1",
        )

    def _squashed(self, parameter: Parameter, expr: tree.Expr, value: Typed) -> None:
        """Logits that are probabilities already: sigmoid(p) lies between 0.5 and 0.73."""
        if parameter.name != "logits" or value.space.kind not in ("unit_interval", "simplex"):
            return
        text = " ".join(self.sink.source.snippet(expr.span).split())
        net = self._net_of(expr)
        self.sink.add(
            "W122",
            expr.span,
            f"logits of {self.factor.label} are probabilities: `{text}` lies between 0 and 1",
            reasons=["logits are any real numbers; the family squashes them itself"],
            help=f"write probs = {text}" + (f", or take {self._last_layer(net)} off {net}" if net is not None else ""),
        )

    def _constraint(self, parameter: Parameter, expr: tree.Expr, value: Typed) -> None:
        text = " ".join(self.sink.source.snippet(expr.span).split())
        fix = "Softplus" if parameter.constraint == "nonnegative" else KINDS[parameter.constraint].activation
        net = self._net_of(expr)
        last = self._last_layer(net)
        powers = [p for _, p in self.typer.model.products.get(self.factor.label, ()) if p is not None]
        if self.factor.label in self.typer.model.products:
            self._powers(powers)
            return
        if parameter.name == "probs" and net is None:
            cure = f"write sigmoid({text}), or clamp({text}, 0, 1)"
        elif parameter.name == "probs":
            cure = f"write logits = {text}" + (f", or end {net} with {fix}" if fix is not None else "")
        elif net is not None and fix is not None and last is not None:
            cure = f"end {net} with {fix} in place of {last}"
        elif net is not None and fix is not None:
            cure = f"end it with {fix}: `net {net} = ... >> {fix}`"
        elif parameter.constraint == "positive":
            cure = f"write softplus({text})"
        else:
            cure = f"declare it `{parameter.constraint}`"
        self.sink.add(
            "W102",
            expr.span,
            f"{parameter.name} of {self.factor.label} must be "
            f"{KINDS[parameter.constraint].what}, and `{text}` need not be",
            help=cure,
        )

    def _powers(self, powers: list[tree.Expr]) -> None:
        """A product of experts is normalisable where its powers are not negative."""
        scope = scope_of(self.factor, self.typer, ())
        for power in powers:
            value = self.typer.typed(power, scope)
            if value is not None and not contains("nonnegative", value.space.kind):
                text = " ".join(self.sink.source.snippet(power.span).split())
                self.sink.add(
                    "W102",
                    power.span,
                    f"the power `{text}` of an expert of {self.factor.label} may be negative: "
                    "the product then need not be normalisable",
                    help=f"write softplus({text}), or declare what it is made of as positive",
                )

    def _last_layer(self, net: str | None) -> str | None:
        """The activation that a net ends with, if it does."""
        found = self.typer.model.nets.get(net) if net is not None else None
        stage = found.stages[-1] if isinstance(found, Net) and found.stages else None
        name = getattr(stage, "id", getattr(stage, "name", None))
        return name if name in ACTIVATIONS else None

    def _net_of(self, expr: tree.Expr) -> str | None:
        """The net whose last layer makes the value, looking through `where`."""
        if isinstance(expr, tree.Call) and expr.name in self.typer.model.nets:
            return expr.name
        if isinstance(expr, tree.Name):
            for binding in self.use.bindings:
                if len(binding.names) == 1 and binding.names[0].id == expr.id:
                    return self._net_of(binding.value)
        return None


def _is_positive_definite(literal: Constant) -> bool:
    """Whether a matrix of exact numbers is symmetric with positive pivots."""
    if not isinstance(literal, tuple) or not all(isinstance(row, tuple) for row in literal):
        return True  # its shape is reported elsewhere
    rows = [[x for x in row if isinstance(x, Fraction)] for row in literal if isinstance(row, tuple)]
    size = len(rows)
    if any(len(row) != size for row in rows):
        return True
    if any(rows[i][j] != rows[j][i] for i in range(size) for j in range(i)):
        return False
    for k in range(size):
        if rows[k][k] <= 0:
            return False
        for i in range(k + 1, size):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
    return True


def _in_domain(constraint: str, value: Fraction) -> bool:
    match constraint:
        case "positive":
            return value > 0
        case "nonnegative" | "simplex":
            return value >= 0
        case "unit_interval":
            return 0 <= value <= 1
        case "nonnegative_integer":
            return value >= 0 and value.denominator == 1
        case "positive_integer":
            return value > 0 and value.denominator == 1
        case _:
            return True


def _domain_help(parameter: Parameter) -> str:
    if parameter.name == "scale":
        return "scale is a standard deviation: write a positive number"
    if parameter.name == "probs":
        return "give it as `logits = ...` if it is a log-odds"
    return f"write a number that is {KINDS[parameter.constraint].what}"


def _scored(support: str, kind: str) -> bool:
    """Whether a family on `support` can score data of the wider "
    "`kind`: not when the data is continuous and it is not."""
    return not (
        support in ("boolean", "nonnegative_integer", "one_hot", "category")
        and kind in ("real", "nonnegative", "positive", "unit_interval")
    )


_FAMILIES_FOR = {
    "real": "Normal",
    "positive": "Gamma or LogNormal",
    "nonnegative": "Exponential",
    "unit_interval": "Beta",
    "boolean": "Bernoulli",
    "category": "Categorical",
    "one_hot": "OneHotCategorical",
    "simplex": "Dirichlet",
    "nonnegative_integer": "Poisson",
}
