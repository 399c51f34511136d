"""The context that the terms of one objective share while it is resolved."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace

from pgcompile.model.distributions import Distribution
from pgcompile.model.variable import Variable
from pgcompile.objective.terms import Estimator, Term, draws_of


@dataclass(frozen=True)
class Context:
    """The context that the whole formula gives its parts.

    Args:
        counted: `(p, targets of q)` for every `KL[q || p]`: a bare `log p` is the rest of p.
        options: of the expectations, which divergences over the same distribution share.
        repetition: tells the draws of the factors of a product apart: the expectation of a product of independent draws
            is not that of a shared one.
    """

    counted: tuple[tuple[str, tuple[Variable, ...]], ...]
    options: tuple[tuple[Distribution, int | None, Estimator], ...]
    repetition: tuple[Hashable, ...] = ()
    places: frozenset[str] = frozenset()
    """The indices that a sum around it goes over."""

    def apart_from(self, others: Iterable[Term]) -> "Context":
        """The same, with draws that are independent of those of other terms."""
        used = {draw.repetition for term in others for draw in draws_of(term)}
        if not used:
            return self
        number, length = 1, len(self.repetition) + 1
        while any(known[:length] == (*self.repetition, number) for known in used):
            number += 1
        return replace(self, repetition=(*self.repetition, number))
