"""Lowers a family's sympy formula to plan values: the one place where mathematics becomes tensor operations."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, reduce

import sympy
from sympy import Add, Expr, Integer, Mul, Pow, Rational, Symbol
from sympy.core.function import AppliedUndef

from pgcompile.diagnostics import InternalError
from pgcompile.plan.builder import Builder
from pgcompile.plan.lower.heads import HEADS
from pgcompile.plan.lower.sums import chain, product
from pgcompile.plan.meaning import meaning
from pgcompile.plan.ops import broadcast
from pgcompile.plan.values import Value
from pgcompile.vocabulary.functions import FUNCTIONS
from pgcompile.vocabulary.symbols import DIM, RUNTIME

_UNARY = {
    **{f.symbol.rpartition(".")[2] or f.name: f.op for f in FUNCTIONS.values() if f.shape == "elementwise"},
    "loggamma": "lgamma",
    "LogNdtr": "log_ndtr",
    "Floor": "floor",
    "Round": "round",
}
"""The operation of each symbolic function of one argument."""
_HELPERS = {
    "LogBesselI0": "log_bessel_i0",
    "BesselRatio": "bessel_ratio",
    "LogExpm1Ratio": "log_expm1_ratio",
    "ContinuousBernoulliMean": "continuous_bernoulli_mean",
    "ContinuousBernoulliVariance": "continuous_bernoulli_variance",
    "ClippedUnit": "clipped_unit",
    "ClippedPositive": "clipped_positive",
}
# Heads that are zero where one of some arguments is.
_LINEAR = {"RowSquares": (0,), "TotalMatrix": (0,), "Whiten": (1,), "WhitenMatrix": (1,), "MatVec": (0, 1)}
Noise = Callable[[str, tuple[Expr, ...], "FormulaLowering"], Value]


@dataclass
class FormulaLowering:
    """One formula over known symbols.

    Args:
        builder: where values are made.
        bindings: values of the symbols.
        dim: what `DIM` stands for.
        noise: makes the value of a noise head.
    """

    builder: Builder
    bindings: dict[Symbol, Value]
    dim: int | None = None
    noise: Noise | None = None
    _known: dict[Expr, Value] = field(default_factory=dict)

    def lower(self, expr: Expr) -> Value:
        """The value of a formula."""
        if self.dim is not None and expr.has(DIM):
            expr = expr.subs(DIM, self.dim)
        return self._lower(expr)

    def _lower(self, expr: Expr) -> Value:
        if expr not in self._known:
            self._known[expr] = self._make(expr)
        return self._known[expr]

    def _make(self, expr: Expr) -> Value:
        if expr.is_number:
            number = float(expr.evalf(25))
            return self.builder.constant(number, meaning(-expr if number < 0 else expr))
        match expr:
            case Symbol():
                return self.bindings[expr]
            case Add():
                return self._add(expr)
            case Mul():
                return self._mul(expr)
            case Pow():
                return self._pow(expr)
            case sympy.log():
                return self._log(expr.args[0])
            case sympy.polygamma():
                return self.builder.unary("digamma", self._lower(expr.args[1]))
            case AppliedUndef():
                return self._head(expr)
            case _:
                op = _UNARY.get(type(expr).__name__)
                if op is None:
                    raise InternalError(f"no tensor code for {expr}")
                return self.builder.unary(op, self._lower(expr.args[0]))

    def _log(self, argument: Expr) -> Value:
        """`log(1 - u)` keeps its digits when u is small; of a sum of exponentials no term is exponentiated alone."""
        parts = [term.as_coeff_Mul() for term in Add.make_args(argument)]
        if len(parts) > 1 and all(c > 0 and isinstance(body, sympy.exp) for c, body in parts):
            terms = [self._lower(body.args[0] + sympy.log(c)) for c, body in parts]
            total = self.builder.tensor(terms[0])
            for value in terms[1:]:
                a, b = self.builder.align(total, self.builder.tensor(value))
                total = self.builder.make("logaddexp", (a, b), shape=max((a.shape, b.shape), key=len))
            return total
        one, rest = argument.as_coeff_Add()
        if one == 1 and rest != 0:
            return self.builder.unary("log1p", self._lower(rest))
        return self.builder.unary("log", self._lower(argument))

    # --- sums ---

    def _add(self, expr: Expr) -> Value:
        terms = [self._split(term) for term in _ordered_terms(expr)]
        values: list[tuple[Rational, Value]] = []
        terms = self._bernoulli_log_probs(terms, values)
        for number, group in _by_size(terms):
            if number == 1 or len(group) == 1:
                values.extend((coefficient, self._lower(body)) for coefficient, body in group)
                continue
            inner = [(Integer(1 if c > 0 else -1), self._lower(body)) for c, body in group]
            sign, total = chain(self.builder, inner)
            values.append((sign * number, total))
        sign, total = chain(self.builder, values)
        return total if sign > 0 else self.builder.unary("neg", total)

    def _split(self, term: Expr) -> tuple[Rational, Expr]:
        coefficient, body = term.as_coeff_Mul()
        if not coefficient.is_Rational:
            return Integer(1), term
        return coefficient, body

    def _bernoulli_log_probs(
        self, terms: list[tuple[Rational, Expr]], values: list[tuple[Rational, Value]]
    ) -> list[tuple[Rational, Expr]]:
        """`x l - softplus(l)` is the log-probability of a Bernoulli with logits l, one stable operation."""
        left = list(terms)
        for coefficient, body in terms:
            if type(body).__name__ != "Softplus" or not isinstance(body.args[0], Symbol):
                continue
            logits = body.args[0]
            partner = next(
                (
                    t
                    for t in left
                    if t[0] == -coefficient and isinstance(t[1], Mul) and len(t[1].args) == 2 and logits in t[1].args
                ),
                None,
            )
            if partner is None:
                continue
            target = next(a for a in partner[1].args if a != logits)
            if not isinstance(target, Symbol):
                continue
            a, b = self.builder.align(self.builder.tensor(self._lower(logits)), self._lower(target))
            values.append((-coefficient, self.builder.make("bernoulli_log_prob", (a, b), (0,))))
            left.remove(partner)
            left.remove((coefficient, body))
        return left

    # --- products ---

    def _mul(self, expr: Expr) -> Value:
        coefficient, rest = expr.as_coeff_Mul()
        if not coefficient.is_Rational:
            coefficient, rest = Integer(1), expr
        over: list[tuple[Expr, Expr]] = []
        under: list[tuple[Expr, Expr]] = []
        for factor in Mul.make_args(rest):
            base, exponent = factor.as_base_exp() if isinstance(factor, Pow) else (factor, Integer(1))
            if exponent.is_number and exponent < 0:
                under.append((base, -exponent))
            else:
                over.append((base, exponent))
        if not under and (parts := _vanishing(over)) is not None:
            return self._lower_sum([coefficient * part for part in parts])
        top = self._logs(over)
        squares = self._ratio(over, under, Integer(2))
        roots = self._ratio(over, under, Rational(1, 2))
        values = [*top, *squares, *roots, *(self._power(b, e) for b, e in over)]
        numbers = [v for v in values if v.constant is not None]
        values = [v for v in values if v.constant is None]
        number = float(coefficient.evalf(25))
        for value in numbers:
            number *= value.constant or 0.0
        result = product(self.builder, values)
        below = product(self.builder, [self._power(b, e) for b, e in under])
        if below is not None:
            result = self.builder.binary("div", result if result is not None else self.builder.constant(number), below)
            if not values:
                return result
        if result is None:
            return self.builder.constant(number)
        return self.builder.binary("mul", self.builder.constant(number), result)

    def _lower_sum(self, terms: list[Expr]) -> Value:
        """A sum whose terms stay as they are."""
        sign, total = chain(self.builder, [(c, self._lower(body)) for c, body in (t.as_coeff_Mul() for t in terms)])
        return total if sign > 0 else self.builder.unary("neg", total)

    def _logs(self, over: list[tuple[Expr, Expr]]) -> list[Value]:
        """`a log(b)` as one operation that is 0 where a is 0, whatever b is."""
        logs = [f for f in over if isinstance(f[0], sympy.log) and f[1] == 1 and not f[0].is_number]
        others = [f for f in over if f not in logs]
        if len(logs) != 1 or not others:
            return []
        weight = product(self.builder, [self._power(b, e) for b, e in others])
        assert weight is not None
        if weight.constant is not None:
            return []
        argument = logs[0][0].args[0]
        over.clear()
        one, rest = argument.as_coeff_Add()
        if one == 1 and rest != 0:
            return [self.builder.binary("xlog1py", weight, self._lower(rest))]
        inner = self._lower(argument)
        if inner.op == "exp":
            return [self.builder.binary("mul", weight, inner.args[0])]
        return [self.builder.binary("xlogy", weight, inner)]

    def _ratio(self, over: list[tuple[Expr, Expr]], under: list[tuple[Expr, Expr]], exponent: Expr) -> list[Value]:
        """`a^2 / b^2` as `(a / b)^2`: one operation less, and no overflow of the squares."""
        tops = [b for b, e in over if e == exponent]
        bottoms = [b for b, e in under if e == exponent]
        if not tops or not bottoms:
            return []
        over[:] = [f for f in over if f[1] != exponent]
        under[:] = [f for f in under if f[1] != exponent]
        quotient = Mul(*tops, evaluate=False) if len(tops) > 1 else tops[0]
        below = product(self.builder, [self._lower(b) for b in bottoms])
        assert below is not None
        ratio = self.builder.binary("div", self._lower(quotient), below)
        return [self.builder.unary("square" if exponent == 2 else "sqrt", ratio)]

    def _pow(self, expr: Expr) -> Value:
        base, exponent = expr.as_base_exp()
        if exponent.is_number and exponent < 0:
            inner = self._power(base, -exponent)
            if exponent == Rational(-1, 2):
                return self.builder.unary("rsqrt", self._lower(base))
            return self.builder.unary("reciprocal", inner)
        return self._power(base, exponent)

    def _power(self, base: Expr, exponent: Expr) -> Value:
        value = self._lower(base)
        if exponent == 1:
            return value
        if exponent == 2:
            return self.builder.unary("square", value)
        if exponent == Rational(1, 2):
            return self.builder.unary("sqrt", value)
        return self.builder.binary("pow", value, self._lower(exponent))

    # --- heads ---

    def _head(self, expr: Expr) -> Value:
        name = expr.func.__name__
        build = self.builder
        if name in _UNARY:
            return build.unary(_UNARY[name], self._lower(expr.args[0]))
        if name in _HELPERS:
            argument = build.tensor(self._lower(expr.args[0]))
            return build.make("special", (argument,), (_HELPERS[name],), shape=argument.shape)
        if name.startswith("Standard") or name.endswith("Draw"):
            assert self.noise is not None
            return self.noise(name, expr.args, self)
        if name in ("OfMatrix", "RowsOf", "MatrixOf"):
            return self._of_matrices(name, str(expr.args[0]), [build.tensor(self._lower(a)) for a in expr.args[1:]])
        args = [self._lower(arg) for arg in expr.args]
        first = args[0]
        if name.startswith(RUNTIME):
            lined = build.align_all([build.tensor(arg) for arg in args])
            shape = reduce(broadcast, (value.shape for value in lined))
            return build.make("special", tuple(lined), (name.removeprefix(RUNTIME),), shape=shape)
        if name in _LINEAR and any(args[place].constant == 0.0 for place in _LINEAR[name]):
            return build.constant(0.0)  # a number is each entry's, and has no dimensions to multiply over
        if name in ("Total", "Inside"):
            return self._total(first) if name == "Total" else self._inside(args)
        rule = HEADS.get(name)
        if rule is None:
            raise InternalError(f"no tensor code for {name}")
        return rule(build, args, self.dim)

    def _of_matrices(self, head: str, function: str, args: list[Value]) -> Value:
        """A function of matrices [.., D, D], of vectors with a number a row, and of numbers, each for every matrix."""
        build = self.builder
        assert self.dim is not None
        if head == "RowsOf":
            shape = (*args[0].shape, self.dim)
            return build.make("special", tuple(args), (function, self.dim), shape=shape)
        if head == "OfMatrix":
            matrix, *rest = args
            lead = matrix.rank - 2
            # A number for each matrix stands beside the first of those dimensions that it has not.
            rest = [build.raise_rank(value, lead) if value.rank < lead else value for value in rest]
            return build.make("special", (matrix, *rest), (function,), shape=matrix.shape[:-2])
        return build.make("special", tuple(args), (function,), shape=args[-1].shape)

    def _inside(self, args: list[Value]) -> Value:
        """0 where `low <= x <= high`, else -inf."""
        build = self.builder
        numbers = [value.constant for value in args]
        if None not in numbers:
            x, low, high = (number or 0.0 for number in numbers)
            if low <= x <= high:
                return build.constant(0.0)
            args[0] = build.tensor(args[0])
        lined = build.align_all(args)
        return build.make("inside", tuple(lined), shape=max((v.shape for v in lined), key=lambda s: (len(s), s)))

    def _total(self, value: Value) -> Value:
        """Sum over the last dimension; a value that is the same for every entry counts `dim` times."""
        assert self.dim is not None
        if value.rank == 0 or value.shape[-1] == 1 != self.dim:
            inner = value if value.rank == 0 else self.builder.sum_last(value)
            return self.builder.binary("mul", self.builder.constant(self.dim), inner)
        return self.builder.sum_last(value)


def _vanishing(factors: list[tuple[Expr, Expr]]) -> list[Expr] | None:
    """The terms of `u (log u - log v)`, each of which is 0 where u is, though the difference is infinite there.

    Args:
        factors: bases and exponents of a product.

    Returns:
        The terms multiplied out; None where the product is another.
    """
    sums = [base for base, exponent in factors if exponent == 1 and isinstance(base, Add)]
    for total in sums:
        logs = [term.as_coeff_Mul()[1] for term in total.args]
        if not all(isinstance(term, sympy.log) for term in logs):
            continue
        weights = [(b, e) for b, e in factors if b != total]
        if any(e == 1 and sympy.log(b) in logs for b, e in weights):
            weight = Mul(*(b**e for b, e in weights))
            return [weight * term for term in total.args]
    return None


@lru_cache(maxsize=1024)
def _ordered_terms(expr: Add) -> tuple[Expr, ...]:
    """The terms of a sum in sympy's printing order, which is slow to find and the same for every factor of a family."""
    return tuple(expr.as_ordered_terms())


def _by_size(terms: list[tuple[Rational, Expr]]) -> list[tuple[Rational, list[tuple[Rational, Expr]]]]:
    """Terms grouped by the size of their coefficient, numbers counted into a group of theirs when one exists."""
    groups: dict[Rational, list[tuple[Rational, Expr]]] = {}
    numbers: list[tuple[Rational, Expr]] = []
    for coefficient, body in terms:
        if body == 1 or body.is_number:
            numbers.append((coefficient, body))
        else:
            groups.setdefault(abs(coefficient), []).append((coefficient, body))
    for coefficient, body in numbers:
        size = (
            abs(coefficient)
            if body == 1 and abs(coefficient) in groups and len(groups[abs(coefficient)]) > 1
            else Integer(1)
        )
        if size == 1 and coefficient != 0 and abs(coefficient) != 1:
            groups.setdefault(Integer(1), []).append((Integer(1), coefficient * body))
        else:
            groups.setdefault(size, []).append((coefficient, body))
    return list(groups.items())
