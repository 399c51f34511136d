"""LowRankMultivariateNormal: a Normal whose covariance is a product of few columns and a diagonal, W W' + diag d."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters; by Woodbury's identity no D x D matrix is made."""
    from pgcompile.vocabulary.symbols import (
        DIM,
        DiagonalMatrix,
        Facts,
        LowRankLogDet,
        LowRankLogProb,
        MatVec,
        RowSquares,
        StandardNormal,
        StandardNormalFor,
        Total,
        TotalMatrix,
        Whiten,
        WhitenMatrix,
        X,
        log,
        pi,
        sqrt,
    )

    loc, factor, diagonal = p["loc"], p["cov_factor"], p["cov_diag"]
    return Facts(
        log_density=LowRankLogProb(X - loc, factor, diagonal),
        draw=loc + MatVec(factor, StandardNormalFor(factor)) + sqrt(diagonal) * StandardNormal(1),
        mean=loc,
        moments={
            "x": loc,
            "(x-c)^2": lambda c: RowSquares(factor) + diagonal + (loc - c) ** 2,
            "|L^-1(x-c)|^2": lambda other, c: (
                (Total(Whiten(other, loc - c) ** 2) if loc != c else 0)
                + TotalMatrix(WhitenMatrix(other, factor) ** 2)
                + TotalMatrix(WhitenMatrix(other, DiagonalMatrix(sqrt(diagonal))) ** 2)
            ),
        },
        entropy=LowRankLogDet(factor, diagonal) / 2 + DIM * (1 + log(2 * pi)) / 2,
    )


FAMILY = Family(
    name="LowRankMultivariateNormal",
    parameters=(
        Parameter("loc", "real", rank=1),
        Parameter("cov_factor", "real", rank=2, wide=True),
        Parameter("cov_diag", "positive", rank=1),
    ),
    support="real",
    event_rank=1,
    torch_class="LowRankMultivariateNormal",
    also_called=("LowRankNormal", "FactorAnalysis"),
    equation="log p(x) = log MultivariateNormal(x; loc, W W' + diag d), W cov_factor [D, R], d cov_diag",
    facts=facts,
)
