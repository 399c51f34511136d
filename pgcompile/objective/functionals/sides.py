"""Resolves the sides of a functional, and checks what the functional demands of them."""

from typing import TYPE_CHECKING

from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import base_name, data_of
from pgcompile.model.variable import Variable, shown, variables
from pgcompile.objective.densities import scorable
from pgcompile.objective.draws import sampling_distribution
from pgcompile.syntax import tree
from pgcompile.vocabulary.definition import LEFT, RIGHT, Density
from pgcompile.vocabulary.family import Family
from pgcompile.vocabulary.functional import Functional, Sides
from pgcompile.vocabulary.spaces import KINDS, covers_support

if TYPE_CHECKING:
    from pgcompile.objective.resolve import Objectives

Bound = dict[Density, Distribution]


class SideResolver:
    """Sides of the functionals of one program.

    Args:
        whole: resolves distributions.
    """

    def __init__(self, whole: "Objectives") -> None:
        self.whole = whole
        self.model = whole.model
        self.sink = whole.sink

    def resolve(self, expr: tree.Functional, functional: Functional) -> Bound | None:
        """The distributions of both sides; None after a report."""
        found = self._one(expr) if expr.right is None else self._two(expr, expr.right, functional)
        if found is None or not self._related(expr, functional, found):
            return None
        order = (LEFT, RIGHT) if functional.sides is Sides.MODEL_AND_GUIDE else (RIGHT, LEFT)
        for side in order:
            if side in functional.scored and side in found:
                place = expr.left if side == LEFT or expr.right is None else expr.right
                if not scorable(self.whole, found[side], place.span):
                    return None
        if functional.infinite and functional.sides is Sides.MODEL_AND_GUIDE:
            self._check_supports(expr, functional, found)
        return found

    def opposite(self, expr: tree.Expr, left: Distribution) -> Distribution | None:
        """The right side; a bare name means the part over the left side's variables, `data` the data of them."""
        if isinstance(expr, tree.Name) and expr.id == "data":
            return Distribution((data_of(left.targets, expr.span),))
        found = self.whole.resolver.resolve(expr)
        if found is None or not isinstance(expr, tree.Name):
            return found
        part = tuple(atom for atom in found.atoms if {*atom.targets} & {*left.targets})
        chosen = Distribution(part) if part else found
        self.whole.readings[expr.span] = chosen.spelled
        return chosen

    def _one(self, expr: tree.Functional) -> Bound | None:
        left = sampling_distribution(self.whole, expr.left)
        return None if left is None else {LEFT: left}

    def _two(self, expr: tree.Functional, right_expr: tree.Expr, functional: Functional) -> Bound | None:
        if functional.sides is Sides.MODEL_AND_GUIDE:
            guide, model = sampling_distribution(self.whole, right_expr), sampling_distribution(self.whole, expr.left)
            return None if guide is None or model is None else {LEFT: model, RIGHT: guide}
        left = sampling_distribution(self.whole, expr.left)
        right = None if left is None else self.opposite(right_expr, left)
        return None if left is None or right is None else {LEFT: left, RIGHT: right}

    def _related(self, expr: tree.Functional, functional: Functional, sides: Bound) -> bool:
        """True if the sides are over variables that go together; reported otherwise."""
        match functional.sides:
            case Sides.ONE:
                return True
            case Sides.MODEL_AND_GUIDE:
                return self._generates(expr, sides[LEFT], sides[RIGHT])
            case Sides.SAME_VARIABLES:
                return self._comparable(expr, functional, sides)

    def _generates(self, expr: tree.Functional, model: Distribution, guide: Distribution) -> bool:
        missing = [t for t in guide.targets if t not in model.targets]
        if missing:
            self.sink.add(
                "PGC405",
                expr.span,
                f"{model.spelled} does not generate {shown(missing)}, which {guide.label} infers",
                help=self._missing_prior(expr, model, guide, missing),
            )
        return not missing

    def _missing_prior(
        self, expr: tree.Functional, model: Distribution, guide: Distribution, missing: list[Variable]
    ) -> str:
        """The factor that is missing, or that the sides are the wrong way round."""
        apart = not {*guide.targets} & {*model.targets}
        named_q = all(base_name(atom.factor.name) == "q" for atom in model.atoms)
        if {*guide.targets} >= {*model.targets} or (apart and named_q):
            return f"{expr.kind}[p || q] takes the model first and the approximate posterior second"
        name = model.atoms[0].factor.name
        return f"define `{name}({missing[0]}) = Normal(0, 1)`, say, or take {missing[0]} out of {guide.label}"

    def _comparable(self, expr: tree.Functional, functional: Functional, sides: Bound) -> bool:
        left, right = sides[LEFT], sides[RIGHT]
        scored_given = functional.name == "CE" and {*left.targets} <= {*right.parents}
        # KL[q(z|x) || p(x,z)], the variational free energy: x is data, as it is in the bound that is minus this.
        free_energy = functional.name == "KL" and {*left.targets} < {*right.targets} <= {*left.targets, *left.parents}
        if {*left.targets} == {*right.targets} or scored_given or free_energy:
            if functional.infinite:
                self._check_supports(expr, functional, sides)
            return True
        self.sink.add(
            "PGC405",
            expr.span,
            f"{expr.kind} compares distributions of the same variables, "
            f"and {left.label} is over {shown(left.targets)} "
            f"while {right.label} is over {shown(right.targets)}",
            help=self._compare_help(expr, left, right),
        )
        return False

    def _compare_help(self, expr: tree.Functional, left: Distribution, right: Distribution) -> str:
        """A factor over the same variables that could stand on the right, or one that is missing."""
        over = shown(left.targets)
        fitting = [f.label for f in self.model.factors if {*variables(f.targets)} == {*left.targets} and not f.parents]
        fitting = [label for label in fitting if label != left.label]
        if isinstance(expr.right, tree.Name) and not fitting:
            return f"no {expr.right.id} factor generates {over}: define `{expr.right.id}({over}) = Normal(0, 1)`, say"
        if fitting:
            return f"write {' or '.join(f'{expr.kind}[{left.label} || {f}]' for f in fitting)}"
        spaces = [self.model.spaces.get(v.name) for v in (*left.targets, *right.targets)]
        if len(spaces) == 2 and spaces[0] == spaces[1]:
            renamed = f"{right.label}[{right.targets[0]} -> {left.targets[0]}]"
            return f"write {renamed} for the same distribution of {over}, or compare with another that generates it"
        return f"compare {left.label} with a distribution of {over}"

    def _check_supports(self, expr: tree.Functional, functional: Functional, sides: Bound) -> None:
        """Warn where a drawn side can go and the other side cannot: the value is infinite there."""
        for drawn in functional.draws:
            mine, other = sides[drawn], sides[RIGHT if drawn == LEFT else LEFT]
            for variable in mine.targets:
                own, wanted = _family_of(mine, variable), _family_of(other, variable)
                if own is None or wanted is None or covers_support(wanted.support, own.support):
                    continue
                self.sink.add(
                    "W104",
                    expr.span,
                    f"{expr.kind} is {functional.infinite}: "
                    f"{mine.label} draws {variable} from {own.name}, "
                    f"whose values need not be {KINDS[wanted.support].what}, "
                    f"as {wanted.name} in {other.label} demands",
                    help=f"use a family for {mine.label} whose values are {KINDS[wanted.support].what}",
                )


def _family_of(side: Distribution, variable: Variable) -> Family | None:
    """The family that a variable is drawn from, None where no family is."""
    return next((a.factor.family for a in side.atoms if variable in a.targets), None)
