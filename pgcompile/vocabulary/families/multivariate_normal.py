"""MultivariateNormal with a location and a covariance in one of three forms."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import (
        DIM,
        Cholesky,
        CholeskyOfInverse,
        Diagonal,
        Facts,
        MatVec,
        RowSquares,
        StandardNormal,
        Total,
        TotalMatrix,
        Whiten,
        WhitenMatrix,
        X,
        log,
        pi,
    )

    loc = p["loc"]
    if "scale_tril" in p:
        tril = p["scale_tril"]
    elif "covariance_matrix" in p:
        tril = Cholesky(p["covariance_matrix"])
    else:
        tril = CholeskyOfInverse(p["precision_matrix"])
    return Facts(
        log_density=-Total(Whiten(tril, X - loc) ** 2) / 2 - Total(log(Diagonal(tril))) - DIM * log(2 * pi) / 2,
        draw=loc + MatVec(tril, StandardNormal(1)),
        mean=loc,
        moments={
            "x": loc,
            # Of each entry, for a density that takes the entries one by one.
            "(x-c)^2": lambda c: RowSquares(tril) + (loc - c) ** 2,
            "|L^-1(x-c)|^2": lambda other, c: (
                (Total(Whiten(other, loc - c) ** 2) if loc != c else 0)
                + (DIM if other == tril else TotalMatrix(WhitenMatrix(other, tril) ** 2))
            ),
        },
    )


FAMILY = Family(
    name="MultivariateNormal",
    parameters=(
        Parameter("loc", "real", rank=1),
        Parameter("covariance_matrix", "positive_definite", rank=2),
        Parameter("precision_matrix", "positive_definite", rank=2),
        Parameter("scale_tril", "lower_cholesky", rank=2),
    ),
    one_of=("covariance_matrix", "precision_matrix", "scale_tril"),
    support="real",
    event_rank=1,
    torch_class="MultivariateNormal",
    also_called=("MVN", "MultiNormal", "GaussianFull"),
    equation="log p(x) = -|L^-1 (x - loc)|^2 / 2 - sum log diag L - D log(2 pi) / 2, L L' the covariance",
    facts=facts,
)
