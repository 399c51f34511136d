"""Functions that expressions may call, a row each with everything that is known of it.

A row may state an inverse; densities of deterministic variables follow by a change of variables. It may state a
symbolic form; the function then stands in objectives, between expectations.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from pgcompile.vocabulary.spaces import contains


@dataclass(frozen=True)
class Inverse:
    """The inverse of an elementwise function, both formulas in the language itself, of `v`.

    Args:
        value: the argument at which the function is `v`.
        log_slope: log of the absolute derivative of `value`.
    """

    value: str
    log_slope: str


@dataclass(frozen=True)
class Function:
    """One function.

    Args:
        name: as it is written.
        op: the plan operation that computes it.
        shape: `elementwise`, `reduce` (over all event dimensions), `last` (over the last one), `keep`
            (along the last one), `binary`, `cat`, `one_hot`, `clamp`; of matrices `square`, `transpose`, `diag`
            (a vector as a diagonal matrix), `outer`, `trace`, `log_det`, `solve`, `eye`; `compare` and `where` (entry
            by entry), `place` (of the largest entry), `norm`, `dot`, `stack`, `reshape`, `einsum`; `gradient` and
            `jacobian` (of a formula with respect to a variable); of a net that is one Linear layer `weight` and `bias`;
            `shuffle` (each entry at another row of the batch); `observed` (of a variable that data may lack);
            `tail` and `quantile` (of a factor).
        codomain: kind of the result; None where it follows from the argument's kind.
        differentiable: whether gradients pass.
        domain: kind of space outside of which the value is not a number.
        fold: its value at numbers, of functions of numbers.
        symbol: its symbolic form: `sympy.exp` is sympy's own, any other name an undefined function.
        exponent: the second argument of that form, where it is a power.
        of_terms: whether it may be applied to a term of an objective; it then has a symbolic form.
        inverse: where it is invertible everywhere on its domain.
        latex: its command; a function without one is set upright.
    """

    name: str
    op: str
    shape: str = "elementwise"
    codomain: str | None = "real"
    differentiable: bool = True
    domain: str = "real"
    fold: Callable[..., float] | None = None
    symbol: str = ""
    exponent: int | None = None
    of_terms: bool = False
    inverse: Inverse | None = None
    latex: str = ""

    @property
    def arguments(self) -> int:
        """Number of its arguments where it is applied to terms."""
        return 2 if self.shape == "binary" else 1


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _digamma(x: float) -> float:
    """By its recurrence up to 10, and there by its expansion (Abramowitz & Stegun 6.3.18)."""
    if x <= 0:
        raise ValueError("digamma of what is not positive")
    total = 0.0
    while x < 10:
        total -= 1 / x
        x += 1
    square = 1 / (x * x)
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132))))
    return total + math.log(x) - 0.5 / x - series


_EXP = Inverse("log v", "-log v")
_SOFTPLUS = Inverse("v + log(-expm1(-v))", "-log(-expm1(-v))")
_SIGMOID = Inverse("logit(v)", "(-log v) - log1p(-v)")
_LOGIT = Inverse("sigmoid(v)", "-(softplus(v) + softplus(-v))")
_TANH = Inverse("0.5 * (log1p(v) - log1p(-v))", "-(log1p(v) + log1p(-v))")

COMPARISONS = {
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "equal": "==",
    "not_equal": "!=",
}
"""The functions that are written between their arguments, with their signs; their values are 0 and 1."""

STEPS_WHY = "its slope is zero wherever it has one"
"""The reason that no gradient passes through a function that is not differentiable."""

_FUNCTIONS = (
    Function(
        "exp", "exp", codomain="positive", fold=math.exp, symbol="sympy.exp", of_terms=True, inverse=_EXP, latex=r"\exp"
    ),
    # In an objective `log` is a keyword of its own, whose operand may be a density.
    Function("log", "log", domain="positive", fold=math.log, symbol="sympy.log", latex=r"\log"),
    Function("log1p", "log1p", fold=math.log1p, symbol="Log1p", of_terms=True, inverse=Inverse("expm1(v)", "v")),
    Function("expm1", "expm1", fold=math.expm1, symbol="Expm1", inverse=Inverse("log1p(v)", "-log1p(v)")),
    Function(
        "softplus",
        "softplus",
        codomain="positive",
        fold=_softplus,
        symbol="Softplus",
        of_terms=True,
        inverse=_SOFTPLUS,
    ),
    Function(
        "sigmoid",
        "sigmoid",
        codomain="unit_interval",
        fold=_sigmoid,
        symbol="Sigmoid",
        of_terms=True,
        inverse=_SIGMOID,
    ),
    Function("logit", "logit", domain="unit_interval", fold=lambda x: math.log(x) - math.log1p(-x), inverse=_LOGIT),
    Function("tanh", "tanh", fold=math.tanh, symbol="Tanh", of_terms=True, inverse=_TANH, latex=r"\tanh"),
    Function("sin", "sin", fold=math.sin, latex=r"\sin"),
    Function("cos", "cos", fold=math.cos, latex=r"\cos"),
    Function("tan", "tan", fold=math.tan, latex=r"\tan"),
    Function("erf", "erf", fold=math.erf),
    Function("relu", "relu", codomain="nonnegative", fold=lambda x: max(x, 0.0), symbol="Relu", of_terms=True),
    Function("sqrt", "sqrt", codomain=None, domain="nonnegative", fold=math.sqrt, symbol="sympy.sqrt", of_terms=True),
    Function("abs", "abs", codomain="nonnegative", fold=abs, symbol="sympy.Abs", of_terms=True),
    Function("square", "square", codomain=None, fold=lambda x: x * x, symbol="sympy.Pow", exponent=2, of_terms=True),
    Function("round", "round", differentiable=False, fold=round),
    Function("floor", "floor", differentiable=False, fold=math.floor),
    Function("sign", "sign", differentiable=False, fold=lambda x: float((x > 0) - (x < 0))),
    Function("clamp", "clamp", "clamp", codomain=None),
    Function("min", "minimum", "binary", codomain=None, fold=min, symbol="Minimum", of_terms=True, latex=r"\min"),
    Function("max", "maximum", "binary", codomain=None, fold=max, symbol="Maximum", of_terms=True, latex=r"\max"),
    # Of terms, which are one number a data point, these reduce over the batch.
    Function("sum", "sum", "reduce", codomain=None, symbol="BatchSum", of_terms=True),
    Function("mean", "mean", "reduce", codomain=None, symbol="BatchMean", of_terms=True),
    Function("softmax", "softmax", "keep", codomain="simplex"),
    Function("log_softmax", "log_softmax", "keep"),
    Function("logsumexp", "logsumexp", "last"),
    Function("cat", "cat", "cat", codomain=None),
    # A category has no gradient to lose.
    Function("one_hot", "one_hot", "one_hot", codomain="one_hot", domain="category"),
    Function("detach", "detach", codomain=None, fold=lambda x: x, symbol="Detach", of_terms=True),
    Function("lgamma", "lgamma", domain="positive", fold=math.lgamma, latex=r"\log\Gamma"),
    Function("digamma", "digamma", domain="positive", fold=_digamma, latex=r"\psi"),
    Function("erfinv", "erfinv", fold=lambda x: NormalDist().inv_cdf((x + 1) / 2) / math.sqrt(2)),
    # Comparisons, written with their signs, and what chooses by them.
    *(Function(name, name, "compare", codomain="boolean", differentiable=False) for name in COMPARISONS),
    Function("where", "where", "where", codomain=None),
    Function("argmax", "argmax", "place", codomain="category", differentiable=False),
    Function("argmin", "argmin", "place", codomain="category", differentiable=False),
    Function("sort", "sort", "keep", codomain=None),
    Function("cumsum", "cumsum", "keep"),
    Function("norm", "norm", "norm", codomain="nonnegative"),
    Function("dot", "dot", "dot"),
    Function("stack", "stack", "stack", codomain=None),
    Function("reshape", "reshape", "reshape", codomain=None),
    Function("einsum", "einsum", "einsum"),
    Function("eye", "eye", "eye", codomain="lower_cholesky"),
    Function("trace", "trace", "trace", latex=r"\operatorname{tr}"),
    Function("log_det", "log_det", "log_det", latex=r"\log\det"),
    Function("solve", "solve", "solve"),
    Function("transpose", "transpose", "transpose"),
    Function("inverse", "inverse", "square"),
    Function("cholesky", "cholesky", "square", codomain="lower_cholesky", domain="positive_definite"),
    Function("diag", "diag_matrix", "diag", codomain=None),
    Function("outer", "outer", "outer"),
    Function("grad", "gradient", "gradient", latex=r"\nabla"),
    Function("jacobian", "jacobian", "jacobian"),
    Function("weight", "weight", "weight"),
    Function("bias", "bias", "bias"),
    # Over the batch, in objectives.
    Function("shuffle", "shuffle", "shuffle", codomain=None),
    # Of a variable, and of a factor.
    Function("observed", "is_observed", "observed", "boolean"),
    Function("cdf", "cdf", "tail", "unit_interval"),
    Function("survival", "survival", "tail", "unit_interval"),
    Function("quantile", "quantile", "quantile"),
)
FUNCTIONS: dict[str, Function] = {function.name: function for function in _FUNCTIONS}
OF_TERMS = tuple(function.name for function in _FUNCTIONS if function.of_terms)
"""Functions that may be applied to a term of an objective."""


def result_kind(function: Function, kinds: list[str]) -> str:
    """Kind of space of the function's value, from the kinds of its arguments."""
    if function.codomain is not None:
        return function.codomain
    if not kinds:
        return "real"
    first = kinds[0]
    if function.name in ("min", "max"):
        for kind in ("boolean", "unit_interval"):
            if all(contains(kind, other) for other in kinds):
                return kind
    match function.name:
        case "sqrt":
            return "positive" if contains("positive", first) else "nonnegative"
        case "square":
            return "positive" if contains("positive", first) else "nonnegative"
        case "mean":
            return next((k for k in ("positive", "nonnegative") if contains(k, first)), "real")
        case "sum" | "reshape" | "sort" | "shuffle":
            kinds_kept = ("positive_integer", "nonnegative_integer", "positive", "nonnegative")
            return next((k for k in kinds_kept if contains(k, first)), "real")
        case "detach":
            return first
        case "max":
            return next((k for k in ("positive", "nonnegative") if any(contains(k, x) for x in kinds)), "real")
        case _:
            return next((k for k in ("positive", "nonnegative") if all(contains(k, x) for x in kinds)), "real")
