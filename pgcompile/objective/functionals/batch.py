"""Functionals of `q(z)`, the mean of `q(z|x)` over the batch: `TC` and `MI`."""

from typing import TYPE_CHECKING

from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import FamilyUse
from pgcompile.objective import terms
from pgcompile.objective.context import Context
from pgcompile.objective.densities import scorable
from pgcompile.objective.draws import draw_of, is_inside_rows, sampling_distribution
from pgcompile.objective.functionals.expectations import Expectations
from pgcompile.objective.options import read_options
from pgcompile.objective.terms import Env, Term
from pgcompile.syntax import tree
from pgcompile.vocabulary.functional import Functional

if TYPE_CHECKING:
    from pgcompile.objective.resolve import Objectives


class BatchFunctionals:
    """Functionals over all pairs of a batch.

    Args:
        whole: resolves distributions and makes draws.
        expectations: knows the options that they share with the sum around them.
    """

    def __init__(self, whole: "Objectives", expectations: Expectations) -> None:
        self.whole = whole
        self.model = whole.model
        self.sink = whole.sink
        self.expectations = expectations

    def term(self, expr: tree.Functional, functional: Functional, env: Env, context: Context) -> Term | None:
        """The estimate over the batch, None after a report."""
        over = sampling_distribution(self.whole, expr.left)
        if over is None or not scorable(self.whole, over, expr.left.span):
            return None
        if is_inside_rows(self.whole, expr.kind, env, expr.span):
            return None
        if not self._factorises(over, env):
            self.sink.add(
                "PGC405",
                expr.span,
                f"{expr.kind} needs one factor of a real vector with independent coordinates, conditioned on data",
                help=f"write {functional.example} with q(z|x) = Normal(...), say",
            )
            return None
        options = read_options(expr.options, self.model.constants, self.sink, expr.kind)
        if options is None:
            return None
        shared = self.expectations.options_for(expr, options, over, context)
        drawn = draw_of(self.whole, over, *shared, env, context, expr.span)
        if drawn is None:
            return None
        atom = over.atoms[0]
        return terms.Aggregate(expr.kind, drawn[0], atom, drawn[1], f"{expr.kind}[{atom.label}]", expr.span)

    def _factorises(self, over: Distribution, env: Env) -> bool:
        """True if it is one pathwise factor of a vector with independent coordinates, whose parents are data."""
        atom = over.atoms[0]
        definition = atom.factor.definition
        shape = self.model.spaces[atom.factor.targets[0]].shape
        elementwise = isinstance(definition, FamilyUse) and not definition.family.event_rank
        pathwise = isinstance(definition, FamilyUse) and definition.family.pathwise
        given = bool(atom.parents) and all(env.get(p) is None for p in atom.parents)
        return len(over.atoms) == 1 and not over.hidden and elementwise and pathwise and len(shape) == 1 and given
