"""Divergences and bounds: `KL`, `H`, `CE`, `ELBO` and their kin, as terms."""

from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from pgcompile.diagnostics import Span
from pgcompile.inference.algebra import drop_barren
from pgcompile.inference.elimination import states
from pgcompile.inference.mixtures import components
from pgcompile.model.literals import evaluate, flatten
from pgcompile.model.values import Distribution, FamilyUse, Model, data_of
from pgcompile.model.variable import shown, variables
from pgcompile.objective import terms
from pgcompile.objective.adversarial import Adversarial
from pgcompile.objective.context import Context
from pgcompile.objective.estimators import MAX_STATES
from pgcompile.objective.options import choice, read_options, split_options, whole_number
from pgcompile.objective.terms import PATHWISE, Draw, Env, Estimator, Term
from pgcompile.syntax import tree
from pgcompile.vocabulary.spaces import KINDS, reaches

if TYPE_CHECKING:
    from pgcompile.objective.resolve import Objectives

FUNCTIONALS = ("KL", "H", "CE", "ELBO", "IWAE", "Renyi", "Chi2", "JS", "Jeffreys", "MMD", "W", "SW", "TC", "MI")
AGGREGATES = ("TC", "MI")
DISCREPANCIES = {"MMD": ("kernel", "width"), "W": (), "SW": ("projections",)}
KERNELS = ("gaussian", "imq")


