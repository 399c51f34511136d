"""Objectives as sympy expressions over leaves, rewritten by rules until only what must be sampled is sampled."""

from dataclasses import replace

import sympy
from sympy import Add, Expr, Function, Mul, Rational, Symbol

from pgcompile.diagnostics import Sink
from pgcompile.inference.algebra import order_atoms
from pgcompile.model.model import Model
from pgcompile.objective import terms
from pgcompile.objective.dependence import observed_variables, path_of, pointwise_variables
from pgcompile.objective.derivation import Rewritten
from pgcompile.objective.leaves import (
    AggregateLeaf,
    ClosedLeaf,
    DiscrepancyLeaf,
    EntriesLeaf,
    Expect,
    LogDensityLeaf,
    LogMean,
    MeanOver,
    NamedLeaf,
    OverPlaces,
    PlaceCount,
    PointwiseLeaf,
    is_own,
)
from pgcompile.objective.rules.dependence import depends, needed_variables
from pgcompile.objective.rules.gradients import detach_parameters, fit_baselines, hoist_score_terms, surrogate
from pgcompile.objective.rules.log_products import log_product, log_weights
from pgcompile.objective.rules.record import record_refusals, record_sampling
from pgcompile.objective.rules.registry import EXPECTATION_RULES
from pgcompile.objective.rules.rule import Site, apply_rule
from pgcompile.objective.rules.shared_flows import divergence_of_bases
from pgcompile.objective.rules.state import Named, Rewriting
from pgcompile.objective.terms import OBSERVED, Draw, Term
from pgcompile.syntax import tree
from pgcompile.syntax.format import format_expr
from pgcompile.vocabulary.functionals import functionals
from pgcompile.vocabulary.functions import FUNCTIONS


def rewrite(
    term: Term, model: Model, sink: Sink, name: str, *, closed: bool = True, named: Named | None = None
) -> Rewritten:
    """Apply every rule to an objective; notes about what had to be sampled go to the sink.

    Args:
        term: the objective.
        model: what it speaks of.
        sink: for notes.
        name: of the objective.
        closed: whether expectations that are known are taken; without them everything is sampled, to measure by.
        named: objectives that were rewritten already, by their names, each with its term.
    """
    state = Rewriting(model, sink, name, closed, {} if named is None else named)
    expr = hoist_score_terms(_expectations(state, _collect(_formula(state, term))))
    directions = {line.direction for line in model.optimise if line.objective == name}
    if directions:
        expr = fit_baselines(state, expr, -1 if "maximize" in directions else 1)
    used = expr.free_symbols
    return Rewritten(
        expr,
        {s: leaf for s, leaf in state.leaves.items() if s in used},
        {s: draw for s, draw in state.draws.items() if s in used},
        tuple(state.steps),
        frozenset(observed_variables(term, model)),
        {s: spans for s, spans in state.spans.items() if s in used},
        path_of(term) if model.indices.lags else OBSERVED,
    )


# --- terms to formulas ---


def _formula(state: Rewriting, term: Term) -> Expr:
    """A term as a formula over leaves, its expectations still to be taken."""
    match term:
        case terms.Constant(value):
            return Rational(value.numerator, value.denominator)
        case terms.Pointwise(expr, env, text, densities):
            with state.at(expr.span):
                names = pointwise_variables(expr, densities, state.model)
                return state.symbol(PointwiseLeaf(expr, env, text, names, densities))
        case terms.LogDensity(distribution, env, span):
            with state.at(span):
                return log_product(state, distribution, env)
        case terms.Entries(kind, atom, env, label, span):
            with state.at(span):
                return state.symbol(EntriesLeaf(kind, atom, env, label))
        case terms.Expectation(draw, body, span):
            with state.at(span):
                symbol = state.draw_symbol(draw)
                return Expect(symbol, _collect(_formula(state, body)))
        case terms.Divergence(span=span):
            with state.at(span):
                known = _of_bases(state, term)
                if known is not None:
                    return known
                return Expect(state.draw_symbol(term.draw), _formula(state, term.body))
        case terms.Aggregate(span=span):
            with state.at(span):
                state.step("aggregate", term.label, "over all pairs of the batch", functionals()[term.kind].why)
                return Expect(state.draw_symbol(term.draw), state.symbol(AggregateLeaf(term)))
        case terms.Discrepancy(span=span):
            with state.at(span):
                state.step("discrepancy", term.label, "of one batch of samples on either side", _why(term))
                return state.symbol(DiscrepancyLeaf(term))
        case terms.Add(items):
            return Add(*(sign * _formula(state, item) for sign, item in items))
        case terms.Multiply(items):
            return Mul(*(_formula(state, item) for item in items))
        case terms.Divide(top, bottom):
            return _formula(state, top) / _formula(state, bottom)
        case terms.Raise(base, exponent):
            return _formula(state, base) ** _formula(state, exponent)
        case terms.Apply(function, arguments):
            return _apply(function, [_collect(_formula(state, a)) for a in arguments])
        case terms.OverIndex(kind, index, body, span):
            with state.at(span):
                symbol = Symbol(f"index_{index}")
                total = OverPlaces(symbol, _collect(_formula(state, body)))
                return total / PlaceCount(symbol) if kind == "mean" else total
        case terms.Reference(name, inner):
            return _reference(state, name, inner)


