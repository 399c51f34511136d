"""The factor that is checked, and what its checks ask of the model."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pgcompile.diagnostics import Sink, Span
from pgcompile.model.factors import Factor, FamilyUse
from pgcompile.model.model import Model
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.typing.scope import Scope, bind
from pgcompile.vocabulary.family import Family


@dataclass(frozen=True)
class FactorContext:
    """One factor, with the types of its variables.

    Args:
        factor: the factor.
        typer: of the model.
        parents: types of its parents; None stands for one whose fault is already reported.
        space_of: type of a variable of the model.
        check: checks a factor that this one is made of.
    """

    factor: Factor
    typer: TypingContext
    parents: dict[str, Typed | None]
    space_of: Callable[[str], Typed | None]
    check: Callable[[Factor], None]

    @property
    def model(self) -> Model:
        """The model."""
        return self.typer.model

    @property
    def sink(self) -> Sink:
        """The receiver of reports."""
        return self.typer.sink

    def scope(self, bindings: tuple[tree.Binding, ...], *, with_targets: bool = False) -> Scope:
        """The meaning of names in the parameters of the factor.

        Args:
            bindings: its `where` clauses.
            with_targets: whether its own variables are known there, as in a log-density.
        """
        factor = self.factor
        label = factor.label if factor.name else factor.targets[0]
        scope = Scope(label, self.parents, bind(bindings, self.sink), self._why_forbidden)
        if not with_targets:
            return scope
        return replace(scope, variables={**self.parents, **{name: self.space_of(name) for name in factor.targets}})

    def _why_forbidden(self, name: str) -> str | None:
        """Why the parameters may not use a variable of the model, and what would allow it."""
        factor = self.factor
        if name in factor.targets:
            if name in self.model.deterministic and (carried := self.model.indices.of(name)):
                before = name.replace(f"_{{{carried[0]}", f"_{{{carried[0]}-1")
                return f"it cannot depend on itself; what it is one place before is {before}"
            return f"{name} is what {factor.label} generates; it cannot depend on itself"
        if name in self.model.variables:
            inside = factor.label[:-1] + (f",{name})" if factor.parents else f"|{name})")
            return f"write {inside} on the left side"
        return None


@dataclass(frozen=True)
class FamilyContext:
    """One factor that has a family.

    Args:
        context: the factor.
        use: its family and parameters.
    """

    context: FactorContext
    use: FamilyUse

    @property
    def factor(self) -> Factor:
        """The factor."""
        return self.context.factor

    @property
    def family(self) -> Family:
        """Its family."""
        return self.use.family

    @property
    def typer(self) -> TypingContext:
        """The typer of the model."""
        return self.context.typer

    @property
    def model(self) -> Model:
        """The model."""
        return self.context.model

    @property
    def sink(self) -> Sink:
        """The receiver of reports."""
        return self.context.sink

    @property
    def declared_at(self) -> Span:
        """The declaration of its variable; the factor itself where there is none."""
        shown = self.factor.shown or self.factor.targets  # the base of a flow has a variable of its own
        return self.model.variables.get(shown[0], self.factor.span)

    def net_of(self, expr: tree.Expr) -> str | None:
        """The net whose last layer makes a value, looking through `where`; None if no net does."""
        if isinstance(expr, tree.Call) and expr.name in self.model.nets:
            return expr.name
        if isinstance(expr, tree.Name):
            for binding in self.use.bindings:
                if len(binding.names) == 1 and binding.names[0].id == expr.id:
                    return self.net_of(binding.value)
        return None
