"""Tensor code of the symbolic heads that families state their formulas with: a row each."""

import math
from collections.abc import Callable

from pgcompile.diagnostics import InternalError
from pgcompile.plan.builder import Builder
from pgcompile.plan.double import factor_of, solved
from pgcompile.plan.lower.indices import pick
from pgcompile.plan.ops import broadcast
from pgcompile.plan.values import Value

Rule = Callable[[Builder, list[Value], int | None], Value]
"""The value of a head, from the values of its arguments and the size of the last dimension."""


def _size(dim: int | None) -> int:
    if dim is None:
        raise InternalError("a formula over a dimension has no size for it")
    return dim


def _ordered_log_probs(build: Builder, args: list[Value], dim: int | None) -> Value:
    column = build.make("unsqueeze", (build.tensor(args[0]),), (1,))
    lined = build.align_all([column, args[1]])
    shape = (*broadcast(lined[0].shape, lined[1].shape)[:-1], _size(dim))
    return build.make("special", tuple(lined), ("ordered_log_probs",), shape=shape)


def _of_sphere(function: str) -> Rule:
    def rule(build: Builder, args: list[Value], dim: int | None) -> Value:
        first = build.tensor(args[0])
        return build.make("special", (first,), (function, _size(dim)), shape=first.shape)

    return rule


def _of_rows(function: str, counted: int) -> Rule:
    """A function of whole vectors, one number a vector of the argument `counted`."""
    return lambda build, args, _: build.make("special", tuple(args), (function,), shape=args[counted].shape[:-1])


def _one_hot(build: Builder, args: list[Value], dim: int | None) -> Value:
    width = _size(dim)
    return build.make("one_hot", (args[0],), (width,), shape=(*args[0].shape, width))


def _matrix_times_vector(build: Builder, args: list[Value], dim: int | None) -> Value:
    matrix, vector = args
    return build.make("matrix_vector", (matrix, vector), shape=(*vector.shape[:-1], matrix.shape[-2]))


def _log_softmax(build: Builder, args: list[Value], dim: int | None) -> Value:
    """Along the last dimension; of a table before its rows are repeated over the batch, so once for every use of it."""
    (logits,) = args
    if logits.op != "expand_table":
        return _of_constants(build, logits) or build.make("log_softmax", (logits,))
    table, *rest = logits.args
    normal = _of_constants(build, table) or build.make("log_softmax", (table,))
    if normal.constant is not None:
        return normal
    return build.make("expand_table", (normal, *rest), shape=logits.shape, batched=logits.batched, axes=logits.axes)


def _of_constants(build: Builder, logits: Value) -> Value | None:
    """The log-probabilities of logits that are known for good: one number where all are alike, else a table."""
    if logits.numbers is None or build.table is None:
        return None
    width = logits.shape[-1]
    if len(set(logits.numbers)) == 1:
        return build.constant(-math.log(width), f"math.log({width})")
    rows = [logits.numbers[i : i + width] for i in range(0, len(logits.numbers), width)]
    totals = [max(row) + math.log(sum(math.exp(x - max(row)) for x in row)) for row in rows]
    normal = tuple(x - total for row, total in zip(rows, totals, strict=True) for x in row)
    return build.table(normal, logits.shape)


HEADS: dict[str, Rule] = {
    "RowSquares": lambda build, args, _: build.sum_last(build.unary("square", args[0])),
    "TotalMatrix": lambda build, args, _: build.sum_last(args[0], 2),
    "LogSumExp": lambda build, args, _: build.make("logsumexp", (args[0],), shape=args[0].shape[:-1]),
    "LogSoftmax": _log_softmax,
    "Pick": lambda build, args, _: pick(build, args[0], args[1]),
    "OrderedLogProbs": _ordered_log_probs,
    "OneHot": _one_hot,
    "Cholesky": lambda build, args, _: factor_of(build, "cholesky", args[0]),
    "CholeskyOfInverse": lambda build, args, _: factor_of(build, "cholesky_of_inverse", args[0]),
    "Diagonal": lambda build, args, _: build.make("diagonal", (args[0],), shape=args[0].shape[:-1]),
    "DiagonalMatrix": lambda build, args, _: build.make("diag_matrix", (args[0],)),
    "LogSphereConstant": _of_sphere("log_sphere_constant"),
    "SphereMean": _of_sphere("sphere_mean"),
    "LowRankLogProb": _of_rows("low_rank_log_prob", 0),
    "LowRankLogDet": _of_rows("low_rank_log_det", 1),
    "Whiten": lambda build, args, _: solved(build, "solve_vector", args[0], args[1]),
    "WhitenMatrix": lambda build, args, _: solved(build, "solve_matrix", args[0], args[1]),
    "MatVec": _matrix_times_vector,
    "Point": lambda build, args, _: build.make("point", build.align(*args)),
    "Minimum": lambda build, args, _: build.binary("minimum", args[0], args[1]),
    "Maximum": lambda build, args, _: build.binary("maximum", args[0], args[1]),
}
"""The rule of each head; sums over a dimension and supports are those of the lowering of a formula."""
