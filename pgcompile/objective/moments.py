"""Expectations of expressions and of other factors' log-densities, from the moments of what is drawn."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

from sympy import Expr, Integer, Mul, Rational, Symbol, exp, log

from pgcompile.diagnostics import Sink
from pgcompile.model.factors import FactorInstance
from pgcompile.model.model import Model
from pgcompile.model.typed import Typed
from pgcompile.model.variable import Variable
from pgcompile.objective.closed_forms import expect, gather
from pgcompile.objective.terms import Env
from pgcompile.objective.univariate import OneVariable, names_below, summands
from pgcompile.syntax import tree
from pgcompile.typing.expressions import Scope, Typer, bind
from pgcompile.vocabulary.symbols import Facts, X

Y = Symbol("Y", real=True)


@dataclass(frozen=True)
class ExprUse:
    """An expression in an environment: what a symbol of a formula stands for."""

    expr: tree.Expr
    env: Env
    mapping: tuple[tuple[str, Variable], ...] = ()
    bindings: tuple[tree.Binding, ...] = ()


@dataclass
class Moments:
    """Takes expectations over one drawn variable.

    Args:
        model: spaces and deterministic variables.
        variable: the drawn variable.
        shape: its event shape.
        facts: what its family knows.
        moves: whether a variable of an environment depends on the draw.
        sink: for its source.
    """

    model: Model
    variable: Variable
    shape: tuple[int, ...]
    facts: Facts
    moves: Callable[[Variable, Env], bool]
    sink: Sink
    uses: list[tuple[Symbol, ExprUse]] = field(default_factory=list)

    def plain(self, expr: tree.Expr, env: Env) -> tuple[Expr, tuple[int, ...]] | None:
        """The expectation of a scalar expression as a formula, and the shape that it is still to be summed over."""

        def depends(part: tree.Expr) -> bool:
            return any(self.moves(Variable(name), env) for name in names_below(part, ()))

        found = summands(expr, depends)
        if found is None:
            return None
        scope = Scope("", {v: Typed(space) for v, space in self.model.spaces.items()})
        typer = Typer(self.model, self.sink.quiet())
        shapes = {typed.shape for s in found if s.reduction and (typed := typer.typed(s.inner, scope)) is not None}
        if len(shapes) > 1 or (any(not s.reduction and depends(s.inner) for s in found) and shapes):
            return None
        whole: tuple[int, ...] = shapes.pop() if shapes else ()
        total: Expr = Integer(0)
        for part in found:
            reader = self._reader(env, (), (), whole, depends)
            formula = reader.formula(part.inner)
            scalars = [self._reader(env, (), (), (), depends).formula(c) for c, _ in part.coefficients]
            if formula is None or any(c is None for c in scalars):
                return None
            below = [inverse for _, inverse in part.coefficients]
            factors = [1 / c if inverse else c for c, inverse in zip(scalars, below, strict=True) if c is not None]
            # What is not a sum over events must count once when the formula is summed over them.
            scale = Integer(1) if part.reduction == "sum" else Rational(1, prod(whole))
            total += Mul(part.sign * scale, *factors, formula)
        value = expect(total, self.facts)
        return None if value is None else (gather(value), whole)

    def log_density(self, atom: FactorInstance, env: Env) -> tuple[Expr, tuple[int, ...]] | None:
        """The expectation of another factor's log-density, whose parameters are formulas of the variable."""
        definition = atom.factor.use
        assert definition is not None
        shape = self.model.spaces[atom.factor.targets[0]].shape
        family = definition.family
        if (
            family.event_rank
            or family.index_valued
            or self.shape not in ((), shape)
            or any(p.rank or p.shared for p in family.parameters)
        ):
            return None

        def depends(part: tree.Expr) -> bool:
            return any(self.moves(atom.variable(name), env) for name in names_below(part, definition.bindings))

        typer = Typer(self.model, self.sink.quiet())
        known = {v: Typed(self.model.spaces[v]) for v in atom.factor.parents if v in self.model.spaces}
        scope = Scope("", {**known}, bind(definition.bindings, typer.sink))
        reader = self._reader(env, atom.renaming, definition.bindings, shape, depends, scope)
        values: dict[str, Expr] = {}
        for name, expr in definition.parameters:
            formula = reader.formula(expr)
            if formula is None:
                return None
            values[name] = formula
        placeholders = {name: Symbol(f"placeholder_{name}", real=True) for name in values}
        density = family.facts(placeholders).log_density
        target = tree.Name(atom.factor.targets[0], span=atom.factor.span)
        y = self._use(ExprUse(target, env, atom.renaming))
        formula = density.subs(X, Y).subs({placeholders[n]: v for n, v in values.items()}).subs(Y, y)
        value = expect(_without_inverses(formula), self.facts)
        return None if value is None else (gather(value), shape)

    def _reader(
        self,
        env: Env,
        mapping: tuple[tuple[str, Variable], ...],
        bindings: tuple[tree.Binding, ...],
        shape: tuple[int, ...],
        depends: Callable[[tree.Expr], bool],
        scope: Scope | None = None,
    ) -> OneVariable:
        names = dict(mapping)
        typer = Typer(self.model, self.sink.quiet())
        inside = scope or Scope("", {v: Typed(space) for v, space in self.model.spaces.items()})

        def symbol(expr: tree.Expr) -> Symbol | None:
            typed = typer.typed(expr, inside)
            if typed is None or typed.shape not in ((), shape):
                return None
            return self._use(ExprUse(expr, env, mapping, bindings))

        return OneVariable(self.model, lambda n: names.get(n, Variable(n)) == self.variable, depends, symbol, bindings)

    def _use(self, use: ExprUse) -> Symbol:
        for symbol, known in self.uses:
            if known == use:
                return symbol
        symbol = Symbol(f"e{len(self.uses)}", real=True)
        self.uses.append((symbol, use))
        return symbol


def _without_inverses(formula: Expr) -> Expr:
    """`log(exp(u))` as `u`: a rate given by its logarithm."""
    return formula.replace(lambda e: isinstance(e, log) and isinstance(e.args[0], exp), lambda e: e.args[0].args[0])
