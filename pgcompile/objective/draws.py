"""Expectations in objectives: what is drawn, how its gradient is estimated, and baselines."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pgcompile.diagnostics import Span
from pgcompile.inference.circles import circle_of
from pgcompile.inference.mixtures import components
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import FactorInstance, data_of
from pgcompile.model.learned import learnables_of, learned_in
from pgcompile.model.rows import rows_of
from pgcompile.model.variable import Variable, shown, variables
from pgcompile.objective import terms
from pgcompile.objective.context import Context
from pgcompile.objective.dependence import closure, speaks_of, variables_in
from pgcompile.objective.estimators import plan
from pgcompile.objective.options import read_options
from pgcompile.objective.terms import Draw, Env, Estimator, Term
from pgcompile.syntax import tree
from pgcompile.syntax.rows import is_total, primed
from pgcompile.syntax.tree import names_in
from pgcompile.typing.expressions import Scope, Typer
from pgcompile.vocabulary.layers import show

if TYPE_CHECKING:
    from pgcompile.objective.resolve import Objectives


def expectation(whole: "Objectives", expr: tree.Expectation, env: Env, context: Context) -> Term | None:
    if expr.over is None:
        whole.sink.add("PGC407", expr.span, "this expectation does not say over what", help="write E_{q(z|x)}[...]")
        return None
    if (names := rows_of(expr, whole.model)) is not None:
        return _over_rows(whole, expr, names, env, context)
    options = read_options(expr.options, whole.model.constants, whole.sink)
    fixed = _detached(expr.over)
    over = sampling_distribution(whole, expr.over if fixed is None else fixed)
    if over is None or options is None:
        return None
    samples, estimator = options
    if fixed is not None:
        estimator = replace(estimator, detached=True)
    return average(
        whole, over, samples, estimator, env, context, expr.span, lambda inner: _body(whole, expr, over, inner, context)
    )


def _over_rows(
    whole: "Objectives", expr: tree.Expectation, names: tuple[str, ...], env: Env, context: Context
) -> Term | None:
    """The mean or the sum of a body over the rows of the batch."""
    drawn = [n for n in names if (own := env.get(Variable(whole.model.rows[n]))) is not None and own.samples > 1]
    if drawn:
        base = whole.model.rows[drawn[0]]
        message = f"{base} has several draws, and {base}' is one value a row"
        whole.sink.add("PGC408", expr.span, message, help=f"draw {base} once")
        return None
    for name in names:
        here = Variable(whole.model.rows[name])
        source = env.get(here)
        if source is not None and here in (*source.enumerated, *source.scored, *source.relaxed):
            message = f"{here} is a discrete draw, and {primed(name)} would be another of each row"
            whole.sink.add("PGC408", expr.span, message, help="compare rows of what is data, or drawn with a gradient")
            return None
    atom = FactorInstance(data_of(variables(names), expr.span).factor)
    kind = "sum" if is_total(expr.options) else "mean"
    made = Draw(Distribution((atom,)), 1, env, order=len(whole.pool) + 1, rows=kind)
    draw = whole.pool.setdefault(made, made)
    inner = env.extended(draw.variables, draw)
    body = _body(whole, expr, draw.distribution, inner, context)
    return None if body is None else terms.Expectation(draw, body, expr.span)


def is_inside_rows(whole: "Objectives", name: str, env: Env, span: Span) -> bool:
    """True where a value of the whole batch stands inside a mean over its rows; reported then."""
    around = env.rows
    if around is None:
        return False
    rows = ", ".join(primed(v.name) for v in around.variables)
    whole.sink.add(
        "PGC408",
        span,
        f"this {name} is over the batch, inside the {around.rows} over {rows}",
        help=f"take it out of the {around.rows}, whose body is of one row and one other",
    )
    return True


def average(
    whole: "Objectives",
    over: Distribution,
    samples: int | None,
    estimator: Estimator,
    env: Env,
    context: Context,
    span: Span,
    body: Callable[[Env], Term | None],
) -> Term | None:
    """The expectation of a body, that over a mixture as the weighted sum of those over its components."""
    parts = components(over, whole.model)
    if parts is None:
        drawn = draw_of(whole, over, samples, estimator, env, context, span)
        inside = None if drawn is None else body(drawn[1])
        return None if drawn is None or inside is None else terms.Expectation(drawn[0], inside, span)
    found: list[tuple[int, Term]] = []
    for weight, part in parts:
        if estimator.detached:
            weight = tree.Call("detach", (tree.Argument(None, weight, span=weight.span),), span=weight.span)
        share = whole.plain(weight, env)
        inner = average(whole, part, samples, estimator, env, context, span, body)
        if share is None or inner is None:
            return None
        found.append((1, terms.Multiply((share, inner))))
    return terms.Add(tuple(found))


def _body(whole: "Objectives", expr: tree.Expectation, over: Distribution, inner: Env, context: Context) -> Term | None:
    """The body of an expectation; a warning where it does not depend on what is drawn."""
    body = whole.term(expr.body, inner, context)
    if body is None:
        return None
    draws = {inner.get(v) for v in over.targets}
    draw = next(iter(draws)) if len(draws) == 1 else None
    drawn = {v for v in over.targets if inner.get(v) is draw}
    if draw is not None and drawn and not speaks_of(body, draw, drawn, whole.model):
        whole.sink.add(
            "W106",
            expr.span,
            f"the body of this expectation does not depend on {shown(sorted(drawn))}",
            help="leave the expectation out",
        )
    return body


def sampling_distribution(whole: "Objectives", expr: tree.Expr) -> Distribution | None:
    """The distribution that an expectation is over, drawn as it was written; None after a report."""
    found = whole.resolver.resolve(expr)
    if found is None:
        return None
    if found.origin is not None and any(a.factor.family is None for a in found.atoms):
        found = found.origin  # drawn as it was written, one factor after another
    if isinstance(expr, tree.Name) and found.spelled != expr.id:
        whole.readings[expr.span] = found.spelled
    return found


def draw_of(
    whole: "Objectives",
    over: Distribution,
    samples: int | None,
    estimator: Estimator,
    env: Env,
    context: Context,
    span: Span,
) -> tuple[Draw, Env] | None:
    """The draw of a distribution in this context, shared with other terms of the same sum; None after a report."""
    if _is_in_circle(whole, over, span):
        return None
    decided = plan(over, estimator, samples, env, whole.model, whole.sink, span)
    if decided is None or not _is_baseline(whole, estimator.baseline, over, env):
        return None
    draw = Draw(
        over,
        decided.samples,
        env,
        estimator,
        decided.enumerated,
        decided.scored,
        decided.relaxed,
        context.repetition,
        order=len(whole.pool) + 1,
        unasked=samples is None,
    )
    draw = whole.pool.setdefault(draw, draw)
    return draw, env.extended(draw.variables, draw)


def _is_in_circle(whole: "Objectives", over: Distribution, span: Span) -> bool:
    """Report a draw of a variable that is made from itself through deterministic ones."""
    circle = circle_of(over, whole.model)
    if circle is None:
        return False
    drawn, made = circle[0], next(v for v in reversed(circle) if v not in over.targets)
    whole.sink.add(
        "PGC209",
        span,
        f"{over.spelled} cannot be drawn: it conditions {drawn} on itself",
        reasons=[" -> ".join(map(str, circle))],
        help=f"{made} is made from {drawn}: give one of the two another name",
    )
    return True


def _is_baseline(whole: "Objectives", expr: tree.Expr | None, over: Distribution, env: Env) -> bool:
    """True if a baseline is one number a data point that does not depend on what is drawn."""
    if expr is None:
        return True
    inside = closure(variables_in(expr, whole.model), whole.model) & {*over.targets}
    if inside:
        whole.sink.add(
            "PGC408",
            expr.span,
            f"the baseline depends on {shown(sorted(inside))}, which is drawn",
            reasons=["what depends on the draw cannot be subtracted without changing the gradient"],
            help="use what the draw is conditioned on",
        )
        return False
    if not _is_apart(whole, expr, {n for factor in whole.model.factors for n in learnables_of(factor, whole.model)}):
        return False
    quiet = Typer(whole.model, whole.sink.quiet())
    scope = Scope("", {v: whole.space(v) for v in names_in(expr) if v in whole.model.variables})
    typed = quiet.typed(expr, scope)
    if typed is not None and typed.shape not in ((), (1,)):
        whole.sink.add(
            "PGC408",
            expr.span,
            f"the baseline `{whole.text(expr)}` is {show(typed.shape)}, and it is one number a data point",
            help=f"write `sum({whole.text(expr)})`, or end the net with Linear(1)",
        )
        return False
    return whole.plain(expr, env) is not None


def baselines_apart(whole: "Objectives", term: Term) -> bool:
    """True if learned baselines share nothing with what they stand for: fitting them would train it."""
    inside = {n for t in terms.walk(term) if isinstance(t, terms.Pointwise) for n in learned_in(t.expr, whole.model)}
    return all(
        _is_apart(whole, draw.estimator.baseline, inside)
        for draw in terms.draws_of(term)
        if draw.estimator.baseline is not None
    )


def _is_apart(whole: "Objectives", baseline: tree.Expr, used: set[str]) -> bool:
    shared = used & learned_in(baseline, whole.model)
    if not shared:
        return True
    whole.sink.add(
        "PGC408",
        baseline.span,
        f"the baseline is computed with {', '.join(sorted(shared))}, which the model uses too",
        reasons=["a baseline is fitted to what it stands for, and that gradient would train the model"],
        help="give the baseline a net of its own, or detach what it shares: `b(detach(h))`",
    )
    return False


def _detached(over: tree.Expr) -> tree.Expr | None:
    """The distribution of `detach p(k|x)` or `detach(p(k|x))`; None for any other."""
    match over:
        case tree.Product((tree.Name("detach"), *rest)):
            return rest[0] if len(rest) == 1 else replace(over, factors=tuple(rest))
        case tree.Call(name="detach", args=(argument,), given=None):
            return argument.value
        case _:
            return None
