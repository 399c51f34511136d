"""Wishart: a random positive definite matrix, the scatter of Normal vectors."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters (Wishart 1928); draws by Bartlett's decomposition."""
    from pgcompile.vocabulary.symbols import (
        Cholesky,
        CholeskyOfInverse,
        Facts,
        MatrixOf,
        OfMatrix,
        RowsOf,
        StandardGammaOfRow,
        StandardNormal,
        Symbol,
        X,
    )

    df = p["df"]
    if "scale_tril" in p:
        tril = p["scale_tril"]
    elif "covariance_matrix" in p:
        tril = Cholesky(p["covariance_matrix"])
    else:
        tril = CholeskyOfInverse(p["precision_matrix"])
    halves = StandardGammaOfRow(RowsOf(Symbol("wishart_halves"), df))
    return Facts(
        log_density=OfMatrix(Symbol("wishart_log_prob"), X, tril, df),
        draw=MatrixOf(Symbol("wishart_of"), halves, tril, StandardNormal(1)),
        mean=None,
    )


FAMILY = Family(
    name="Wishart",
    parameters=(
        Parameter("df", "positive", per_event=True),
        Parameter("covariance_matrix", "positive_definite", rank=2),
        Parameter("precision_matrix", "positive_definite", rank=2),
        Parameter("scale_tril", "lower_cholesky", rank=2),
    ),
    one_of=("covariance_matrix", "precision_matrix", "scale_tril"),
    support="positive_definite",
    event_rank=2,
    torch_class="Wishart",
    equation="log p(x) = (n - D - 1) / 2 log det x - tr(V^-1 x) / 2 - n D / 2 log 2 - n / 2 log det V - log G_D(n / 2)",
    facts=facts,
)
