"""The sympy vocabulary in which families state their facts.

`X` is the value of the distribution. Vectors are written through their last dimension: `Total(f)` sums `f` over it and
`DIM` is its size. Heads that sympy does not have (noise, matrix operations, stable special functions) are undefined
functions; `pgcompile/plan/lower/formulas.py` gives each its tensor code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sympy import Abs, Expr, Function, Rational, Symbol, cos, digamma, erf, exp, log, loggamma, pi, sqrt, tan

X = Symbol("X")
LEVEL = Symbol("LEVEL")
DIM = Symbol("DIM", integer=True, positive=True)

# Noise, each call site a fresh draw in the shape of the value (the argument tells two draws apart).
StandardNormal = Function("StandardNormal")
StandardNormalFor = Function("StandardNormalFor")  # of a matrix: a number for each of its columns
StandardGammaOfRow = Function("StandardGammaOfRow")  # of a concentration for each row of a matrix
StandardUniform = Function("StandardUniform")
StandardExponential = Function("StandardExponential")
StandardGamma = Function("StandardGamma")  # of a concentration; differentiable by implicit reparameterisation
BernoulliDraw = Function("BernoulliDraw")
BinomialDraw = Function("BinomialDraw")
PoissonDraw = Function("PoissonDraw")
CategoryDraw = Function("CategoryDraw")  # of logits: an index
MultinomialDraw = Function("MultinomialDraw")  # of a count and logits
VonMisesDraw = Function("VonMisesDraw")
SphereLackDraw = Function("SphereLackDraw")  # of a concentration: one less the cosine of a von Mises-Fisher draw
ContinuousBernoulliDraw = Function("ContinuousBernoulliDraw")

# Over the last dimension.
Total = Function("Total")
LogSumExp = Function("LogSumExp")
LogSoftmax = Function("LogSoftmax")
Pick = Function("Pick")  # Pick(v, k): entry k of the vector v
OneHot = Function("OneHot")  # of an index, DIM wide
OrderedLogProbs = Function("OrderedLogProbs")  # of a predictor and cutpoints, one less than DIM

# Matrices in the last two dimensions.
Cholesky = Function("Cholesky")
CholeskyOfInverse = Function("CholeskyOfInverse")  # of a precision matrix: the Cholesky factor of the covariance
Whiten = Function("Whiten")  # Whiten(L, v): L^-1 v
WhitenMatrix = Function("WhitenMatrix")  # WhitenMatrix(L, M): L^-1 M
MatVec = Function("MatVec")
Diagonal = Function("Diagonal")
DiagonalMatrix = Function("DiagonalMatrix")  # of a vector
OfMatrix = Function("OfMatrix")  # OfMatrix(f, M, ...): f of the runtime library, of matrices and numbers: a number
RowsOf = Function("RowsOf")  # RowsOf(f, a): f of the runtime library, of a number and DIM: a vector
MatrixOf = Function("MatrixOf")  # MatrixOf(f, ...): f of the runtime library: of the shape of the last
LowRankLogProb = Function("LowRankLogProb")  # of x - loc, W and d: of a Normal with covariance W W' + diag d
LowRankLogDet = Function("LowRankLogDet")  # of W and d: log det(W W' + diag d)
RowSquares = Function("RowSquares")  # of a matrix: the sums of the squares of its rows
TotalMatrix = Function("TotalMatrix")  # sum over the last two dimensions

# Stable scalar functions.
Softplus = Function("Softplus")
Sigmoid = Function("Sigmoid")
Log1p = Function("Log1p")
LogNdtr = Function("LogNdtr")  # log of the standard Normal's distribution function
Expm1 = Function("Expm1")
LogBesselI0 = Function("LogBesselI0")
BesselRatio = Function("BesselRatio")  # I1(k) / I0(k)
LogExpm1Ratio = Function("LogExpm1Ratio")  # log((e^l - 1) / l)
ContinuousBernoulliMean = Function("ContinuousBernoulliMean")
ContinuousBernoulliVariance = Function("ContinuousBernoulliVariance")
LogSphereConstant = Function("LogSphereConstant")  # log of the integral of exp(k (x_1 - 1)) over the sphere
SphereMean = Function("SphereMean")  # the length of the mean of a von Mises-Fisher variable
Inside = Function("Inside")  # Inside(x, low, high): 0 where low <= x <= high, else -inf
ClippedUnit = Function("ClippedUnit")  # kept off 0 and 1, where rounding would put a draw
ClippedPositive = Function("ClippedPositive")
Point = Function("Point")  # Point(x, v): the log-density of a point mass, 0 where x = v, else -inf
Floor = Function("Floor")
Round = Function("Round")


def runtime(name: str) -> Any:
    """An elementwise function of the runtime library, by its name; its arguments broadcast."""
    return Function(f"{RUNTIME}{name}")


RUNTIME = "runtime:"

# An expression, or a function of the free symbols of its spelling to one.
Moment = Any


@dataclass(frozen=True)
class Facts:
    """The formulas of a family, in terms of `X` and its parameters' symbols.

    Args:
        log_density: log p(X), of one element (elementwise families) or of one vector.
        draw: a draw, in terms of noise heads.
        mean: E[X], or None where it does not exist.
        moments: expectations by the spelling of their argument: `x`, `(x-c)^2`, `log x`, `log(1-x)`, `1/x`,
            `|x-c|`, `(log x-c)^2`, `cos(x-c)`, `pick v`, `|L^-1(x-c)|^2`, `inside(x,a,b)`, `(ax+b)^n` (of a, b and n),
            `exp(ax+b)` (of a and b), `exp(-(x-c)/s)` (of c and a positive s), `log(1+b(x-c)^2)` (of b and c),
            `log x!`. Those with a free symbol are functions of it.
        entropy: the differential entropy where it does not follow from the moments.
        log_cdf: log P(x <= X), where it has a formula.
        log_survival: log P(x > X), likewise.
        quantile: the value below which the share `LEVEL` of the draws lies, likewise.
    """

    log_density: Expr
    draw: Expr
    mean: Expr | None
    moments: Mapping[str, Moment] = field(default_factory=dict)
    entropy: Expr | None = None
    log_cdf: Expr | None = None
    log_survival: Expr | None = None
    quantile: Expr | None = None


Parameters = Mapping[str, Expr]


def log_of_one_less(exponent: Expr) -> Expr:
    """log(1 - exp(-exp(m))), which is m where exp(m) is so small that it vanishes."""
    held = Function("Minimum")(exponent, 80)
    return held + LogExpm1Ratio(-exp(held))


def first_two_moments(mean: Expr, variance: Expr) -> dict[str, Moment]:
    """The first two moments, the second one about any centre: nothing cancels where the centre is near the mean."""
    return {"x": mean, "(x-c)^2": lambda c: variance + (mean - c) ** 2}


__all__ = [
    "DIM",
    "LEVEL",
    "RUNTIME",
    "Abs",
    "BernoulliDraw",
    "BesselRatio",
    "BinomialDraw",
    "CategoryDraw",
    "Cholesky",
    "CholeskyOfInverse",
    "ClippedPositive",
    "ClippedUnit",
    "ContinuousBernoulliDraw",
    "ContinuousBernoulliMean",
    "ContinuousBernoulliVariance",
    "Diagonal",
    "DiagonalMatrix",
    "Expm1",
    "Expr",
    "Facts",
    "Floor",
    "Inside",
    "Log1p",
    "LogBesselI0",
    "LogExpm1Ratio",
    "LogNdtr",
    "LogSoftmax",
    "LogSphereConstant",
    "LogSumExp",
    "LowRankLogDet",
    "LowRankLogProb",
    "MatVec",
    "MatrixOf",
    "Moment",
    "MultinomialDraw",
    "OfMatrix",
    "OneHot",
    "OrderedLogProbs",
    "Parameters",
    "Pick",
    "Point",
    "PoissonDraw",
    "Rational",
    "Round",
    "RowSquares",
    "RowsOf",
    "Sigmoid",
    "Softplus",
    "SphereLackDraw",
    "SphereMean",
    "StandardExponential",
    "StandardGamma",
    "StandardGammaOfRow",
    "StandardNormal",
    "StandardNormalFor",
    "StandardUniform",
    "Symbol",
    "Total",
    "TotalMatrix",
    "VonMisesDraw",
    "Whiten",
    "WhitenMatrix",
    "X",
    "cos",
    "digamma",
    "erf",
    "exp",
    "first_two_moments",
    "log",
    "log_of_one_less",
    "loggamma",
    "pi",
    "runtime",
    "sqrt",
    "tan",
]
