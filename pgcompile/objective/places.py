"""Sums over the places of an index, and the paths that recurrences are drawn along."""

from dataclasses import replace
from typing import TYPE_CHECKING

import networkx as nx

from pgcompile.diagnostics import Span
from pgcompile.model.dependence import formula_parents
from pgcompile.model.distributions import Distribution, by_indices
from pgcompile.model.kinds import expressions_of
from pgcompile.model.model import Model
from pgcompile.model.variable import Variable
from pgcompile.objective import terms
from pgcompile.objective.context import Context
from pgcompile.objective.dependence import Place, mentioned, path_of, sources
from pgcompile.objective.terms import Draw, Env, Term
from pgcompile.syntax import tree
from pgcompile.syntax.places import shown_place
from pgcompile.typing.over_places import loose_indices

if TYPE_CHECKING:
    from pgcompile.objective.resolve import Objectives


def over_index(whole: "Objectives", expr: tree.OverIndex, env: Env, context: Context) -> Term | None:
    """`sum_t f` or `mean_t f`; None after a report."""
    index = expr.index.id
    if expr.kind == "prod":
        whole.sink.add(
            "PGC401",
            expr.span,
            "a product over places is of densities, under a logarithm",
            help=f"write log prod_{index} p(...), or sum_{index} log p(...)",
        )
        return None
    body = whole.term(expr.body, env, replace(context, places=context.places | {index}))
    if body is None:
        return None
    if index not in whole.model.indices.ranges:
        return None  # it was reported where indices are read
    if index not in indices_of(whole, body):
        whole.sink.add(
            "PGC120",
            expr.span,
            f"what is summed over {index} does not carry it: every place gives the same",
            help=f"write its subscript, as in x_{index}, or leave the {expr.kind} out",
        )
        return None
    if expr.kind == "sum":
        _warn_of_repetition(whole, body, index, expr.span)
    return terms.OverIndex(expr.kind, index, body, expr.span)


def _warn_of_repetition(whole: "Objectives", body: Term, index: str, span: Span) -> None:
    """Remark on a divergence inside a sum over an index that it does not carry, `sum_n (... - KL[q(w) || p(w)])`."""
    for _, item in body.terms if isinstance(body, terms.Add) else ():
        if isinstance(item, terms.Divergence) and index not in indices_of(whole, item):
            whole.sink.add(
                "W131",
                item.span,
                f"{item.label} is the same for every {index}, and is counted as often as there are places",
                related=[(span, "summed here")],
                help=f"take it out of the brackets: sum_{index} (...) - {item.label}",
            )


def log_over_places(whole: "Objectives", distribution: Distribution, env: Env, context: Context, span: Span) -> Term:
    """log of a distribution that is written as a whole: the sum over the places of every index that none goes over."""
    groups = by_indices(distribution, whole.model.indices, context.places)
    if [*groups] == [()]:
        return terms.LogDensity(distribution, env, span)
    found: list[tuple[int, Term]] = []
    for indices, atoms in groups.items():
        term: Term = terms.LogDensity(replace(distribution, atoms=tuple(atoms)), env, span)
        for index in reversed(indices):
            term = terms.OverIndex("sum", index, term, span)
        found.append((1, term))
    return found[0][1] if len(found) == 1 else terms.Add(tuple(found))


def over_places(whole: "Objectives", term: Term, span: Span) -> Term | None:
    """An objective whose indices are all summed over; None after a report."""
    if not whole.model.indices.ranges:
        return term
    left = indices_of(whole, term)
    if not left:
        return term if _draws_one_path(whole, term) else None
    index = left[0]
    whole.sink.add(
        "PGC120",
        span,
        f"this objective is one number for each place of {index}",
        help=f"sum over the places: `sum_{index} (...)`",
    )
    return None


