"""The state of the rewriting of one objective: its leaves, its draws, and the steps so far."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction

from sympy import Expr, Rational, Symbol

from pgcompile.diagnostics import Sink, Span
from pgcompile.model.factors import FactorInstance
from pgcompile.model.literals import evaluate
from pgcompile.model.model import Model
from pgcompile.objective.derivation import Rewritten, Step
from pgcompile.objective.leaves import Leaf, ParameterUse, label_of
from pgcompile.objective.terms import Draw, Env, Term
from pgcompile.syntax import tree
from pgcompile.vocabulary.symbols import Facts

FactsInUse = tuple[Facts, tuple[tuple[Symbol, ParameterUse], ...]]
"""The formulas of a factor over symbols, and what the symbols stand for."""


@dataclass(frozen=True)
class Refusal:
    """Why the expectation of a leaf is not taken in closed form.

    Args:
        before: the expectation.
        why: the reason.
        note: whether the program's author should be told, since the families alone would allow it.
    """

    before: str
    why: str
    note: bool = False


Named = dict[str, tuple[Term, "Rewritten"]]
"""Rewritten objectives by their names, each with its term."""


@dataclass
class Rewriting:
    """One objective on its way.

    Args:
        model: what it speaks of.
        sink: for notes.
        name: of the objective.
        closed: whether expectations that are known are taken.
        named: objectives that were rewritten already.
    """

    model: Model
    sink: Sink
    name: str
    closed: bool = True
    named: "Named" = field(default_factory=dict)
    referred: dict[int, Expr] = field(default_factory=dict)
    """The formula of each objective that it names, by the identity of its term."""

    leaves: dict[Symbol, Leaf] = field(default_factory=dict)
    draws: dict[Symbol, Draw] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    spans: dict[Symbol, tuple[Span, ...]] = field(default_factory=dict)
    """Where each leaf and each draw stands in the text."""

    refusals: dict[tuple[Symbol, Draw], Refusal] = field(default_factory=dict)
    _symbols: dict[Leaf, Symbol] = field(default_factory=dict)
    _facts: dict[tuple[FactorInstance, Env, bool], FactsInUse] = field(default_factory=dict)
    _place: tuple[Span, ...] = ()

    # --- places in the text ---

    @contextmanager
    def at(self, *spans: Span) -> Iterator[None]:
        """Leaves, draws and steps that are made inside come from these places."""
        before, self._place = self._place, tuple(dict.fromkeys(spans)) or self._place
        try:
            yield
        finally:
            self._place = before

    def spans_in(self, pieces: Iterable[Expr]) -> list[Span]:
        """Where the leaves of some formulas stand in the text."""
        symbols = [s for piece in pieces for s in sorted(piece.free_symbols, key=str)]
        return [span for symbol in symbols for span in self.spans.get(symbol, ())]

    def _placed(self, symbol: Symbol) -> Symbol:
        self.spans[symbol] = tuple(dict.fromkeys((*self.spans.get(symbol, ()), *self._place)))
        return symbol

    # --- symbols ---

    def symbol(self, leaf: Leaf) -> Symbol:
        """The symbol of a leaf, the same for equal leaves."""
        if leaf not in self._symbols:
            symbol = Symbol(f"t{len(self._symbols):05d}", real=True)
            self._symbols[leaf] = symbol
            self.leaves[symbol] = leaf
        return self._placed(self._symbols[leaf])

    def draw_symbol(self, draw: Draw) -> Symbol:
        """The symbol of a draw."""
        symbol = Symbol(f"draw{draw.order:04d}")
        self.draws[symbol] = draw
        return self._placed(symbol)

    def facts_of(self, atom: FactorInstance, env: Env, *, detached: bool = False) -> FactsInUse:
        """A factor's facts over symbols of its parameters; literal numbers are put in at once."""
        key = (atom, env, detached)
        if key not in self._facts:
            family = atom.factor.family
            assert family is not None
            values, uses = parameter_symbols(atom, env, self.model, f"f{len(self._facts)}", detached=detached)
            self._facts[key] = (family.facts(values), uses)
        return self._facts[key]

    # --- records ---

    def step(self, rule: str, before: str, after: str | Expr, why: str) -> None:
        """Record that a rule was applied; the same step is recorded once."""
        formula = after if isinstance(after, Expr) else None
        step = Step(rule, before, str(after), why, formula, self._place[0] if self._place else None)
        if step not in self.steps:
            self.steps.append(step)

    def refuse(self, symbol: Symbol, draw: Draw, refusal: Refusal) -> None:
        """Keep why a leaf has no closed form, to be said if its expectation is sampled in the end."""
        self.refusals[symbol, draw] = refusal

    def text(self, expr: tree.Expr) -> str:
        """An expression as the program writes it."""
        return " ".join(self.sink.source.snippet(expr.span).split())

    def label(self, symbol: Symbol) -> str:
        """A leaf as people write it."""
        return label_of(self.leaves[symbol])


def parameter_symbols(
    atom: FactorInstance, env: Env, model: Model, prefix: str, *, detached: bool = False
) -> tuple[dict[str, Expr], tuple[tuple[Symbol, ParameterUse], ...]]:
    """Symbols for the parameters of a factor, literal numbers in their place."""
    definition = atom.factor.use
    assert definition is not None
    values: dict[str, Expr] = {}
    uses: list[tuple[Symbol, ParameterUse]] = []
    for name, expr in definition.parameters:
        literal = evaluate(expr, model.constants)
        if isinstance(literal, Fraction) and definition.family.parameter(name).rank == 0:
            values[name] = Rational(literal.numerator, literal.denominator)
            continue
        symbol = Symbol(f"{prefix}_{name}", real=True)
        values[name] = symbol
        uses.append((symbol, ParameterUse(atom, name, env, detached)))
    return values, tuple(uses)
