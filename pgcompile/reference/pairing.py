"""Partners of the judge's draws among the compiler's, so that recorded noise can be handed over.

This is all that the judge takes from the compiler's terms: which draw stands at a place of the text. What is drawn
there, and how often, the judge has decided for itself; where the two differ, the difference is kept.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace

from pgcompile.diagnostics import Span
from pgcompile.model.distributions import Distribution
from pgcompile.objective import terms
from pgcompile.objective.terms import Draw, Term


def draws_by_place(term: Term) -> dict[Span, list[Draw]]:
    """The draws at each place of the text, as often as a term has them, in the order in which it has them."""
    found: dict[Span, list[Draw]] = {}
    for inner in terms.walk(term):
        if isinstance(inner, terms.Expectation | terms.Divergence | terms.Aggregate):
            found.setdefault(inner.span, []).append(inner.draw)
        elif isinstance(inner, terms.Discrepancy):
            found.setdefault(inner.span, []).extend((inner.left, inner.right))
    return found


def identity(distribution: Distribution) -> Hashable:
    """The key of a distribution: its factors' names with their variables, and which of these are shown."""
    factors = frozenset((atom.factor.name, atom.targets, atom.parents) for atom in distribution.atoms)
    return factors, frozenset(distribution.hidden), frozenset(distribution.evidence)


@dataclass
class Pairing:
    """Pairs draws by their place in the text, their distribution, and how often that stood there before.

    Args:
        places: the compiler's draws.

    After use `differences` says where the judge and the compiler do not draw the same.
    """

    places: dict[Span, list[Draw]]
    partners: dict[Draw, Draw] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    _taken: dict[Hashable, int] = field(default_factory=dict)

    def take(self, span: Span, distribution: Distribution) -> Draw | None:
        """The next draw of a distribution at a place; None where the compiler makes none."""
        there = self.places.get(span, [])
        fitting = [draw for draw in there if identity(draw.distribution) == identity(distribution)]
        key = (span, identity(distribution))
        number = self._taken.get(key, 0)
        self._taken[key] = number + 1
        if number < len(fitting):
            return fitting[number]
        if there and not fitting:
            others = ", ".join(dict.fromkeys(draw.distribution.label for draw in there))
            self._differ(f"the formula averages over {distribution.label}, the compiler over {others}")
        return None

    def bind(self, own: Draw, partner: Draw) -> Draw:
        """The judge's draw, tied to its partner; what they do not have in common is kept."""
        label = own.distribution.label
        for what, mine, theirs in (
            ("samples", own.samples, partner.samples),
            ("relaxed variables", {*own.relaxed}, {*partner.relaxed}),
            ("relax", own.estimator.relax, partner.estimator.relax),
            ("temperature", own.estimator.temperature, partner.estimator.temperature),
            ("grad", own.estimator.grad, partner.estimator.grad),
            ("baseline", own.estimator.baseline, partner.estimator.baseline),
            ("detach", own.estimator.detached, partner.estimator.detached),
            ("draws around it", {self.partners.get(d) for d in own.around}, {*partner.around}),
        ):
            if mine != theirs:
                self._differ(f"{what} of {label}: the formula says {_shown(mine)}, the compiler {_shown(theirs)}")
                return own  # it draws for itself
        while self.partners.get(own, partner) != partner:
            own = replace(own, repetition=(*own.repetition, "again"))
        sharing = [other for other, known in self.partners.items() if known == partner and other != own]
        if sharing:
            self._differ(f"draws of {label} that must be independent are one draw of the compiler")
        self.partners[own] = partner
        return own

    def repeated(self, evaluate: Callable[[], None]) -> None:
        """Evaluate a part of a formula that is evaluated again later, with the same draws."""
        before = dict(self._taken)
        evaluate()
        self._taken = before

    def _differ(self, text: str) -> None:
        if text not in self.differences:
            self.differences.append(text)


def _shown(found: object) -> str:
    """A fact of a draw, in words: other draws by their distributions."""
    if isinstance(found, set):
        return ", ".join(sorted(d.distribution.label if isinstance(d, Draw) else str(d) for d in found)) or "none"
    return str(found)
