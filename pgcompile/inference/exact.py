"""Exact marginals, posteriors and changes of variables, each computed once for a program."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from pgcompile.diagnostics import Sink, Source
from pgcompile.inference.algebra import drop_barren
from pgcompile.inference.arc_reversal import ArcReversal
from pgcompile.inference.expression_maker import Maker
from pgcompile.inference.invert import NotInvertible, invert
from pgcompile.inference.pairs import NoClosedForm
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import Deterministic, Factor, FactorInstance, Pushforward
from pgcompile.model.model import Model
from pgcompile.model.typed import Typed
from pgcompile.model.variable import Variable
from pgcompile.syntax import tree
from pgcompile.syntax.tree import names_in
from pgcompile.typing.expressions import Scope, Typer


@dataclass
class Exact:
    """Solves distributions with hidden or given variables; the same one gives the same factors.

    Args:
        model: spaces, nets and deterministic variables, checked already.
        source: of the program.
    """

    model: Model
    source: Source
    known: dict[Distribution, Distribution] = field(default_factory=dict)
    pushed: dict[tuple[str, str, str], Factor] = field(default_factory=dict)
    obstacles: dict[Distribution, str] = field(default_factory=dict)
    """The reason why a distribution was left as it is."""

    def solve(self, distribution: Distribution) -> Distribution:
        """The distribution with its continuous variables integrated out or inferred, where that is known."""
        if not distribution.hidden and not distribution.evidence:
            return distribution
        if distribution not in self.known:
            try:
                self.known[distribution] = ArcReversal(drop_barren(distribution), self.model, self.source).solved(
                    distribution
                )
            except NoClosedForm as reason:
                self.known[distribution] = distribution
                self.obstacles[distribution] = str(reason)
        return self.known[distribution]

    def pushforward(
        self, name: str, target: str, makers: Mapping[Variable, FactorInstance], parents: set[Variable]
    ) -> Factor | None:
        """The density of a deterministic variable; None where other variables than `parents` would be given.

        Raises:
            NotInvertible: its formula has no inverse that is known.
        """
        factor = self.model.deterministic[target]
        definition = factor.definition
        assert isinstance(definition, Deterministic)
        if definition.bindings:
            raise NotInvertible("its formula has a `where`")
        for variable in factor.parents:
            base = makers.get(Variable(variable))
            rest = [Variable(p) for p in factor.parents if p != variable]
            if base is None or {*base.parents, *rest} != parents or len(base.targets) != 1:
                continue
            key = (name, target, variable)
            if key not in self.pushed:
                self.pushed[key] = self._pushed(name, factor, definition.expr, variable, base)
            return self.pushed[key]
        return None

    def _pushed(self, name: str, factor: Factor, expr: tree.Expr, variable: str, base: FactorInstance) -> Factor:
        make = Maker(factor.span)
        target = factor.targets[0]
        shape = self.model.spaces[target].shape
        if self.model.spaces[variable].shape != shape:
            raise NotInvertible(f"{variable} and {target} differ in shape")
        found = invert(expr, variable, tree.Name(target, span=factor.span), lambda e: variable in names_in(e), make)
        typer = Typer(self.model, Sink(self.source))
        scope = Scope("", {n: Typed(space) for n, space in self.model.spaces.items()})
        terms: list[tree.Expr] = []
        for term in found.log_slope:
            typed = typer.typed(term, scope)
            if typed is None:
                raise NotInvertible("a formula of its inverse has no shape")
            wide = make.call("sum", term) if typed.shape else make.times(make.number(str(prod(shape))), term)
            terms.append(wide)
        others = (p for p in factor.parents if p != variable)
        parents = tuple(dict.fromkeys((*(p.name for p in base.parents), *others)))
        definition = Pushforward(variable, base, expr, found.value, make.add(*terms))
        return Factor(name, (target,), parents, definition, factor.span)
