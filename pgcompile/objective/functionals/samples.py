"""Functionals that compare samples of both sides, and need no density: `MMD`, `W` and `SW`."""

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import Data, FamilyUse
from pgcompile.objective import terms
from pgcompile.objective.context import Context
from pgcompile.objective.draws import draw_of, is_inside_rows
from pgcompile.objective.functionals.sides import Bound, SideResolver
from pgcompile.objective.options import Settings, read_options, read_settings
from pgcompile.objective.terms import Draw, Env, Estimator, Term
from pgcompile.syntax import tree
from pgcompile.vocabulary.definition import LEFT, RIGHT
from pgcompile.vocabulary.functional import Functional

if TYPE_CHECKING:
    from pgcompile.objective.resolve import Objectives


class SampleFunctionals:
    """Functionals that compare samples.

    Args:
        whole: makes draws.
        sides: resolves what is compared.
    """

    def __init__(self, whole: "Objectives", sides: SideResolver) -> None:
        self.whole = whole
        self.model = whole.model
        self.sink = whole.sink
        self.sides = sides

    def term(self, expr: tree.Functional, functional: Functional, env: Env, context: Context) -> Term | None:
        """The comparison of both sides' samples, None after a report."""
        sides = self.sides.resolve(expr, functional)
        settings = None if sides is None else read_settings(expr, functional, self.model.constants, self.sink)
        if sides is None or settings is None:
            return None
        if expr.kind != "W" and is_inside_rows(self.whole, expr.kind, env, expr.span):
            return None
        found, rest = settings
        options = read_options(rest, self.model.constants, self.sink, expr.kind, functional.setting_names)
        if options is None or not self._sampled_rightly(expr, sides, *options):
            return None
        draws = self._draws(expr, sides, *options, env, context)
        if draws is None or not self._is_informative(expr, sides, draws):
            return None
        (left, left_env), (right, right_env) = draws
        label = f"{expr.kind}[{sides[LEFT].spelled} || {sides[RIGHT].spelled}]"
        return terms.Discrepancy(
            expr.kind, left, right, left_env, right_env, sides[LEFT].targets, _read(found), label, expr.span
        )

    def _sampled_rightly(self, expr: tree.Functional, sides: Bound, samples: int | None, estimator: Estimator) -> bool:
        """True if number of samples and estimator make sense; reported otherwise."""
        if not self._has_distances(expr, sides):
            return False
        conditioned = [d.label for d in (sides[LEFT], sides[RIGHT]) if d.parents]
        if expr.kind == "MMD" and samples is not None and samples > 1 and conditioned:
            self.sink.add(
                "PGC408",
                expr.span,
                f"samples of one data point are no independent draws of {conditioned[0]} over the data",
                reasons=["pairs of them would be counted, and the estimate be biased"],
                help="leave samples out: there is one draw for each data point",
            )
            return False
        if estimator.grad is not None or estimator.baseline is not None:
            self.sink.add(
                "PGC408",
                expr.span,
                f"{expr.kind} compares samples: its gradient goes through them, and no other is known",
                help="leave grad and baseline out; relax=gumbel makes a discrete draw differentiable",
            )
            return False
        return True

    def _has_distances(self, expr: tree.Functional, sides: Bound) -> bool:
        """True if the values that are compared are numbers; an index is a name, and reported."""
        for variable in sides[LEFT].targets:
            space = self.model.spaces.get(variable.name)
            if space is not None and space.kind == "category":
                self.sink.add(
                    "PGC408",
                    expr.span,
                    f"{expr.kind} measures how far draws are apart, and {variable} is an index: {space}",
                    help=f"declare {variable} : one_hot[{space.categories}], whose draws have a distance, "
                    f"or compare by KL[{sides[LEFT].label} || {sides[RIGHT].label}]",
                )
                return False
        return True

    def _draws(
        self,
        expr: tree.Functional,
        sides: Bound,
        samples: int | None,
        estimator: Estimator,
        env: Env,
        context: Context,
    ) -> tuple[tuple[Draw, Env], tuple[Draw, Env]] | None:
        draws = []
        for side in (sides[LEFT], sides[RIGHT]):
            how = estimator
            if estimator.relax is None and not _is_pathwise(side):
                how = replace(estimator, grad="through")
            if not expr.options:
                # The draws of an expectation of the same sum serve here too.
                samples = next((n for over, n, e in context.options if over == side and e == how), samples)
            draws.append(draw_of(self.whole, side, samples, how, env, context, expr.span))
        left, right = draws
        return None if left is None or right is None else (left, right)

    def _is_informative(
        self, expr: tree.Functional, sides: Bound, draws: tuple[tuple[Draw, Env], tuple[Draw, Env]]
    ) -> bool:
        """True if an MMD has more than one draw a side to compare; reported otherwise."""
        left, right = sides[LEFT], sides[RIGHT]
        given = left.parents or right.parents or any(_is_data(side) for side in (left, right))
        if expr.kind != "MMD" or given or draws[0][0].samples > 1:
            return True
        self.sink.add(
            "PGC408",
            expr.span,
            f"{expr.kind}[{left.spelled} || {right.spelled}] compares one draw with one draw: "
            "neither side depends on data",
            help=f"write {expr.kind}[{left.label} || {right.label}; samples=256]",
        )
        return False


def _read(found: Settings) -> terms.Settings:
    """The settings that the term carries; those of other functionals have values that nothing reads."""
    kernel, widths, projections = found.get("kernel", ""), found.get("width", ()), found.get("projections")
    return terms.Settings(
        kernel if isinstance(kernel, str) else "",
        tuple(map(float, widths)) if isinstance(widths, tuple) else (),
        int(projections) if isinstance(projections, Fraction) else 0,
    )


def _is_data(side: Distribution) -> bool:
    return any(isinstance(atom.factor.definition, Data) for atom in side.atoms)


def _is_pathwise(distribution: Distribution) -> bool:
    definitions = [atom.factor.definition for atom in distribution.atoms]
    return all(not isinstance(d, FamilyUse) or d.family.pathwise for d in definitions)
