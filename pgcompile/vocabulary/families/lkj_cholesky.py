"""LKJCholesky: the Cholesky factor of a random correlation matrix."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters (Lewandowski, Kurowicka & Joe 2009); draws row by row."""
    from pgcompile.vocabulary.symbols import (
        Facts,
        MatrixOf,
        OfMatrix,
        RowsOf,
        StandardGammaOfRow,
        StandardNormal,
        Symbol,
        X,
    )

    concentration = p["concentration"]
    inside = StandardGammaOfRow(RowsOf(Symbol("lkj_inside"), concentration), 1)
    outside = StandardGammaOfRow(RowsOf(Symbol("lkj_outside"), concentration), 2)
    return Facts(
        log_density=OfMatrix(Symbol("lkj_log_prob"), X, concentration),
        draw=MatrixOf(Symbol("lkj_of"), inside, outside, StandardNormal(1)),
        mean=None,
    )


FAMILY = Family(
    name="LKJCholesky",
    parameters=(
        Parameter("dim", "positive_integer", shared=True, literal=True, matrix_size=True),
        Parameter("concentration", "positive", default="1", per_event=True),
    ),
    support="corr_cholesky",
    event_rank=2,
    least=2,
    also_called=("LKJ", "LKJCorrCholesky"),
    equation="log p(x) = sum_i (D - i + 2 k - 2) log x_ii + const, i from 2 to D",
    facts=facts,
)
