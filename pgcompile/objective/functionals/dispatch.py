"""Finds how a functional is computed: from its definition, from samples, over the batch, or by a net."""

from typing import TYPE_CHECKING

from pgcompile.objective.adversarial import Adversarial
from pgcompile.objective.context import Context
from pgcompile.objective.functionals.batch import BatchFunctionals
from pgcompile.objective.functionals.expectations import Expectations
from pgcompile.objective.functionals.samples import SampleFunctionals
from pgcompile.objective.functionals.sides import SideResolver
from pgcompile.objective.terms import Env, Term
from pgcompile.syntax import tree
from pgcompile.vocabulary.functional import Functional, Method, Sides
from pgcompile.vocabulary.functionals import functional_of, named

if TYPE_CHECKING:
    from pgcompile.objective.resolve import Objectives


class Functionals:
    """The functionals of one program's objectives.

    Args:
        whole: resolves what is inside them.
    """

    def __init__(self, whole: "Objectives") -> None:
        self.sink = whole.sink
        sides = SideResolver(whole)
        self.expectations = Expectations(whole, sides)
        self.samples = SampleFunctionals(whole, sides)
        self.batch = BatchFunctionals(whole, self.expectations)
        self.adversarial = Adversarial(whole, sides.opposite)

    def term(self, expr: tree.Functional, env: Env, context: Context) -> Term | None:
        """A functional as a term, None after a report."""
        functional = functional_of(expr.kind)
        if functional is None:
            self.sink.add(
                "PGC010",
                expr.span,
                f"{expr.kind}[...] is not part of this version",
                help=f"divergences and bounds are {', '.join(named())}",
            )
            return None
        if functional.takes_net:
            return self.adversarial.term(expr, functional, env, context)
        if not self._has_its_sides(expr, functional):
            return None
        match functional.method:
            case Method.BATCH:
                return self.batch.term(expr, functional, env, context)
            case Method.SAMPLES:
                return self.samples.term(expr, functional, env, context)
            case _:
                return self.expectations.term(expr, functional, env, context)

    def _has_its_sides(self, expr: tree.Functional, functional: Functional) -> bool:
        """True if a functional is given as many distributions as it takes; reported otherwise."""
        if (functional.sides is Sides.ONE) == (expr.right is None):
            return True
        takes = "takes one distribution" if functional.sides is Sides.ONE else "compares two distributions"
        help = functional.instead or f"write {functional.example}"
        self.sink.add("PGC311", expr.span, f"{expr.kind} {takes}", help=help)
        return False