def _of_bases(state: Rewriting, term: terms.Divergence) -> Expr | None:
    """A divergence of two distributions through one flow, where that of their bases is known."""
    bases = divergence_of_bases(term, state.model) if state.closed else None
    if bases is None:
        return None
    steps, refusals = list(state.steps), dict(state.refusals)
    symbol = state.draw_symbol(bases.draw)
    value = _expectations(state, Expect(symbol, _formula(state, bases.body)))
    if not any(depends(state, piece, bases.draw) for piece in Add.make_args(value)):
        state.step("shared flow", term.label, bases.label, "a bijection changes both densities by one factor")
        return value
    state.steps, state.refusals = steps, refusals
    del state.draws[symbol]
    return None


def _reference(state: Rewriting, name: str, inner: Term) -> Expr:
    """A named objective keeps its name as a value, unless taking it apart gives a better closed form."""
    if id(inner) not in state.referred:
        state.referred[id(inner)] = _referred(state, name, inner)
    return state.referred[id(inner)]


def _referred(state: Rewriting, name: str, inner: Term) -> Expr:
    known, value = state.named.get(name, (None, None))
    sink = Sink(state.sink.source)
    if value is None or known is not inner:
        value = rewrite(inner, state.model, sink, name, closed=state.closed, named=state.named)
        state.named[name] = inner, value
    partial = any(
        (isinstance(leaf, ClosedLeaf) and leaf.kind in ("CE", "H"))
        or (isinstance(leaf, LogDensityLeaf) and is_own(leaf))
        for leaf in value.leaves.values()
    )
    scored = any(draw.scored for draw in value.draws.values())
    if partial or scored or isinstance(value.expr, Symbol) or value.expr.is_Number:
        return _formula(state, inner)
    state.sink.absorb(sink)
    state.steps.extend(value.steps)
    return state.symbol(NamedLeaf(name, value))


def _collect(expr: Expr) -> Expr:
    """Expectations over one draw in a sum are one expectation of a sum."""
    parts: dict[Symbol, list[Expr]] = {}
    rest: list[Expr] = []
    for term in Add.make_args(expr):
        factors = Mul.make_args(term)
        inside = [f for f in factors if isinstance(f, Expect)]
        coefficient = Mul(*(f for f in factors if not isinstance(f, Expect)))
        if len(inside) == 1 and not coefficient.has(Expect):
            parts.setdefault(inside[0].args[0], []).append(coefficient * inside[0].args[1])
        else:
            rest.append(term)
    return Add(*rest, *(Expect(draw, Add(*bodies)) for draw, bodies in parts.items()))


# --- expectations ---


def _expectations(state: Rewriting, expr: Expr) -> Expr:
    """Replace every expectation, innermost first."""
    if isinstance(expr, sympy.log) and isinstance(expr.args[0], Expect):
        found = _log_mean_exp(state, *expr.args[0].args)
        if found is not None:
            return found
    if isinstance(expr, Expect):
        return _expectation(state, expr.args[0], _expectations(state, expr.args[1]))
    if not expr.has(Expect):
        return expr
    return expr.func(*(_expectations(state, arg) for arg in expr.args))


def _expectation(state: Rewriting, symbol: Symbol, body: Expr) -> Expr:
    """The expectation of a sum: what is known by a rule, what does not depend on the draw, and what is sampled."""
    draw = state.draws[symbol]
    pieces = list(Add.make_args(Add(*(sympy.expand_mul(arg, deep=False) for arg in Add.make_args(body)))))
    pieces, summed = _sums_apart(state, pieces, draw)
    if summed:
        # The mean of a sum over places is the sum of the means.
        means = [OverPlaces(index, _expectation(state, symbol, inner)) for index, inner in summed.items()]
        return Add(*means, _expectation(state, symbol, Add(*pieces)) if pieces else 0)
    for atom in reversed(order_atoms(draw.distribution)):
        usable = state.closed and not draw.distribution.evidence
        if usable and atom.factor.family is not None and len(atom.targets) == 1:
            for rule in EXPECTATION_RULES:
                pieces = apply_rule(state, rule, Site(draw, atom), pieces)
    if draw.estimator.grad == "stl":
        pieces = [detach_parameters(state, piece, draw) for piece in pieces]
    inside, outside = _split(state, pieces, draw)
    if not inside:
        return Add(*outside)
    with state.at(*state.spans.get(symbol, ())):
        needed = needed_variables(state, inside, draw)
        record_refusals(state, draw, inside)
        record_sampling(state, draw, inside, needed)
        weights = log_weights(state, draw, [v for v in draw.enumerated if v in needed])
        surrogates = [surrogate(state, symbol, v, inside, needed) for v in draw.scored if v in needed]
    if draw.samples > 1 or draw.rows or weights != 0 or surrogates:
        return Add(*outside, MeanOver(symbol, Add(*inside), weights, *surrogates))
    return Add(*outside, *inside)


