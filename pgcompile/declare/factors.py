"""Factors: `p(x|z) = ...` with a family, a flow or a log-density on its right side."""

from dataclasses import dataclass

from pgcompile.declare.declaration_pass import AlgebraicDefinition, DeclarationPass
from pgcompile.declare.family_uses import is_family, read_family_use, report_undeclared
from pgcompile.inference.heads import head_variables
from pgcompile.model.factors import Extern, Factor, FactorDefinition, FlowUse, LogDensityUse
from pgcompile.model.kinds import kind_of
from pgcompile.syntax import tree
from pgcompile.typing.flows import read_flow


@dataclass(frozen=True)
class _Head:
    """The left side of a definition."""

    call: tree.Call
    targets: tuple[str, ...]
    parents: tuple[str, ...]

    def factor(self, definition: FactorDefinition) -> Factor:
        return Factor(self.call.name, self.targets, self.parents, definition, self.call.span)


def define_factor(call: tree.Call, right: tree.Expr, state: DeclarationPass) -> None:
    """Read the definition of a factor, or keep it where the right side is made of other factors.

    Args:
        call: the left side.
        right: the right side.
        state: gets the factor, or the algebraic definition.
    """
    variables = head_variables(call, state.sink)
    if variables is None:
        return
    head = _Head(call, *variables)
    value, bindings = (right.value, right.bindings) if isinstance(right, tree.Where) else (right, ())
    if isinstance(value, tree.Call) and value.given is None:
        if value.name == "LogDensity":
            _define_log_density(head, value, bindings, state)
            return
        if value.name == "Flow":
            _define_flow(head, value, bindings, state)
            return
        if is_family(value, state.model):
            _define_family(head, value, bindings, state)
            return
    if isinstance(value, tree.Sum) and not bindings:
        return  # a mixture, whose components may be declared further down
    if bindings:
        state.sink.add(
            "PGC212",
            bindings[0].span,
            "`where` belongs to a family's parameters",
            help="as in `Normal(m, s) where (m, s) = f(x)`",
        )
    state.add_definition(AlgebraicDefinition(call.name, head.targets, head.parents, value, call.span))


def _define_family(head: _Head, value: tree.Call, bindings: tuple[tree.Binding, ...], state: DeclarationPass) -> None:
    """`p(x|z) = Normal(f(z), 1)`."""
    definition = read_family_use(value, bindings, state.model, state.sink)
    if len(head.targets) != 1:
        state.sink.add(
            "PGC212",
            head.call.span,
            f"{value.name} generates one variable, the left side has {len(head.targets)}",
            help="give each variable its factor and multiply them",
        )
        definition = None
    if definition is None:
        report_undeclared(value, head.call, bindings, state.model, state.sink)
        _add_unread(head, state)
        return
    state.add_factor(head.factor(definition))


def _define_log_density(
    head: _Head, value: tree.Call, bindings: tuple[tree.Binding, ...], state: DeclarationPass
) -> None:
    """`p(x) = LogDensity(expr)`: a density by its logarithm, up to a constant."""
    if len(value.args) != 1 or value.args[0].name is not None:
        target = head.targets[0]
        state.sink.add(
            "PGC311",
            value.span,
            f"LogDensity takes one expression, not {len(value.args)}",
            help=f"write {head.call.name}({target}) = LogDensity(-0.5 * sum({target}^2))",
        )
        state.add_variables((*head.targets, *head.parents), head.call.span)
        state.sink.unread.add(head.call.name)
        return
    state.add_factor(head.factor(LogDensityUse(value.args[0].value, bindings)))


def _define_flow(head: _Head, value: tree.Call, bindings: tuple[tree.Binding, ...], state: DeclarationPass) -> None:
    """`p(x|c) = Flow(Normal(0, 1), f(c))`: a base seen through a flow."""
    model, sink = state.model, state.sink
    read = read_flow(value, head.parents, model, sink) if len(head.targets) == 1 else None
    if len(head.targets) != 1:
        sink.add(
            "PGC212",
            head.call.span,
            f"a flow generates one variable, the left side has {len(head.targets)}",
            help="give each variable its factor and multiply them",
        )
    use = read_family_use(read.base, bindings, model, sink) if read is not None else None
    if read is None or use is None:
        _add_unread(head, state)
        return
    number = 1 + sum(bool(kind_of(f).flows(f.definition)) for f in model.factors)
    base_name = f"{head.targets[0]} (base {number})"  # no program can write that
    base = Factor(head.call.name, (base_name,), head.parents, use, read.base.span, shown=head.targets)
    state.add_factor(head.factor(FlowUse(read.flow, read.inverted, read.arguments, base, bindings)))


def _add_unread(head: _Head, state: DeclarationPass) -> None:
    """Add a factor whose definition was reported as if it were supplied, so that what names it is still checked."""
    state.add_variables((*head.targets, *head.parents), head.call.span)
    state.add_factor(head.factor(Extern()))