def indices_of(whole: "Objectives", term: Term) -> list[str]:
    """The indices that a term carries and does not sum over, in the order of their declarations."""
    if not whole.model.indices.ranges:
        return []
    found = _indices(whole, term, {})
    return [index for index in whole.model.indices.ranges if index in found]


def _indices(whole: "Objectives", term: Term, known: dict[int, set[str]]) -> set[str]:
    """The same as a set; a term that is named several times is gone through once."""
    if id(term) not in known:
        known[id(term)] = _own_indices(whole, term, known)
    return known[id(term)]


def _own_indices(whole: "Objectives", term: Term, known: dict[int, set[str]]) -> set[str]:
    match term:
        case terms.OverIndex(_, index, body):
            return _indices(whole, body, known) - {index}
        case terms.Add(items):
            return {i for _, item in items for i in _indices(whole, item, known)}
        case terms.Multiply(items) | terms.Apply(_, items):
            return {i for item in items for i in _indices(whole, item, known)}
        case terms.Divide(a, b) | terms.Raise(a, b):
            return _indices(whole, a, known) | _indices(whole, b, known)
        case terms.Reference(_, body):
            return _indices(whole, body, known)
        case terms.Expectation():
            return _indices(whole, term.body, known)  # a path is drawn outside the sum over its places
    carried = whole.model.indices.carried
    places: dict[Place, set[str]] = {}
    own = {i for place in mentioned(term, whole.model) for i in _indices_at(place, whole.model, places)}
    drawn = {i for draw in terms.draws_of(term) for v in draw.variables for i in carried.get(v.name, ())}
    return own | drawn


def _indices_at(place: Place, model: Model, known: dict[Place, set[str]]) -> set[str]:
    """The indices of a variable, and of what it is computed from; `r = mean_t f(x_t)` is one for all t."""
    if place in known:
        return known[place]
    variable, env = place
    known[place] = {*model.indices.carried.get(variable.name, ())}
    factor = model.deterministic.get(variable.name) if variable.is_named else None
    if factor is not None and env.get(variable) is None:

        def of(name: str) -> set[str]:
            return _indices_at((Variable(name), env), model, known) if name in factor.parents else set()

        for expr in expressions_of(factor):
            known[place] = known[place] | loose_indices(expr, of)
    return known[place]


def _draws_one_path(whole: "Objectives", term: Term) -> bool:
    """True if every variable that is used at another place is drawn in one way; reported otherwise."""
    path = path_of(term)
    used = {
        whole.model.indices.lags[v.name].of
        for inner in terms.walk(term)
        for place in mentioned(inner, whole.model)
        for v, _ in sources(place, whole.model, path)
        if v.name in whole.model.indices.lags
    }
    if _goes_both_ways(whole, term, path, used):
        return False
    lagged = {v for name in used for v, _ in sources((Variable(name), path), whole.model, path)}
    for draw in terms.draws_of(term):
        for variable in draw.variables:
            if variable not in lagged:
                continue
            other = path.get(variable)
            if other is not None and other.distribution != draw.distribution:
                whole.sink.add(
                    "PGC121",
                    next((s.span for s in terms.walk(term) if isinstance(s, terms.Expectation)), draw_span(term)),
                    f"{variable} is drawn from {other.distribution.label} and from {draw.distribution.label}, "
                    "and other places would be from either",
                    help="write two objectives",
                )
                return False
            if other is not None and other != draw and not ({other, draw} & (other.around | draw.around)):
                whole.sink.add(
                    "PGC121",
                    draw_span(term),
                    f"{variable} is drawn twice here, and other places would be from either",
                    help="write two objectives, or give both expectations the same options",
                )
                return False
            if variable in draw.enumerated:
                whole.sink.add(
                    "PGC121",
                    draw_span(term),
                    f"{variable} takes every value, and later places depend on one of them",
                    help="leave grad=enumerate out: it is drawn then, and a score function carries its gradient; "
                    f"{shown_place(variable.name)} may be enumerated where nothing refers to another place",
                )
                return False
            if variable in draw.scored and not _scored_in_a_sum(whole, term, variable, draw):
                return False
    return True


