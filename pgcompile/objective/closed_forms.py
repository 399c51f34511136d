"""Expected log-densities in closed form, derived from what each family knows of itself.

`E_q[log p(X)]` is taken term by term: `log p` is a sum of coefficients times functions of X, and the expectation of
each function is one of q's moments. Second moments are taken about p's location, so that nothing cancels.
"""

from collections.abc import Callable, Mapping

from sympy import Abs, Add, Dummy, Expr, Integer, Mul, Pow, S, Symbol, cos, exp, expand_mul, log, loggamma
from sympy.core.function import AppliedUndef

from pgcompile.vocabulary.symbols import Facts, Inside, Log1p, Pick, Total, Whiten, X

HIGHEST_POWER = 8


def expect(expr: Expr, facts: Facts) -> Expr | None:
    """`E[expr]` under the family whose facts these are; None where a moment is not known."""
    if not expr.has(X):
        return expr
    if isinstance(expr, Add):
        parts = [expect(arg, facts) for arg in expr.args]
        return None if any(part is None for part in parts) else Add(*parts)
    if isinstance(expr, Mul):
        free, rest = expr.as_independent(X, as_Add=False)
        if free != 1:
            inner = expect(rest, facts)
            return None if inner is None else free * inner
        spread = _distribute(expr)
        return None if spread is None else expect(spread, facts)
    return _moment(expr, facts)


def _distribute(expr: Mul) -> Expr | None:
    """`(X + 1) * a` as `X * a + a`: one sum in a product is multiplied out, no square ever is."""
    sums = [arg for arg in expr.args if isinstance(arg, Add) and arg.has(X)]
    if not sums:
        return None
    rest = Mul(*(arg for arg in expr.args if arg is not sums[0]))
    return None if rest.has(X) else Add(*(arg * rest for arg in sums[0].args))


def _moment(atom: Expr, facts: Facts) -> Expr | None:
    """The expectation of one function of X."""
    known = facts.moments
    if atom == X:
        return known.get("x")
    if isinstance(atom, AppliedUndef) and atom.func == Total:
        return _total(atom.args[0], facts)
    if atom == log(X):
        return known.get("log x")
    if atom == log(1 - X):
        return known.get("log(1-x)")
    if isinstance(atom, Pow) and atom.args == (X, S.NegativeOne):
        return known.get("1/x")
    if isinstance(atom, Pow) and atom.exp == 2:
        return _square(atom.base, known)
    if isinstance(atom, Pow) and atom.exp.is_Integer and 2 < atom.exp <= HIGHEST_POWER:
        return _power(atom.base, int(atom.exp), known)
    if isinstance(atom, exp):
        return _exponential(atom.args[0], known)
    if isinstance(atom, AppliedUndef) and atom.func == Log1p:
        found = _perfect_square(atom.args[0])
        moment = known.get("log(1+b(x-c)^2)")
        return moment(*found) if found is not None and callable(moment) else None
    if atom == loggamma(X + 1):
        return S(known["log x!"]) if "log x!" in known else None
    if isinstance(atom, Abs):
        line = _linear(atom.args[0], X)
        return _scaled(known.get("|x-c|"), line, Abs) if line is not None and line[0].is_number else None
    if isinstance(atom, cos):
        found = _linear(atom.args[0], X)
        return _apply(known.get("cos(x-c)"), found[1]) if found is not None and found[0] in (1, -1) else None
    if isinstance(atom, AppliedUndef) and atom.func == Pick and not atom.args[0].has(X) and atom.args[1] == X:
        return _apply(known.get("pick v"), atom.args[0])
    if isinstance(atom, AppliedUndef) and atom.func == Inside and atom.args[0] == X:
        moment = known.get("inside(x,a,b)")
        return moment(*atom.args[1:]) if callable(moment) else None
    return None


def _total(body: Expr, facts: Facts) -> Expr | None:
    """Sums over the last dimension pass expectations through, except for the norm of a whitened vector."""
    if isinstance(body, Pow) and body.exp == 2 and isinstance(body.base, AppliedUndef) and body.base.func == Whiten:
        tril, vector = body.base.args
        centre = _centre(vector, X)
        moment = facts.moments.get("|L^-1(x-c)|^2")
        return moment(tril, centre) if callable(moment) and centre is not None and not tril.has(X) else None
    inner = expect(body, facts)
    return None if inner is None else Total(inner)


def _perfect_square(expr: Expr) -> tuple[Expr, Expr] | None:
    """`(b, c)` of `b (x - c)^2`."""
    factors = Mul.make_args(expr)
    squares = [f for f in factors if f.has(X)]
    if len(squares) != 1 or not isinstance(squares[0], Pow) or squares[0].exp != 2:
        return None
    line = _linear(squares[0].base, X)
    return None if line is None else (Mul(*(f for f in factors if f is not squares[0])) * line[0] ** 2, line[1])


def _power(base: Expr, exponent: int, known: Mapping[str, object]) -> Expr | None:
    """`E[(a x + b)^n]`."""
    found = _line(base)
    moment = known.get("(ax+b)^n")
    return moment(*found, exponent) if found is not None and callable(moment) else None


