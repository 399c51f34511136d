"""The table of closed forms, derived from the families' facts as the compiler derives them."""

from dataclasses import dataclass

from sympy import Expr, Symbol

from pgcompile.objective.closed_forms import entropy, expected_log_density
from pgcompile.vocabulary.families import families
from pgcompile.vocabulary.family import Family
from pgcompile.vocabulary.spaces import covers_support, is_countable
from pgcompile.vocabulary.symbols import Facts

_HEAD = """# Closed forms

Every entropy and divergence that is not sampled. None is typed in: each is derived from the log-densities and the
moments that the families state (`pgcompile/vocabulary/families/`), term by term, second moments about the other
side's location. Made by `python docs/generate.py`; every row is checked against torch's own formula, or against
quadrature or summation of torch's log-densities (`tests/vocabulary/test_families.py`). `Total` is a sum over the
last dimension, `DIM` its size, `n` a common count.

Further ones, for what is drawn from any of these families: `E_q[f]` of a polynomial of degree 2 (for a Normal 8),
of an absolute value (Normal, Laplace) and of an exponential (Normal); `E_q[log p(x|z)]` where p's parameters are
such formulas of z, entry by entry (`tests/objective/test_moments.py`).

## Entropies

| family | entropy | from the moments |
| --- | --- | --- |"""


@dataclass(frozen=True)
class Row:
    """One closed form: of an entropy (`p` is None) or of a divergence."""

    q: str
    p: str | None
    formula: Expr
    moments: tuple[str, ...]


def rows() -> list[Row]:
    """Every entropy and every divergence between two families that the compiler takes in closed form."""
    found = []
    scalar = [f for f in families().values() if f.name not in ("Delta", "FactorizedBernoulli")]
    for q in scalar:
        used: list[str] = []
        formula = entropy(_facts(q, "q", used))
        if formula is not None:
            found.append(Row(q.name, None, formula, _listed(used)))
        for p in scalar:
            if not _comparable(q, p):
                continue
            used = []
            own = _facts(q, "q", used)
            other = _facts(p, "p", [])
            formula = expected_log_density([(1, own.log_density), (-1, other.log_density)], own)
            if formula is not None:
                found.append(Row(q.name, p.name, formula, _listed(used)))
    return found


def _comparable(q: Family, p: Family) -> bool:
    """Whether a divergence can be finite: the same kind of value, and every value of q one of p."""
    kinds = is_countable(q.support) == is_countable(p.support)
    same = kinds and q.pathwise == p.pathwise and q.event_rank == p.event_rank and q.index_valued == p.index_valued
    counts = q.name != p.name and {q.name, p.name} & {"Binomial", "Multinomial"}
    return same and not counts and covers_support(p.support, q.support)


def _facts(family: Family, prefix: str, used: list[str]) -> Facts:
    """A family's facts over named symbols; the moments that are looked up are noted."""
    names = [p.name for p in family.needed]
    shared = {"total_count": Symbol("n", real=True), "temperature": Symbol("t", real=True)}
    values = {name: shared.get(name, Symbol(f"{prefix}_{name}", real=True)) for name in names}
    facts = family.facts(values)
    return Facts(facts.log_density, facts.draw, facts.mean, _Noting(facts.moments, used), facts.entropy)


class _Noting(dict):  # type: ignore[type-arg]
    """Moments that note which of them were used."""

    def __init__(self, moments: object, used: list[str]) -> None:
        super().__init__(moments)  # type: ignore[call-overload]
        self.used = used

    def get(self, key: object, default: object = None) -> object:
        """As of a dictionary."""
        if key in self:
            self.used.append(str(key))
        return super().get(key, default)


def _listed(used: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(used))


def page() -> str:
    """The page."""
    lines = _HEAD.splitlines()
    table = rows()
    for row in table:
        if row.p is None:
            lines.append(f"| {row.q} | `{_text(row.formula)}` | {_moments(row)} |")
    lines += [
        "",
        "## Divergences KL[q || p]",
        "",
        "| q | p | divergence | from the moments of q |",
        "| --- | --- | --- | --- |",
    ]
    for row in table:
        if row.p is not None:
            lines.append(f"| {row.q} | {row.p} | `{_text(row.formula)}` | {_moments(row)} |")
    return "\n".join(lines) + "\n"


def _text(formula: Expr) -> str:
    return str(formula).replace("|", "\\|")


def _moments(row: Row) -> str:
    return ", ".join(f"`{m}`" for m in row.moments).replace("|", "\\|") or "stated by the family"
