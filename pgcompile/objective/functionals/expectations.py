"""Turns the definition of a functional into terms: one interpreter for every expectation of log-densities."""

from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from pgcompile.diagnostics import InternalError
from pgcompile.inference.algebra import drop_barren
from pgcompile.inference.elimination import states
from pgcompile.inference.mixtures import components
from pgcompile.model.distributions import Distribution
from pgcompile.objective import terms
from pgcompile.objective.context import Context
from pgcompile.objective.draws import average, draw_of
from pgcompile.objective.estimators import MAX_STATES
from pgcompile.objective.functionals.sides import Bound, SideResolver
from pgcompile.objective.options import read_options, read_settings
from pgcompile.objective.places import log_over_places
from pgcompile.objective.terms import PATHWISE, Env, Estimator, Term
from pgcompile.syntax import tree
from pgcompile.vocabulary.definition import (
    LEFT,
    RIGHT,
    Add,
    Density,
    Divide,
    Formula,
    Log,
    Mean,
    Raise,
    number,
    swapped,
)
from pgcompile.vocabulary.functional import Functional, Sides
from pgcompile.vocabulary.functionals import functionals

if TYPE_CHECKING:
    from pgcompile.objective.resolve import Objectives

Options = tuple[int | None, Estimator]


@dataclass(frozen=True)
class Use:
    """One use of a functional, with everything that its definition leaves open.

    Args:
        expr: where it stands.
        functional: its facts.
        sides: its distributions.
        numbers: values of its own settings.
        options: samples and estimator, as written.
        env: where variables around it come from.
        context: what the terms of its sum share.
    """

    expr: tree.Functional
    functional: Functional
    sides: Bound
    numbers: dict[str, Fraction]
    options: Options
    env: Env
    context: Context