def _exponential(argument: Expr, known: Mapping[str, object]) -> Expr | None:
    """`E[exp(a x + b)]`; some families have it for negative a only: those of the form -1/s with a positive s."""
    found = _line(argument)
    if found is None:
        return None
    moment = known.get("exp(ax+b)")
    if callable(moment):
        return moment(*found)
    slope, offset = found
    scale = -1 / slope
    positive = scale.is_positive or (isinstance(scale, Symbol) and str(scale).endswith("_scale"))
    moment = known.get("exp(-(x-c)/s)")
    return moment(expand_mul(offset * scale), scale) if callable(moment) and positive else None


def _square(base: Expr, known: Mapping[str, object]) -> Expr | None:
    found = _linear(base, X)
    if found is None:
        return _scaled(known.get("(log x-c)^2"), _linear(base, log(X)), lambda slope: slope**2)
    slope, centre = found
    if not slope.is_number:
        return _square_of_line(base, known)
    if centre == 0 and "x^2" in known:
        return slope**2 * known["x^2"]
    return _scaled(known.get("(x-c)^2"), found, lambda slope: slope**2)


def _square_of_line(base: Expr, known: Mapping[str, object]) -> Expr | None:
    """`E[(a x + b)^2]` as `a^2 var + (a mean + b)^2`, which does not divide by a slope that may be zero."""
    line, mean, moment = _line(base), known.get("x"), known.get("(x-c)^2")
    if line is None or not isinstance(mean, Expr) or not callable(moment):
        return None
    slope, offset = line
    return slope**2 * moment(mean) + (slope * mean + offset) ** 2


def _line(expr: Expr) -> tuple[Expr, Expr] | None:
    """`(a, b)` of `a x + b`; None for anything else."""
    slope = expr.diff(X)
    return None if slope == 0 or slope.has(X) else (slope, expr.subs(X, 0))


def _linear(expr: Expr, variable: Expr) -> tuple[Expr, Expr] | None:
    """`(a, c)` of `a * (variable - c)`; None for anything else."""
    t = Dummy("t")
    line = expr.subs(variable, t)
    slope = line.diff(t)
    if slope == 0 or slope.has(t) or line.has(X):
        return None
    return slope, expand_mul(t - line / slope)


def _scaled(moment: object, line: tuple[Expr, Expr] | None, power: Callable[[Expr], Expr]) -> Expr | None:
    """A moment about a centre, times what the slope contributes."""
    if line is None:
        return None
    found = _apply(moment, line[1])
    return None if found is None else power(line[0]) * found


def _centre(expr: Expr, variable: Expr) -> Expr | None:
    """c of `variable - c`, None for anything else."""
    found = _linear(expr, variable)
    return found[1] if found is not None and found[0] == 1 else None


def _apply(moment: object, argument: Expr | None) -> Expr | None:
    return moment(argument) if callable(moment) and argument is not None else None


def expected_log_density(densities: list[tuple[int, Expr]], facts: Facts) -> Expr | None:
    """`sum of sign * E_q[log p]`, terms that cancel cancelling before any expectation is taken."""
    found = expect(Add(*(Integer(sign) * _split_totals(density) for sign, density in densities)), facts)
    return None if found is None else gather(found)


def entropy(facts: Facts) -> Expr | None:
    """`-E_q[log q]`, from the moments where they suffice."""
    if facts.entropy is not None:
        return facts.entropy
    found = expect(facts.log_density, facts)
    return None if found is None else gather(-found)


def _split_totals(expr: Expr) -> Expr:
    """`Total(a + b)` as `Total(a) + Total(b)`, so that equal parts of two densities meet."""

    def split(total: Expr) -> Expr:
        return Add(*(Total(arg) for arg in Add.make_args(total.args[0])))

    return expr.replace(lambda e: isinstance(e, AppliedUndef) and e.func == Total, split)


def gather(expr: Expr) -> Expr:
    """Sums of totals under one total, and terms with a common factor (a sum or a function) under one product."""
    terms = list(Add.make_args(expr))
    totals: list[Expr] = []
    rest: list[Expr] = []
    for term in terms:
        number, body = term.as_coeff_Mul()
        if isinstance(body, AppliedUndef) and body.func == Total:
            totals.extend(number * part for part in Add.make_args(body.args[0]))
        else:
            rest.append(term)
    if totals:
        rest.append(Total(gather(Add(*totals))))
    return Add(*_common_factors(rest))


def _common_factors(terms: list[Expr]) -> list[Expr]:
    counts: dict[Expr, int] = {}
    for term in terms:
        for factor in {f for f in Mul.make_args(term) if _worth_sharing(f)}:
            counts[factor] = counts.get(factor, 0) + 1
    shared = [f for f, n in counts.items() if n > 1]
    if not shared:
        return terms
    factor = min(shared, key=lambda f: (-counts[f], str(f)))
    having = [t for t in terms if factor in Mul.make_args(t)]
    left = [t for t in terms if factor not in Mul.make_args(t)]
    return _common_factors([*left, factor * Add(*(Mul(*_without(t, factor)) for t in having))])


def _without(term: Expr, factor: Expr) -> list[Expr]:
    factors = list(Mul.make_args(term))
    factors.remove(factor)
    return factors


def _worth_sharing(factor: Expr) -> bool:
    """Sums and functions; not logarithms, whose products with a zero are taken as zero."""
    if isinstance(factor, log):
        return False
    if isinstance(factor, Add):
        return True
    return bool(getattr(factor, "is_Function", False))