def _scored_in_a_sum(whole: "Objectives", term: Term, variable: Variable, draw: Draw) -> bool:
    """True if later costs are added up, so that a score function can weigh each draw by them; reported otherwise."""
    if draw.estimator.baseline is not None:
        wrong = "the baseline is fitted to one place, and later places depend on the draw too"
        help = "write samples=4, which gives each draw the mean of the others"
    elif not _is_sum(whole, term, set()):
        wrong = f"later places depend on {variable}, whose draws pass no gradient, inside what is no sum over places"
        help = "relax it, `E_{q; relax=gumbel}`, or write a sum over one index of expectations, as ELBO[p || q] is"
    else:
        return True
    whole.sink.add("PGC121", draw_span(term), wrong, help=help)
    return False


def _is_sum(whole: "Objectives", term: Term, summed: set[str]) -> bool:
    """True of sums and multiples of sums over one index, of anything that is drawn along its path."""
    if not terms.draws_of(term) and not indices_of(whole, term):
        return True
    match term:
        case terms.Add(items):
            return all(_is_sum(whole, item, summed) for _, item in items)
        case terms.OverIndex(_, index, body):
            return not summed and _is_sum(whole, body, {index})
        case terms.Reference(_, body):
            return _is_sum(whole, body, summed)
        case terms.Expectation(_, body):
            return _is_sum(whole, body, summed)
        case terms.Multiply(items):
            drawn = [item for item in items if terms.draws_of(item)]
            return len(drawn) <= 1 and all(_is_sum(whole, item, summed) for item in drawn)
        case terms.Divide(top, below):
            return not terms.draws_of(below) and _is_sum(whole, top, summed)
        case terms.Divergence() | terms.LogDensity() | terms.Pointwise() | terms.Entries():
            return True
        case _:
            return False


def _goes_both_ways(whole: "Objectives", term: Term, path: Env, used: set[str]) -> bool:
    """Report variables that need places before and behind them of each other."""
    model = whole.model
    graph = nx.DiGraph()
    pending, seen = [Variable(name) for name in used], set[Variable]()
    while pending:
        here = pending.pop()
        if here in seen:
            continue
        seen.add(here)
        lag, draw = model.indices.lags.get(here.name), path.get(here)
        above: list[Variable] = [Variable(lag.of)] if lag is not None else []
        if lag is None and draw is not None:
            above = [p for atom in draw.distribution.atoms if here in atom.targets for p in atom.parents]
        elif lag is None:
            above = list(formula_parents(here, model) or ())
        graph.add_edges_from((p, here) for p in above)
        pending += above
    for group in nx.strongly_connected_components(graph):
        offsets = {v: lag.offset for v in group if (lag := model.indices.lags.get(v.name)) is not None}
        run = next((v for v in sorted(offsets) if len(group) > 1 and model.indices.lags[v.name].reach), None)
        if run is not None:
            whole.sink.add(
                "PGC010",
                model.indices.lags[run.name].span,
                f"a net of {run}, which is drawn along the way, is not part of this version",
                help="carry a state: `h_t = gru(z_t, h_{t-1})` is the recurrent net of all places so far",
            )
            return True
        if len(group) > 1 and min(offsets.values(), default=1) < 0 < max(offsets.values(), default=0):
            before, behind = (next(v for v, k in sorted(offsets.items()) if k * sign > 0) for sign in (-1, 1))
            whole.sink.add(
                "PGC121",
                model.indices.lags[behind.name].span,
                f"a recurrence goes both ways: what {before} depends on needs {behind}, and the other way round",
                help="split it in two: one from the start, one from the end, and then what takes both",
            )
            return True
    return False


def draw_span(term: Term) -> Span:
    """The place of the first draw of a term."""
    return next(t.span for t in terms.walk(term) if isinstance(t, terms.Expectation | terms.Divergence))
