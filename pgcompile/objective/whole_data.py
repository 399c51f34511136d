"""Objectives that are no sum over the data points: a function of such a sum is another in a part of a batch."""

from collections.abc import Set

from pgcompile.objective import terms
from pgcompile.objective.terms import Term

_LINEAR = frozenset({"detach", "mean", "sum"})


def whole_data(term: Term, indices: Set[str]) -> bool:
    """True if a term is a function other than a sum or a mean of what it is at each data point.

    The value and the gradient of a sum over a batch are those of its parts, weighted by their rows; so are those of an
    expectation of it, and of its sum with what all data points share. `log E_q[exp(sum_n f_n)]` has no such parts.

    Args:
        term: an objective.
        indices: names of the indices whose places are the data points.
    """

    def sums(inner: Term) -> bool:
        return any(isinstance(part, terms.OverIndex) and part.index in indices for part in terms.walk(inner))

    def bends(inner: Term) -> bool:
        if not sums(inner):
            return False
        match inner:
            case terms.OverIndex(_, index, body):
                return bends(body) or (index in indices and sums(body))
            case terms.Expectation(_, body) | terms.Reference(_, body):
                return bends(body)
            case terms.Add(items):
                return any(bends(item) for _, item in items)
            case terms.Multiply(factors):
                own = [factor for factor in factors if sums(factor)]
                return len(own) > 1 or bends(own[0])
            case terms.Divide(numerator, denominator):
                return sums(denominator) or bends(numerator)
            case terms.Apply(function, (argument,)) if function in _LINEAR:
                return bends(argument)
            case terms.Divergence():
                return bends(inner.body)
            case _:
                return True

    return bends(term)