class Expectations:
    """Functionals that are expectations of log-densities.

    Args:
        whole: makes draws, and averages over mixtures.
        sides: resolves what is compared.
    """

    def __init__(self, whole: "Objectives", sides: SideResolver) -> None:
        self.whole = whole
        self.model = whole.model
        self.sink = whole.sink
        self.sides = sides

    def term(self, expr: tree.Functional, functional: Functional, env: Env, context: Context) -> Term | None:
        """The term that a functional's definition states, None after a report."""
        if functional.definition is None:
            raise InternalError(f"{functional.name} has no definition")
        sides = self.sides.resolve(expr, functional)
        settings = None if sides is None else read_settings(expr, functional, self.model.constants, self.sink)
        if sides is None or settings is None:
            return None
        found, rest = settings
        options = read_options(rest, self.model.constants, self.sink, expr.kind, functional.setting_names)
        if options is None or self._refused(expr, functional, options[1]):
            return None
        numbers = {name: value for name, value in found.items() if isinstance(value, Fraction)}
        return self._value(Use(expr, functional, sides, numbers, options, env, context), functional.definition, env)

    def options_for(self, expr: tree.Functional, options: Options, over: Distribution, context: Context) -> Options:
        """The options as written, else those of the expectation over the same factors in the same sum."""
        if expr.options:
            return options
        return next(((n, e) for other, n, e in context.options if _alike(other, over)), options)

    def _refused(self, expr: tree.Functional, functional: Functional, estimator: Estimator) -> bool:
        """Report a gradient estimator that does not go with the functional."""
        if functional.needs_samples and estimator.grad == "stl":
            message = f"grad=stl has a bias in {expr.kind}, whose weights depend on all draws"
            help = "write grad=dreg, which has none (Tucker et al. 2019)"
            self.sink.add("PGC408", expr.span, message, help=help)
            return True
        for refusal in functional.refuses:
            if estimator.grad == refusal.grad:
                self.sink.add("PGC408", expr.span, refusal.message, help=refusal.help)
                return True
        return False

    # --- the interpreter ---

    def _value(self, use: Use, formula: Formula, env: Env) -> Term | None:
        """A formula as a term; `env` binds what the mean around it draws."""
        value = number(formula, use.numbers)
        if value is not None:
            return terms.Constant(value)
        match formula:
            case Mean():
                return self._mean(use, formula)
            case Log(operand):
                return self._log(use, operand, env)
            case Add(items):
                return self._add(use, items, env)
            case Divide(top, bottom) if (divisor := number(bottom, use.numbers)) is not None:
                inner = self._value(use, top, env)
                return None if inner is None else terms.Multiply((terms.Constant(1 / divisor), inner))
            case Density() | Divide() | Raise():
                log = self._log(use, formula, env)
                return None if log is None else terms.Apply("exp", (log,))
            case _:
                raise InternalError(f"no meaning of {formula} in {use.functional.name}")

    def _add(self, use: Use, items: tuple[tuple[int, Formula], ...], env: Env) -> Term | None:
        found: list[tuple[int, Term]] = []
        for sign, item in items:
            value = self._value(use, item, env)
            if value is None:
                return None
            found.append((sign, value))
        return terms.Add(tuple(found))

    def _log(self, use: Use, formula: Formula, env: Env) -> Term | None:
        """The logarithm of a formula; ratios and powers of densities stay in logarithms."""
        match formula:
            case Density():
                return log_over_places(self.whole, drop_barren(use.sides[formula]), env, use.context, use.expr.span)
            case Divide(top, bottom) if number(bottom, use.numbers) is None:
                return self._add(use, ((1, Log(top)), (-1, Log(bottom))), env)
            case Raise(base, exponent):
                log, power = self._log(use, base, env), number(exponent, use.numbers)
                if power is None:
                    raise InternalError(f"the exponent {exponent} of {use.functional.name} is no number")
                return None if log is None else terms.Multiply((terms.Constant(power), log))
            case Mean(over, body):
                inner = self._mean_of_draws(use, over, body)
            case _:
                inner = self._value(use, formula, env)
        return None if inner is None else terms.Apply("log", (inner,))

    def _mean(self, use: Use, formula: Mean) -> Term | None:
        """An expectation; that over a mixture is taken component by component."""
        over = use.sides[formula.over]
        samples, estimator = use.options
        if use.functional.sides is not Sides.MODEL_AND_GUIDE:
            samples, estimator = self.options_for(use.expr, use.options, over, use.context)
        named = _named(formula)
        if named is not None and components(over, self.model) is None:
            return self._divergence(use, formula, named, (samples, estimator))
        return average(
            self.whole,
            over,
            samples,
            estimator,
            use.env,
            use.context,
            use.expr.span,
            lambda inner: self._value(use, formula.body, inner),
        )

    def _divergence(self, use: Use, formula: Mean, named: Functional, options: Options) -> Term | None:
        """An expectation that has a name of its own, under which closed forms and lints find it."""
        left, right = use.sides[formula.over], use.sides.get(RIGHT if formula.over == LEFT else LEFT)
        right = right if named.sides is not Sides.ONE else None
        drawn = draw_of(self.whole, left, *options, use.env, use.context, use.expr.span)
        body = None if drawn is None else self._value(use, formula.body, drawn[1])
        if drawn is None or body is None:
            return None
        sides = left.spelled if right is None else f"{left.spelled} || {right.spelled}"
        other = None if right is None else drop_barren(right)
        label, span = f"{named.name}[{sides}]", use.expr.span
        return terms.Divergence(named.name, drawn[0], drop_barren(left), other, use.env, body, label, span)

    def _mean_of_draws(self, use: Use, side: Density, body: Formula) -> Term | None:
        """The mean inside a logarithm, whose number of draws is part of what is computed."""
        over = use.sides[side]
        samples, estimator = use.options
        refused = {refusal.grad for refusal in use.functional.refuses}
        finite = "enumerate" not in refused and estimator == PATHWISE and self._is_finite(over)
        if samples is None and estimator.grad != "enumerate" and not finite:
            kind = use.expr.kind
            self.sink.add(
                "PGC408",
                use.expr.span,
                f"{kind} averages several samples inside a logarithm, and their number is not said",
                help=f"write {kind}[... || ...; samples=50]",
            )
            return None
        drawn = draw_of(self.whole, over, samples, estimator, use.env, use.context, use.expr.span)
        inner = None if drawn is None else self._value(use, body, drawn[1])
        return None if drawn is None or inner is None else terms.Expectation(drawn[0], inner, use.expr.span)

    def _is_finite(self, distribution: Distribution) -> bool:
        counts = [states(atom, self.model) for atom in distribution.atoms]
        return None not in counts and prod(c or 1 for c in counts) <= MAX_STATES


def _alike(one: Distribution, other: Distribution) -> bool:
    """True for the same factors in any order."""
    mine, theirs = (({*d.atoms}, {*d.hidden}, {*d.evidence}) for d in (one, other))
    return mine == theirs


def _named(formula: Mean) -> Functional | None:
    """The functional whose definition a mean is, its sides in either order."""
    return next(
        (
            f
            for f in functionals().values()
            if f.named_term and f.definition is not None and formula in (f.definition, swapped(f.definition))
        ),
        None,
    )
