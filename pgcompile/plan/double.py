"""Covariances that are computed, in double precision: those of exact marginals and posteriors lose digits in single.

With noise of a thousandth of the signal, the small directions of `A A' + s^2 I` have two digits left in single
precision, and with a ten-thousandth its Cholesky factor does not exist. Such a matrix and its factor are computed in
double from the same numbers, and what comes of them is rounded once.
"""

from typing import TYPE_CHECKING

from pgcompile.plan.values import Value

if TYPE_CHECKING:
    from pgcompile.plan.builder import Builder

_MADE = frozenset(
    "add sub mul div neg square sqrt reciprocal rsqrt exp softplus matmul linear matrix_vector vector_matrix transpose "
    "inverse diag_matrix diagonal unsqueeze unsqueeze_axes unsqueeze_row sum".split()
)
"""Operations that are done again in double; what others give is taken as it is."""
_PRODUCTS = frozenset(("matmul", "linear", "inverse"))


def is_computed(matrix: Value) -> bool:
    """True if a matrix is made by products of matrices, not given or learned as it is."""
    pending, seen = [matrix], set[int]()
    while pending:
        value = pending.pop()
        if value.op in _PRODUCTS:
            return True
        if value.op in _MADE and value.number not in seen:
            seen.add(value.number)
            pending += value.args
    return False


def doubled(build: "Builder", value: Value) -> Value:
    """A value in double precision, computed anew from what it is made of."""
    found: dict[int, Value] = {}
    pending = [value]
    while pending:
        current = pending[-1]
        if current.number in found:
            pending.pop()
        elif current.constant is not None:
            found[current.number] = pending.pop()
        elif current.op not in _MADE:
            pending.pop()
            found[current.number] = build.make(
                "as_double", (current,), shape=current.shape, batched=current.batched, axes=current.axes
            )
        elif missing := [arg for arg in current.args if arg.number not in found]:
            pending += missing
        else:
            pending.pop()
            args = tuple(found[arg.number] for arg in current.args)
            made = build.make(
                current.op,
                args,
                current.attributes,
                shape=current.shape,
                batched=current.batched,
                axes=current.axes,
            )
            found[current.number] = build.name(made, *current.hints)
    return found[value.number]


def rounded(build: "Builder", value: Value) -> Value:
    """A value of double precision in that of the module."""
    return build.make("as_float", (value,), shape=value.shape, batched=value.batched, axes=value.axes)


def factor_of(build: "Builder", op: str, matrix: Value) -> Value:
    """The Cholesky factor of a matrix, or of its inverse; in double precision where the matrix is computed."""
    if not is_computed(matrix):
        return build.make(op, (matrix,), shape=matrix.shape)
    inside = doubled(build, matrix)
    return rounded(build, build.name(build.make(op, (inside,), shape=matrix.shape), "tril", materialize=True))


def solved(build: "Builder", op: str, tril: Value, other: Value) -> Value:
    """L^-1 v, in double precision where L is."""
    if tril.op != "as_float":
        return build.make(op, (tril, other), shape=other.shape)
    return rounded(build, build.make(op, (tril.args[0], doubled(build, other)), shape=other.shape))