def _sums_apart(state: Rewriting, pieces: list[Expr], draw: Draw) -> tuple[list[Expr], dict[Symbol, Expr]]:
    """The pieces of a sum that are no sums over places, and the bodies of those that are, by their index."""
    rest: list[Expr] = []
    summed: dict[Symbol, list[Expr]] = {}
    for piece in pieces:
        factors = Mul.make_args(piece)
        inside = [f for f in factors if isinstance(f, OverPlaces)]
        others = Mul(*(f for f in factors if not isinstance(f, OverPlaces)))
        if len(inside) == 1 and not depends(state, others, draw):
            summed.setdefault(inside[0].args[0], []).append(others * inside[0].args[1])
        else:
            rest.append(piece)
    return rest, {index: Add(*bodies) for index, bodies in summed.items()}


def _split(state: Rewriting, pieces: list[Expr], draw: Draw) -> tuple[list[Expr], list[Expr]]:
    """The pieces that depend on a draw, and the others, whose expectation is themselves; a sum keeps them."""
    if draw.rows == "sum":
        return pieces, []
    inside = [piece for piece in pieces if depends(state, piece, draw)]
    return inside, [piece for piece in pieces if piece not in inside]


def _log_mean_exp(state: Rewriting, symbol: Symbol, body: Expr) -> Expr | None:
    """`log E[exp(b)]` by log-sum-exp; with one sample it is `E[b]`. None for any other body."""
    draw = state.draws[symbol]
    body = exponentials(state, body) if draw.rows else body
    number, rest = body.as_coeff_Mul()
    factors = Mul.make_args(rest)
    if number <= 0 or rest.has(Expect) or not all(isinstance(f, sympy.exp) for f in factors):
        return None
    inner = Add(*(f.args[0] for f in factors)) + sympy.log(number)
    if draw.samples == 1 and not draw.enumerated and not draw.rows:
        return _expectation(state, symbol, inner)
    pieces = list(Add.make_args(sympy.expand_mul(inner)))
    if draw.estimator.grad == "dreg":
        pieces = [detach_parameters(state, piece, draw) for piece in pieces]
    inside = [piece for piece in pieces if depends(state, piece, draw)]
    outside = [piece for piece in pieces if piece not in inside]
    if not inside:
        return Add(*outside)
    needed = needed_variables(state, inside, draw)
    enumerated = [v for v in draw.enumerated if v in needed]
    scored = [v for v in draw.scored if v in needed]
    if enumerated and scored:
        return None
    with state.at(*state.spans.get(symbol, ())):
        record_sampling(state, draw, inside, needed, logarithm=True)
        surrogates = [surrogate(state, symbol, v, [], needed) for v in scored]
        weights = log_weights(state, draw, enumerated)
    return Add(*outside, LogMean(symbol, Add(*inside), weights, *surrogates))


def exponentials(state: Rewriting, body: Expr) -> Expr:
    """A formula in which `exp(...)` of variables and nets is one, so that its logarithm is taken without it."""
    found = {}
    for symbol in body.free_symbols:
        leaf = state.leaves.get(symbol)
        inside = _exponent(leaf.expr) if isinstance(leaf, PointwiseLeaf) else None
        if isinstance(leaf, PointwiseLeaf) and inside is not None:
            found[symbol] = sympy.exp(state.symbol(replace(leaf, expr=inside, text=format_expr(inside))))
    return body.xreplace(found)


def _exponent(expr: tree.Expr) -> tree.Expr | None:
    """The argument of an exponential, also of one of several entries; None of any other expression."""
    match expr:
        case tree.Call("exp", (argument,), None):
            return argument.value
        case tree.Index(base, indices):
            inside = _exponent(base)
            return None if inside is None else replace(expr, base=inside, indices=indices)
        case _:
            return None


def _apply(function: str, arguments: list[Expr]) -> Expr:
    """A function of terms, by the symbolic form that its row states."""
    row = FUNCTIONS[function]
    module, _, name = row.symbol.rpartition(".")
    head = getattr(sympy, name) if module else Function(name)
    return head(*arguments) if row.exponent is None else head(*arguments, row.exponent)


def _why(term: terms.Discrepancy) -> str:
    """The reason that a discrepancy is estimated as it is; the gradient penalty is part of `W_d`."""
    return functionals()["W_d" if term.kind == "GP" else term.kind].why