class Functionals:
    """The functionals of one program's objectives.

    Args:
        whole: resolves what is inside them.
    """

    def __init__(self, whole: "Objectives") -> None:
        self.whole = whole
        self.model = whole.model
        self.resolver = whole.resolver
        self.sink = whole.sink
        self.adversarial = Adversarial(whole, self._opposite)

    def term(self, expr: tree.Functional, env: Env, context: Context) -> Term | None:
        """A functional as a term, None after a report."""
        if self.adversarial.knows(expr.kind):
            return self.adversarial.term(expr, env, context)
        if expr.kind not in FUNCTIONALS:
            self.sink.add(
                "PGC010",
                expr.span,
                f"{expr.kind}[...] is not part of this version",
                help=f"divergences and bounds are {', '.join(FUNCTIONALS)}",
            )
            return None
        if expr.kind == "H":
            return self._entropy(expr, env, context)
        if expr.kind in AGGREGATES:
            return self._aggregate(expr, env, context)
        if expr.right is None:
            self.sink.add(
                "PGC311",
                expr.span,
                f"{expr.kind} compares two distributions",
                help=f"write {expr.kind}[q(z|x) || p(z)]",
            )
            return None
        if expr.kind in ("ELBO", "IWAE"):
            return self._bound(expr, expr.left, expr.right, env, context)
        left = self.whole.over(expr.left)
        if left is None:
            return None
        right = self._opposite(expr.right, left)
        if right is None:
            return None
        if expr.kind in DISCREPANCIES:
            return self._discrepancy(expr, left, right, env, context)
        if not self._comparable(expr, left, right) or not self.whole.scorable(right, expr.right.span):
            return None
        if expr.kind != "CE" and not self.whole.scorable(left, expr.left.span):
            return None
        match expr.kind:
            case "Jeffreys":
                there = self._divergence("KL", expr, left, right, env, context)
                back = self._divergence("KL", expr, right, left, env, context)
                return None if there is None or back is None else terms.Add(((1, there), (1, back)))
            case "Renyi":
                return self._renyi(expr, left, right, env, context)
            case "Chi2":
                return self._chi_square(expr, left, right, env, context)
            case "JS":
                return self._jensen_shannon(expr, left, right, env, context)
            case _:
                return self._divergence(expr.kind, expr, left, right, env, context)

    def _divergence(
        self, kind: str, expr: tree.Functional, left: Distribution, right: Distribution, env: Env, context: Context
    ) -> Term | None:
        if components(left, self.model) is not None:
            return self._component_wise(kind, expr, left, right, env, context)
        drawn = self._shared_draw(expr, left, env, context)
        if drawn is None:
            return None
        label = f"{kind}[{left.spelled} || {right.spelled}]"
        return terms.Divergence(kind, drawn[0], drop_barren(left), drop_barren(right), env, label, expr.span)

    def _component_wise(
        self,
        kind: str,
        expr: tree.Functional,
        left: Distribution,
        right: Distribution | None,
        env: Env,
        context: Context,
    ) -> Term | None:
        """A divergence of a mixture: the expectation that defines it, over each component."""
        options = self._divergence_options(expr, left, context)
        if options is None:
            return None

        def body(inner: Env) -> Term:
            own = terms.LogDensity(drop_barren(left), inner, expr.span)
            signed: list[tuple[int, Term]] = [] if kind == "CE" else [(1 if kind == "KL" else -1, own)]
            if right is not None:
                signed.append((-1, terms.LogDensity(drop_barren(right), inner, expr.span)))
            return terms.Add(tuple(signed))

        return self.whole.average(left, *options, env, context, expr.span, body)

    # --- divergences that are sampled ---

    def _renyi(
        self, expr: tree.Functional, left: Distribution, right: Distribution, env: Env, context: Context
    ) -> Term | None:
        """`log E_q[(q/p)^(a-1)] / (a-1)` (Renyi 1961; van Erven & Harremoes 2014)."""
        own, rest = split_options(expr.options, ("alpha",))
        alpha = evaluate(own["alpha"].value, self.model.constants) if "alpha" in own else None
        if not isinstance(alpha, Fraction) or alpha <= 0 or alpha == 1:
            self.sink.add(
                "PGC408",
                own["alpha"].value.span if "alpha" in own else expr.span,
                "alpha of a Renyi divergence is a number above 0 other than 1",
                help="write Renyi[q || p; alpha=0.5, samples=50]; at 1 it is KL[q || p]",
            )
            return None
        drawn = self._many(replace(expr, options=rest), left, env, context)
        if drawn is None:
            return None
        draw, inner = drawn
        ratio = terms.Multiply((terms.Constant(alpha - 1), self._log_ratio(left, right, inner, expr.span)))
        return terms.Multiply((terms.Constant(1 / (alpha - 1)), _log_mean_exp(draw, ratio, expr.span)))

    def _chi_square(
        self, expr: tree.Functional, left: Distribution, right: Distribution, env: Env, context: Context
    ) -> Term | None:
        """`E_q[q/p] - 1`."""
        drawn = self._shared_draw(expr, left, env, context)
        if drawn is None:
            return None
        draw, inner = drawn
        ratio = terms.Apply("exp", (self._log_ratio(left, right, inner, expr.span),))
        return terms.Add(((1, terms.Expectation(draw, ratio, expr.span)), (-1, terms.Constant(Fraction(1)))))

    def _jensen_shannon(
        self, expr: tree.Functional, left: Distribution, right: Distribution, env: Env, context: Context
    ) -> Term | None:
        """`KL[q || m]/2 + KL[p || m]/2` with the mixture `m = (q + p)/2` (Lin 1991)."""
        half = terms.Constant(Fraction(1, 2))
        sides: list[tuple[int, Term]] = []
        for side in (left, right):
            drawn = self._shared_draw(expr, side, env, context)
            if drawn is None:
                return None
            draw, inner = drawn
            densities = [terms.LogDensity(drop_barren(d), inner, expr.span) for d in (left, right)]
            weighed = [(1, terms.Multiply((half, terms.Apply("exp", (density,))))) for density in densities]
            mixture = terms.Apply("log", (terms.Add(tuple(weighed)),))
            own = densities[0] if side is left else densities[1]
            body = terms.Add(((1, own), (-1, mixture)))
            sides.append((1, terms.Multiply((half, terms.Expectation(draw, body, expr.span)))))
        return terms.Add(tuple(sides))

    def _log_ratio(self, left: Distribution, right: Distribution, env: Env, span: Span) -> Term:
        return terms.Add(
            (
                (1, terms.LogDensity(drop_barren(left), env, span)),
                (-1, terms.LogDensity(drop_barren(right), env, span)),
            )
        )

    def _many(self, expr: tree.Functional, over: Distribution, env: Env, context: Context) -> tuple[Draw, Env] | None:
        """The draw of a logarithm of a mean, whose number of samples is part of its definition."""
        options = read_options(expr.options, self.model.constants, self.sink, expr.kind)
        if options is None:
            return None
        if options[1].grad == "stl":
            self.sink.add(
                "PGC408",
                expr.span,
                f"grad=stl has a bias in {expr.kind}, whose weights depend on all draws",
                help="write grad=dreg, which has none (Tucker et al. 2019)",
            )
            return None
        if expr.kind == "IWAE" and options[1].grad == "enumerate":
            self.sink.add(
                "PGC408",
                expr.span,
                "an IWAE over every value is log p itself: nothing is left of q, nor of the number of samples",
                help="name the marginal, `p(x) = sum_k p(x|k) p(k)`, and write log p(x)",
            )
            return None
        finite = expr.kind != "IWAE" and options[1] == PATHWISE and _is_finite(over, self.model)
        if options[0] is None and options[1].grad != "enumerate" and not finite:
            self.sink.add(
                "PGC408",
                expr.span,
                f"{expr.kind} averages several samples inside a logarithm, and their number is not said",
                help=f"write {expr.kind}[... || ...; samples=50]",
            )
            return None
        return self.whole.draw(over, *options, env, context, expr.span)

    # --- discrepancies of samples ---

    def _discrepancy(
        self, expr: tree.Functional, left: Distribution, right: Distribution, env: Env, context: Context
    ) -> Term | None:
        """`MMD`, `W` and `SW`: they compare samples, and need no density."""
        if not self._comparable(expr, left, right):
            return None
        settings = self._settings(expr)
        if settings is None:
            return None
        found, rest = settings
        options = read_options(rest, self.model.constants, self.sink, expr.kind, DISCREPANCIES[expr.kind])
        if options is None:
            return None
        samples, estimator = options
        conditioned = [d.label for d in (left, right) if d.parents]
        if expr.kind == "MMD" and samples is not None and samples > 1 and conditioned:
            self.sink.add(
                "PGC408",
                expr.span,
                f"samples of one data point are no independent draws of {conditioned[0]} over the data",
                reasons=["pairs of them would be counted, and the estimate be biased"],
                help="leave samples out: there is one draw for each data point",
            )
            return None
        if estimator.grad is not None or estimator.baseline is not None:
            self.sink.add(
                "PGC408",
                expr.span,
                f"{expr.kind} compares samples: its gradient goes through them, and no other is known",
                help="leave grad and baseline out; relax=gumbel makes a discrete draw differentiable",
            )
            return None
        draws = []
        for side in (left, right):
            how = estimator
            if estimator.relax is None and not _is_pathwise(side):
                how = replace(estimator, grad="through")
            if not expr.options:
                # The draws of an expectation of the same sum serve here too.
                samples = next((n for over, n, e in context.options if over == side and e == how), samples)
            draws.append(self.whole.draw(side, samples, how, env, context, expr.span))
        if draws[0] is None or draws[1] is None:
            return None
        label = f"{expr.kind}[{left.spelled} || {right.spelled}]"
        data = any(atom.factor.is_data for side in (left, right) for atom in side.atoms)
        if expr.kind == "MMD" and not conditioned and not data and draws[0][0].samples == 1:
            self.sink.add(
                "PGC408",
                expr.span,
                f"{label} compares one draw with one draw: neither side depends on data",
                help=f"write {expr.kind}[{left.label} || {right.label}; samples=256]",
            )
            return None
        return terms.Discrepancy(
            expr.kind, draws[0][0], draws[1][0], draws[0][1], draws[1][1], left.targets, found, label, expr.span
        )

    def _settings(self, expr: tree.Functional) -> tuple[terms.Settings, tuple[tree.Option, ...]] | None:
        """Kernel, widths and number of projections, and the other options."""
        own, rest = split_options(expr.options, DISCREPANCIES[expr.kind])
        kernel = choice(own["kernel"], KERNELS, self.sink) if "kernel" in own else KERNELS[0]
        if kernel is None:
            return None
        widths: tuple[float, ...] = ()
        if "width" in own:
            value = evaluate(own["width"].value, self.model.constants)
            numbers = flatten(value) if value is not None else []
            if not numbers or any(n <= 0 for n in numbers):
                self.sink.add(
                    "PGC408",
                    own["width"].value.span,
                    "width is a number above 0, or a list of them",
                    help="write width=[0.5, 1, 2], whose kernels are added",
                )
                return None
            widths = tuple(map(float, numbers))
        projections = 50
        if "projections" in own:
            count = whole_number(own["projections"], self.model.constants, self.sink)
            if count is None:
                return None
            projections = count
        return terms.Settings(kernel, widths, projections), rest

    def _aggregate(self, expr: tree.Functional, env: Env, context: Context) -> Term | None:
        """`TC` and `MI` of `q(z)`, the mean of `q(z|x)` over the batch (Chen et al. 2018; Hoffman & Johnson 2016)."""
        if expr.right is not None:
            self.sink.add("PGC311", expr.span, f"{expr.kind} takes one distribution", help=f"write {expr.kind}[q(z|x)]")
            return None
        over = self.whole.over(expr.left)
        if over is None or not self.whole.scorable(over, expr.left.span):
            return None
        atom = over.atoms[0]
        definition = atom.factor.definition
        shape = self.model.spaces[atom.factor.targets[0]].shape
        elementwise = isinstance(definition, FamilyUse) and not definition.family.event_rank
        pathwise = isinstance(definition, FamilyUse) and definition.family.pathwise
        drawn_above = [p for p in atom.parents if env.get(p) is not None]
        if (
            len(over.atoms) > 1
            or over.hidden
            or not elementwise
            or not pathwise
            or len(shape) != 1
            or drawn_above
            or not atom.parents
        ):
            self.sink.add(
                "PGC405",
                expr.span,
                f"{expr.kind} needs one factor of a real vector with independent coordinates, conditioned on data",
                help=f"write {expr.kind}[q(z|x)] with q(z|x) = Normal(...), say",
            )
            return None
        drawn = self._shared_draw(expr, over, env, context)
        if drawn is None:
            return None
        return terms.Aggregate(expr.kind, drawn[0], atom, drawn[1], f"{expr.kind}[{atom.label}]", expr.span)

    # --- draws ---

    def _shared_draw(
        self, expr: tree.Functional, left: Distribution, env: Env, context: Context
    ) -> tuple[Draw, Env] | None:
        """The draw of a divergence: with its own options, else with those of the expectation over the same factors."""
        options = self._divergence_options(expr, left, context)
        return None if options is None else self.whole.draw(left, *options, env, context, expr.span)

    def _divergence_options(
        self, expr: tree.Functional, left: Distribution, context: Context
    ) -> tuple[int | None, Estimator] | None:
        options = read_options(expr.options, self.model.constants, self.sink, expr.kind)
        if options is None or expr.options:
            return options
        return next(((n, e) for over, n, e in context.options if over == left), options)

    def _entropy(self, expr: tree.Functional, env: Env, context: Context) -> Term | None:
        if expr.right is not None:
            self.sink.add(
                "PGC311", expr.span, "H takes one distribution", help="the cross-entropy of two is CE[q || p]"
            )
            return None
        left = self.whole.over(expr.left)
        if left is None or not self.whole.scorable(left, expr.left.span):
            return None
        if components(left, self.model) is not None:
            return self._component_wise("H", expr, left, None, env, context)
        drawn = self._shared_draw(expr, left, env, context)
        if drawn is None:
            return None
        draw, _ = drawn
        return terms.Divergence("H", draw, drop_barren(left), None, env, f"H[{left.spelled}]", expr.span)

    def _opposite(self, expr: tree.Expr, left: Distribution) -> Distribution | None:
        """The right side; a bare name means the part over the left side's variables, `data` the data of them."""
        if isinstance(expr, tree.Name) and expr.id == "data":
            return Distribution((data_of(left.targets, expr.span),))
        found = self.resolver.resolve(expr)
        if found is None or not isinstance(expr, tree.Name):
            return found
        part = tuple(atom for atom in found.atoms if {*atom.targets} & {*left.targets})
        chosen = Distribution(part) if part else found
        self.whole.readings[expr.span] = chosen.spelled
        return chosen

    def _comparable(self, expr: tree.Functional, left: Distribution, right: Distribution) -> bool:
        if {*left.targets} == {*right.targets}:
            self._check_supports(expr, left, right)
            return True
        self.sink.add(
            "PGC405",
            expr.span,
            f"{expr.kind} compares distributions of the same variables, "
            f"and {left.label} is over {shown(left.targets)} "
            f"while {right.label} is over {shown(right.targets)}",
            help=self._compare_help(expr, left),
        )
        return False

    def _compare_help(self, expr: tree.Functional, left: Distribution) -> str:
        """What could stand on the right: a factor over the same variables, or one that is missing."""
        over = shown(left.targets)
        fitting = [f.label for f in self.model.factors if {*variables(f.targets)} == {*left.targets} and not f.parents]
        if isinstance(expr.right, tree.Name) and not fitting:
            return f"no {expr.right.id} factor generates {over}: define `{expr.right.id}({over}) = Normal(0, 1)`, say"
        if fitting:
            return f"write {' or '.join(f'{expr.kind}[{left.label} || {f}]' for f in fitting)}"
        return f"compare {left.label} with a distribution of {over}"

    def _check_supports(self, expr: tree.Functional, left: Distribution, right: Distribution) -> None:
        """The divergence is infinite where the left side can go and the right side cannot."""
        for variable in left.targets:
            families = [
                next(
                    (a.factor.family for a in side.atoms if variable in a.targets and a.factor.family is not None),
                    None,
                )
                for side in (left, right)
            ]
            if families[0] is None or families[1] is None or reaches(families[1].support, families[0].support):
                continue
            self.sink.add(
                "W104",
                expr.span,
                f"{expr.kind} is {'minus ' * (expr.kind == 'ELBO')}infinite: "
                f"{left.label} draws {variable} from {families[0].name}, "
                f"whose values need not be {KINDS[families[1].support].what}, "
                f"as {families[1].name} in {right.label} demands",
                help=f"use a family for {left.label} whose values are {KINDS[families[1].support].what}",
            )

    def _bound(
        self, expr: tree.Functional, model: tree.Expr, guide: tree.Expr, env: Env, context: Context
    ) -> Term | None:
        """`ELBO[p || q] = E_q[log p - log q]` (Jordan et al. 1999), `IWAE` its tighter kin (Burda et al. 2016)."""
        q = self.whole.over(guide)
        p = self.whole.over(model)
        if q is None or p is None:
            return None
        missing = [t for t in q.targets if t not in p.targets]
        if missing:
            self.sink.add(
                "PGC405",
                expr.span,
                f"{p.spelled} does not generate {shown(missing)}, which {q.label} infers",
                help=f"{expr.kind}[p || q] takes the model first and the approximate posterior second",
            )
            return None
        if not self.whole.scorable(p, model.span) or not self.whole.scorable(q, guide.span):
            return None
        self._check_supports(expr, q, p)
        if expr.kind == "IWAE":
            drawn = self._many(expr, q, env, context)
        else:
            options = read_options(expr.options, self.model.constants, self.sink, expr.kind)
            if options is not None and options[1].grad == "dreg":
                self.sink.add("PGC408", expr.span, "grad=dreg is for IWAE", help="in an ELBO it is grad=stl")
                return None
            if options is None:
                return None
            return self.whole.average(
                q, *options, env, context, expr.span, lambda inner: self._log_ratio(p, q, inner, expr.span)
            )
        if drawn is None:
            return None
        draw, inner = drawn
        return _log_mean_exp(draw, self._log_ratio(p, q, inner, expr.span), expr.span)


def _is_finite(distribution: Distribution, model: Model) -> bool:
    counts = [states(atom, model) for atom in distribution.atoms]
    return None not in counts and prod(c or 1 for c in counts) <= MAX_STATES


def _is_pathwise(distribution: Distribution) -> bool:
    definitions = [atom.factor.definition for atom in distribution.atoms]
    return all(not isinstance(d, FamilyUse) or d.family.pathwise for d in definitions)


def _log_mean_exp(draw: Draw, body: Term, span: Span) -> Term:
    """`log E[exp(body)]`."""
    return terms.Apply("log", (terms.Expectation(draw, terms.Apply("exp", (body,)), span),))
