"""Objectives as sympy expressions over leaves, rewritten by named rules until only what must be sampled is sampled.

Every rule that fires is recorded as a `Step`, so that `pgc explain` can print the derivation.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

import networkx as nx
import sympy
from sympy import Add, Expr, Function, Integer, Mul, Rational, Symbol

from pgcompile.diagnostics import Sink, Span
from pgcompile.model.algebra import order_atoms
from pgcompile.model.elimination import evidence_of, states, tables
from pgcompile.model.expressions import names_in
from pgcompile.model.literals import evaluate
from pgcompile.model.values import Atom, Distribution, FamilyUse, Model
from pgcompile.objective import terms
from pgcompile.objective.closed_forms import entropy, expected_log_density
from pgcompile.objective.moments import ExprUse, Moments
from pgcompile.objective.resolve import observed_variables
from pgcompile.objective.review import learned_in
from pgcompile.objective.terms import Draw, Env, Term
from pgcompile.syntax import tree
from pgcompile.vocabulary.functionals import functionals
from pgcompile.vocabulary.functions import FUNCTIONS
from pgcompile.vocabulary.symbols import Facts

Minimum = Function("Minimum")
Maximum = Function("Maximum")
Detach = Function("Detach")
BatchMean = Function("BatchMean")
BatchSum = Function("BatchSum")
# MeanOver(draw, body, log weights, surrogates ...): the mean over the draws of one expectation and the sum over its
# enumerated variables, each weighted by its probability.
MeanOver = Function("MeanOver")
# LogMean(draw, body, log weights, surrogates ...): log of the mean of exp(body).
LogMean = Function("LogMean")
# Surrogate(draw, log q, cost, log weights below, log weights above, baseline): zero, with the score-function gradient.
Surrogate = Function("Surrogate")
# Outer(draw, log q, value, baseline): zero, with the score-function gradient of a value that is no mean over the draws.
Outer = Function("Outer")
# Fitted(draw, baseline, cost, log weights, sign): zero, with the gradient that fits a learned baseline to the cost.
Fitted = Function("Fitted")
_Expect = Function("Expect")  # before the expectation rules have been applied
Softplus = Function("Softplus")
Sigmoid = Function("Sigmoid")
Tanh = Function("Tanh")
Log1p = Function("Log1p")
Relu = Function("Relu")


@dataclass(frozen=True)
class ParameterUse:
    """A parameter of a factor in an environment: what a symbol of a formula stands for."""

    atom: Atom
    name: str
    env: Env


@dataclass(frozen=True)
class LogDensityLeaf:
    """log of one factor at the variables of an environment."""

    atom: Atom
    env: Env
    detached: bool = False
    """Whether its parameters pass no gradient (Roeder et al. 2017: sticking the landing)."""


@dataclass(frozen=True)
class ClosedLeaf:
    """An expectation known in closed form.

    Args:
        kind: `KL`, `H` or `CE`, which names the value.
        formula: in terms of the symbols of `parameters`; of one element of the variable, to be summed over the rest.
        parameters: what the symbols stand for.
        atom: the factor whose variable is averaged over.
        label: `KL[q(z|x) || p(z)]`.
        touches: variables (with their environments) that it depends on.
    """

    kind: str
    formula: Expr
    parameters: tuple[tuple[Symbol, ParameterUse | ExprUse], ...]
    atom: Atom
    label: str
    touches: tuple[tuple[str, Env], ...]
    shape: tuple[int, ...] | None = None
    """What the formula is summed over; None stands for the elements of the atom's variable."""


@dataclass(frozen=True)
class PlainLeaf:
    """An expression without distributions."""

    expr: tree.Expr
    env: Env
    text: str


@dataclass(frozen=True)
class NamedLeaf:
    """Another objective of the program, computed under its name."""

    name: str
    value: "Rewritten"


@dataclass(frozen=True)
class DiscrepancyLeaf:
    """How far samples are apart."""

    term: terms.Discrepancy


@dataclass(frozen=True)
class MarginalLeaf:
    """log of a product with finite variables summed out."""

    distribution: Distribution
    env: Env


@dataclass(frozen=True)
class AggregateLeaf:
    """The total correlation or mutual information of an aggregate posterior."""

    term: terms.Aggregate


Leaf = LogDensityLeaf | ClosedLeaf | PlainLeaf | NamedLeaf | DiscrepancyLeaf | AggregateLeaf | MarginalLeaf


def touched(leaf: Leaf) -> list[tuple[str, Env]]:
    """The variables that a leaf speaks of, with where they come from."""
    match leaf:
        case LogDensityLeaf(atom, env):
            return [(v, env) for v in (*atom.targets, *atom.parents)]
        case ClosedLeaf():
            return list(leaf.touches)
        case PlainLeaf(expr, env):
            return [(v, env) for v in sorted(names_in(expr))]
        case MarginalLeaf(distribution, env):
            names = dict.fromkeys(v for atom in distribution.atoms for v in (*atom.targets, *atom.parents))
            return [(v, env) for v in names if v not in distribution.hidden]
        case AggregateLeaf(term):
            return [(term.atom.targets[0], term.env), *((p, term.draw.env) for p in term.atom.parents)]
        case DiscrepancyLeaf(term):
            return [(v, env) for v in term.variables for env in (term.left_env, term.right_env)]
        case NamedLeaf(_, value):
            return [pair for inner in value.leaves.values() for pair in touched(inner)]


@dataclass(frozen=True)
class Step:
    """A rule that fired: its name, what it turned into what, and why it may."""

    rule: str
    before: str
    after: str
    why: str
    formula: Expr | None = field(default=None, compare=False)
    """What `after` says, where it is a formula."""


@dataclass(frozen=True, eq=False)
class Rewritten:
    """An objective ready to be planned."""

    expr: Expr
    leaves: dict[Symbol, Leaf]
    draws: dict[Symbol, Draw]
    steps: tuple[Step, ...]
    observed: frozenset[str] = frozenset()


def rewrite(term: Term, model: Model, sink: Sink, name: str, *, closed: bool = True) -> Rewritten:
    """Apply every rule to an objective; notes about what had to be sampled go to the sink.

    Args:
        term: the objective.
        model: what it speaks of.
        sink: for notes.
        name: of the objective.
        closed: whether expectations that are known are taken; without them everything is sampled, to measure by.
    """
    return _Rewriter(model, sink, name, closed).run(term)


@dataclass
class _Rewriter:
    model: Model
    sink: Sink
    name: str
    closed: bool = True
    leaves: dict[Symbol, Leaf] = field(default_factory=dict)
    symbols: dict[Leaf, Symbol] = field(default_factory=dict)
    draws: dict[Symbol, Draw] = field(default_factory=dict)
    spans: dict[int, Span] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    facts: dict[tuple[Atom, Env], tuple[Facts, tuple[tuple[Symbol, ParameterUse], ...]]] = field(default_factory=dict)

    def run(self, term: Term) -> Rewritten:
        expr = self._lifted(self._expectations(self._collect(self._sympy(term))))
        directions = {line.direction for line in self.model.optimise if line.objective == self.name}
        if directions:
            expr = self._fitted(expr, -1 if "maximize" in directions else 1)
        used = expr.free_symbols
        leaves = {s: leaf for s, leaf in self.leaves.items() if s in used}
        draws = {s: d for s, d in self.draws.items() if s in used}
        return Rewritten(expr, leaves, draws, tuple(self.steps), frozenset(observed_variables(term, self.model)))

    def _symbol(self, leaf: Leaf) -> Symbol:
        if leaf not in self.symbols:
            symbol = Symbol(f"t{len(self.symbols):05d}", real=True)
            self.symbols[leaf] = symbol
            self.leaves[symbol] = leaf
        return self.symbols[leaf]

    # --- terms to sympy ---

    def _sympy(self, term: Term) -> Expr:
        match term:
            case terms.Constant(value):
                return Rational(value.numerator, value.denominator)
            case terms.Plain(expr, env, text):
                return self._symbol(PlainLeaf(expr, env, text))
            case terms.LogDensity(distribution, env):
                return self._log_product(distribution, env)
            case terms.Expectation(draw, body):
                return _Expect(self._draw(draw), self._collect(self._sympy(body)))
            case terms.Divergence():
                return self._divergence(term)
            case terms.Aggregate():
                self._step("aggregate", term.label, "over all pairs of the batch", functionals()[term.kind].why)
                return _Expect(self._draw(term.draw), self._symbol(AggregateLeaf(term)))
            case terms.Discrepancy():
                self._step("discrepancy", term.label, "of one batch of samples on either side", _why(term))
                return self._symbol(DiscrepancyLeaf(term))
            case terms.Add(items):
                return Add(*(sign * self._sympy(item) for sign, item in items))
            case terms.Multiply(items):
                return Mul(*(self._sympy(item) for item in items))
            case terms.Divide(top, bottom):
                return self._sympy(top) / self._sympy(bottom)
            case terms.Raise(base, exponent):
                return self._sympy(base) ** self._sympy(exponent)
            case terms.Apply(function, arguments):
                return _apply(function, [self._collect(self._sympy(a)) for a in arguments])
            case terms.Reference(name, inner):
                return self._reference(name, inner)

    def _reference(self, name: str, inner: Term) -> Expr:
        """A named objective keeps its name as a value, unless taking it apart gives a better closed form."""
        other = _Rewriter(self.model, Sink(self.sink.source), name, self.closed)
        value = other.run(inner)
        partial = any(
            (isinstance(leaf, ClosedLeaf) and leaf.kind in ("CE", "H"))
            or (isinstance(leaf, LogDensityLeaf) and _is_own(leaf))
            for leaf in value.leaves.values()
        )
        scored = any(draw.scored for draw in value.draws.values())
        if partial or scored or isinstance(value.expr, Symbol) or value.expr.is_Number:
            return self._sympy(inner)
        self.sink.absorb(other.sink)
        self.steps.extend(value.steps)
        return self._symbol(NamedLeaf(name, value))

    def _draw(self, draw: Draw) -> Symbol:
        symbol = Symbol(f"draw{draw.number:04d}")
        self.draws[symbol] = draw
        return symbol

    def _log_product(self, distribution: Distribution, env: Env) -> Expr:
        if distribution.origin is not None:
            rule = "posterior" if distribution.origin.evidence else "exact marginal"
            self._step(rule, f"log {distribution.origin.label}", _families_of(distribution), distribution.why)
        if distribution.evidence:
            joint = Distribution(distribution.atoms, distribution.hidden)
            evidence = evidence_of(distribution)
            self._step(
                "posterior",
                f"log {distribution.label}",
                f"log {joint.label} - log {evidence.label}",
                "Bayes' rule",
            )
            return self._log_product(joint, env) - self._log_product(evidence, env)
        if distribution.hidden:
            return self._log_marginal(distribution, env)
        if len(distribution.atoms) > 1:
            self._step(
                "log of a product", f"log {distribution.label}", _joined("+", distribution.atoms), "factors multiply"
            )
        return Add(*(self._symbol(LogDensityLeaf(atom, env)) for atom in distribution.atoms))

    def _log_marginal(self, distribution: Distribution, env: Env) -> Expr:
        """Factors without a hidden variable are factors of the marginal too; the others are summed."""
        hidden = {*distribution.hidden}
        apart = [a for a in distribution.atoms if not hidden & {*a.targets, *a.parents}]
        summed = Distribution(tuple(a for a in distribution.atoms if a not in apart), distribution.hidden)
        found = tables(summed, self.model)
        assert found is not None
        names = ", ".join(h.rstrip("′") for h in found.order)
        self._step(
            "exact marginal",
            f"log {summed.label}",
            f"the sum over {names}, one variable at a time",
            f"they are finitely many; the largest table has {found.largest:,} entries",
        )
        leaves = [LogDensityLeaf(atom, env) for atom in apart]
        return Add(self._symbol(MarginalLeaf(summed, env)), *map(self._symbol, leaves))

    def _divergence(self, term: terms.Divergence) -> Expr:
        self.spans[term.draw.number] = term.span
        return _Expect(self._draw(term.draw), self._sympy(term.body))

    # --- linearity ---

    def _collect(self, expr: Expr) -> Expr:
        """Expectations over one draw in a sum are one expectation of a sum."""
        parts: dict[Symbol, list[Expr]] = {}
        rest: list[Expr] = []
        for term in Add.make_args(expr):
            factors = Mul.make_args(term)
            inside = [f for f in factors if isinstance(f, _Expect)]
            coefficient = Mul(*(f for f in factors if not isinstance(f, _Expect)))
            if len(inside) == 1 and not coefficient.has(_Expect):
                parts.setdefault(inside[0].args[0], []).append(coefficient * inside[0].args[1])
            else:
                rest.append(term)
        return Add(*rest, *(_Expect(draw, Add(*bodies)) for draw, bodies in parts.items()))

    def _expectations(self, expr: Expr) -> Expr:
        """Replace every expectation, innermost first."""
        if isinstance(expr, sympy.log) and isinstance(expr.args[0], _Expect):
            found = self._log_mean(*expr.args[0].args)
            if found is not None:
                return found
        if isinstance(expr, _Expect):
            return self._expectation(expr.args[0], self._expectations(expr.args[1]))
        if not expr.has(_Expect):
            return expr
        return expr.func(*(self._expectations(arg) for arg in expr.args))

    # --- expectations ---

    def _expectation(self, symbol: Symbol, body: Expr) -> Expr:
        draw = self.draws[symbol]
        expanded = Add(*(sympy.expand_mul(arg, deep=False) for arg in Add.make_args(body)))
        pieces = list(Add.make_args(expanded))
        for atom in reversed(order_atoms(draw.distribution)):
            usable = self.closed and not draw.distribution.evidence
            if usable and isinstance(atom.factor.definition, FamilyUse) and len(atom.targets) == 1:
                pieces = self._close(draw, atom, pieces)
        if draw.estimator.grad == "stl":
            pieces = [self._stuck(piece, draw) for piece in pieces]
        inside = [piece for piece in pieces if self._depends(piece, draw)]
        outside = [piece for piece in pieces if not self._depends(piece, draw)]
        if not inside:
            return Add(*outside)
        needed = self._needed(inside, draw)
        self._record_sampling(draw, inside, needed)
        weights = self._weights(draw, [v for v in draw.enumerated if v in needed])
        surrogates = [self._surrogate(symbol, draw, v, inside, needed) for v in draw.scored if v in needed]
        if draw.samples > 1 or weights != 0 or surrogates:
            return Add(*outside, MeanOver(symbol, Add(*inside), weights, *surrogates))
        return Add(*outside, *inside)

    def _log_mean(self, symbol: Symbol, body: Expr) -> Expr | None:
        """`log E[exp(b)]` by log-sum-exp; with one sample it is `E[b]`. None for any other body."""
        draw = self.draws[symbol]
        number, rest = body.as_coeff_Mul()
        factors = Mul.make_args(rest)
        if number <= 0 or rest.has(_Expect) or not all(isinstance(f, sympy.exp) for f in factors):
            return None
        inner = Add(*(f.args[0] for f in factors)) + sympy.log(number)
        if draw.samples == 1 and not draw.enumerated:
            return self._expectation(symbol, inner)
        pieces = list(Add.make_args(sympy.expand_mul(inner)))
        if draw.estimator.grad == "dreg":
            pieces = [self._stuck(piece, draw) for piece in pieces]
        inside = [piece for piece in pieces if self._depends(piece, draw)]
        outside = [piece for piece in pieces if not self._depends(piece, draw)]
        if not inside:
            return Add(*outside)
        needed = self._needed(inside, draw)
        enumerated = [v for v in draw.enumerated if v in needed]
        scored = [v for v in draw.scored if v in needed]
        if enumerated and scored:
            return None
        self._record_sampling(draw, inside, needed, logarithm=True)
        surrogates = [self._surrogate(symbol, draw, v, [], needed) for v in scored]
        return Add(*outside, LogMean(symbol, Add(*inside), self._weights(draw, enumerated), *surrogates))

    def _lifted(self, expr: Expr) -> Expr:
        """Score functions of expectations inside a nonlinear function weigh the value of the whole function.

        Inside, they would give the gradient of the function at the true expectation, of which the value is no estimate.
        """
        found: list[Expr] = []
        for term in Add.make_args(expr):
            number, body = term.as_coeff_Mul()
            inside = list(dict.fromkeys(_nonlinear(body, linear=True)))
            if not inside or body.has(BatchMean, BatchSum):
                found.append(term)
                continue
            plain = body.xreplace({node: node.func(*node.args[:3]) for node in inside})
            outer = [Outer(s.args[0], s.args[1], plain, *s.args[5:]) for node in inside for s in node.args[3:]]
            found.append(number * Add(plain, *outer))
        return Add(*found)

    # --- gradients ---

    def _stuck(self, piece: Expr, draw: Draw) -> Expr:
        """With the parameters of the drawn factors' own log-densities detached."""
        changes = {}
        for symbol in piece.free_symbols:
            leaf = self.leaves.get(symbol)
            if isinstance(leaf, LogDensityLeaf) and leaf.env.get(leaf.atom.targets[0]) is draw and _is_own(leaf):
                changes[symbol] = self._symbol(replace(leaf, detached=True))
        return piece.xreplace(changes)

    def _needed(self, pieces: list[Expr], draw: Draw) -> set[str]:
        """The drawn variables that some pieces depend on, with those above them."""
        found: set[str] = set()
        for variable in draw.variables:
            if any(self._depends_on(piece, draw, {variable}) for piece in pieces):
                found.add(variable)
        if draw.distribution.evidence and found:
            return {*draw.variables}
        return found | self._above(found, draw)

    def _above(self, variables: set[str], draw: Draw) -> set[str]:
        graph = self._graph(draw)
        return {a for v in variables if v in graph for a in nx.ancestors(graph, v)} & {*draw.variables}

    def _graph(self, draw: Draw) -> nx.DiGraph:
        """Which drawn variables are made from which, through deterministic ones."""
        graph = nx.DiGraph()
        graph.add_nodes_from(draw.variables)
        for atom in draw.distribution.atoms:
            graph.add_edges_from((parent, target) for parent in atom.parents for target in atom.targets)
        for name, factor in self.model.deterministic.items():
            graph.add_edges_from((parent, name) for parent in factor.parents)
        return graph

    def _weights(self, draw: Draw, variables: list[str]) -> Expr:
        """log of the joint probability of enumerated variables."""
        if draw.distribution.evidence:
            return self._log_product(draw.distribution, draw.inside) if variables else Integer(0)
        atoms = [draw.atom_of(v) for v in variables]
        return Add(*(self._symbol(LogDensityLeaf(atom, draw.inside)) for atom in atoms if atom is not None))

    def _surrogate(self, symbol: Symbol, draw: Draw, variable: str, pieces: list[Expr], needed: set[str]) -> Expr:
        """Zero with the gradient `(f - baseline) d log q` (Williams 1992), f being what depends on the variable."""
        atom = draw.atom_of(variable)
        assert atom is not None
        below = self._downstream(draw, variable)
        cost = Add(*(piece for piece in pieces if self._depends_on(piece, draw, below)))
        above = self._above({variable}, draw)
        enumerated = [v for v in draw.enumerated if v in needed]
        log_density = self._symbol(LogDensityLeaf(atom, draw.inside))
        baseline: list[Expr] = []
        if draw.estimator.baseline is not None:
            expr = draw.estimator.baseline
            baseline = [self._symbol(PlainLeaf(expr, draw.env, self._text(expr)))]
        return Surrogate(
            symbol,
            log_density,
            cost,
            self._weights(draw, [v for v in enumerated if v not in above]),
            self._weights(draw, [v for v in enumerated if v in above]),
            *baseline,
        )

    def _text(self, expr: tree.Expr) -> str:
        return " ".join(self.sink.source.snippet(expr.span).split())

    def _fitted(self, expr: Expr, sign: int) -> Expr:
        """With the terms that fit learned baselines to what they stand for.

        They push the same way as the line that optimises the objective, whatever the sign of the expectation.
        """
        fits = []
        for found in sorted(expr.atoms(MeanOver, LogMean), key=str):
            for surrogate in found.args[3:]:
                if len(surrogate.args) > 5 and self._is_learned(surrogate.args[5]):
                    draw, _, cost, below, above, baseline = surrogate.args
                    if isinstance(found, LogMean):
                        cost = LogMean(*found.args[:3])
                    fits.append(Fitted(draw, baseline, cost, below + above, Integer(sign)))
        return Add(expr, *fits)

    def _is_learned(self, symbol: Symbol) -> bool:
        leaf = self.leaves[symbol]
        assert isinstance(leaf, PlainLeaf)
        return bool(learned_in(leaf.expr, self.model))

    def _close(self, draw: Draw, atom: Atom, pieces: list[Expr]) -> list[Expr]:
        """Replace the log-densities of one drawn variable whose expectation is known."""
        variable = atom.targets[0]
        groups: dict[Expr, list[tuple[int, LogDensityLeaf]]] = {}
        rest: list[Expr] = []
        for piece in pieces:
            found = self._candidate(piece, draw, variable)
            if found is None:
                rest.append(piece)
                continue
            leaf, coefficient = found
            sign = -1 if coefficient.could_extract_minus_sign() else 1
            groups.setdefault(sign * coefficient, []).append((sign, leaf))
        if draw.estimator.grad is None and not draw.relaxed:
            rest = [self._expected(draw, atom, piece) for piece in rest]
        for coefficient, members in groups.items():
            rest.extend(coefficient * value for value in self._close_group(draw, atom, members))
        return rest

    def _expected(self, draw: Draw, atom: Atom, piece: Expr) -> Expr:
        """A piece whose expectation over one variable follows from its moments, or the piece as it is.

        The piece is an expression, or the log-density of another factor whose parameters are formulas of the variable,
        times what does not depend on it.
        """
        variable = atom.targets[0]
        if not self._depends_on(piece, draw, {variable}):
            return piece
        factors = Mul.make_args(piece)
        moving = [f for f in factors if self._depends_on(f, draw, {variable})]
        symbol = moving[0]
        leaf = self.leaves.get(symbol) if isinstance(symbol, Symbol) else None
        if len(moving) > 1 or not isinstance(leaf, PlainLeaf | LogDensityLeaf):
            return piece
        blocked = self._downstream(draw, variable)
        if any(self._reaches(v, env, draw, blocked - {variable}) for v, env in touched(leaf)):
            return piece
        own, parameters = self._facts(atom, draw.inside)
        moments = Moments(
            self.model,
            variable,
            self.model.spaces[atom.factor.targets[0]].shape,
            own,
            lambda name, env: self._reaches(name, env, draw, {variable}),
            self.sink,
        )
        if isinstance(leaf, PlainLeaf):
            found, text = moments.plain(leaf.expr, leaf.env), leaf.text
        elif isinstance(leaf.atom.factor.definition, FamilyUse) and not self._reaches(
            leaf.atom.targets[0], leaf.env, draw, {variable}
        ):
            found, text = moments.log_density(leaf.atom, leaf.env), f"log {leaf.atom.label}"
        else:
            return piece
        if found is None:
            return piece
        formula, shape = found
        label = f"E_{{{atom.label}}}[{text}]"
        self._step(
            "moments", label, _readable(formula, parameters), f"a formula of {variable}, whose moments are known"
        )
        used = formula.free_symbols
        known: list[tuple[Symbol, ParameterUse | ExprUse]] = [*parameters, *moments.uses]
        kept = tuple(p for p in known if p[0] in used)
        outer = [(v, leaf.env) for v, _ in touched(leaf) if v != variable]
        touches = tuple(dict.fromkeys([*((p, draw.inside) for p in atom.parents), *outer]))
        closed = ClosedLeaf("CE", formula, kept, atom, label, touches, shape)
        return Mul(self._symbol(closed), *(f for f in factors if f is not symbol))

    def _candidate(self, piece: Expr, draw: Draw, variable: str) -> tuple[LogDensityLeaf, Expr] | None:
        """A log-density of `variable` times a coefficient that does not depend on it."""
        if draw.relaxed or draw.estimator.grad == "stl":
            return None  # the program asks for the value at the draw
        factors = Mul.make_args(piece)
        leaves = [
            (f, self.leaves[f])
            for f in factors
            if isinstance(f, Symbol) and isinstance(self.leaves.get(f), LogDensityLeaf)
        ]
        if len(leaves) != 1:
            return None
        symbol, leaf = leaves[0]
        assert isinstance(leaf, LogDensityLeaf)
        if leaf.atom.targets != (variable,) or leaf.env.get(variable) is not draw:
            return None
        if not isinstance(leaf.atom.factor.definition, FamilyUse):
            return None
        coefficient = Mul(*(f for f in factors if f is not symbol))
        if self._depends(coefficient, draw):
            return None
        blocked = self._downstream(draw, variable)
        for parent in leaf.atom.parents:
            if self._reaches(parent, leaf.env, draw, blocked):
                self._note_sampled(draw, leaf, variable, parent)
                return None
        return leaf, coefficient

    def _downstream(self, draw: Draw, variable: str) -> set[str]:
        """The variable and what descends from it, through deterministic variables too."""
        return {variable, *nx.descendants(self._graph(draw), variable)}

    def _reaches(self, name: str, env: Env, draw: Draw, blocked: set[str]) -> bool:
        """Whether a variable, through deterministic ones and other draws, depends on a blocked variable of a draw."""
        stack = [(name, env)]
        seen: set[tuple[str, Env]] = set()
        while stack:
            here = stack.pop()
            if here in seen:
                continue
            seen.add(here)
            current, where = here
            source = where.get(current)
            if source is draw and current in blocked:
                return True
            if source is not None and source is not draw:
                stack.extend((v, source.inside) for v in source.distribution.parents)
                stack.extend((v, source.env) for v in source.distribution.parents)
            if source is None and current in self.model.deterministic:
                stack.extend((v, where) for v in self.model.deterministic[current].parents)
        return False

    def _close_group(self, draw: Draw, atom: Atom, members: list[tuple[int, LogDensityLeaf]]) -> list[Expr]:
        """Expected log-densities with one coefficient: together if that is known, else those that are known alone."""
        closed = self._closed(draw, atom, members)
        if closed is not None:
            sign, leaf = closed
            return [sign * self._symbol(leaf)]
        if len(members) == 1:
            sign, leaf_ = members[0]
            return [sign * self._symbol(leaf_)]
        return [value for member in members for value in self._close_group(draw, atom, [member])]

    def _closed(
        self, draw: Draw, atom: Atom, members: list[tuple[int, LogDensityLeaf]]
    ) -> tuple[int, ClosedLeaf] | None:
        inner = draw.inside
        own, uses = self._facts(atom, inner)
        parameters = list(uses)
        others = [
            (sign, leaf) for sign, leaf in members if not (leaf.atom == atom and leaf.env.get(atom.targets[0]) is draw)
        ]
        mine = [sign for sign, leaf in members if (sign, leaf) not in others]
        shape = self._one_by_one(atom, [leaf for _, leaf in others])
        if shape is not None and len(members) > 1:
            return None  # one density is of the vector, the other of its entries: each is taken by itself
        densities = [(sign, own.log_density) for sign in mine]
        for sign, leaf in others:
            facts, more = self._facts(leaf.atom, leaf.env)
            densities.append((sign, facts.log_density))
            parameters.extend(p for p in more if p not in parameters)
        if not others and len(mine) == 1:
            formula = entropy(own)
            kind, label, flip = "H", f"H[{atom.label}]", -mine[0]
        elif len(others) == 1 and len(mine) == 1 and mine[0] == -others[0][0]:
            formula = expected_log_density([(1, own.log_density), (-1, densities[-1][1])], own)
            kind, label, flip = "KL", f"KL[{atom.label} || {others[0][1].atom.label}]", mine[0]
        elif len(members) == 1:
            formula = expected_log_density([(1, densities[0][1])], own)
            kind, label, flip = "CE", f"E_{{{atom.label}}}[log {members[0][1].atom.label}]", members[0][0]
        else:
            formula = expected_log_density(densities, own)
            text = _joined("+", [leaf.atom for _, leaf in members])
            kind, label, flip = "CE", f"E_{{{atom.label}}}[{text}]", 1
        if formula is None:
            self._step("closed form", label, label, "no closed form is known for these families: it is sampled")
            return None
        self._step(
            "closed form", label, _readable(formula, uses), _families([atom, *(leaf.atom for _, leaf in others)])
        )
        touches = [(p, inner) for p in atom.parents] + [(p, leaf.env) for _, leaf in others for p in leaf.atom.parents]
        used = formula.free_symbols
        kept = tuple(p for p in parameters if p[0] in used)
        return flip, ClosedLeaf(kind, formula, kept, atom, label, tuple(dict.fromkeys(touches)), shape)

    def _one_by_one(self, atom: Atom, others: list[LogDensityLeaf]) -> tuple[int, ...] | None:
        """The shape over which densities of the entries of a vector are summed; None where both are of the vector."""
        ranks = [_event_rank(leaf.atom) for leaf in others]
        return self.model.spaces[atom.factor.targets[0]].shape if _event_rank(atom) and 0 in ranks else None

    def _facts(self, atom: Atom, env: Env) -> tuple[Facts, tuple[tuple[Symbol, ParameterUse], ...]]:
        """A factor's facts over symbols of its parameters; literal numbers are put in at once."""
        key = (atom, env)
        if key not in self.facts:
            definition = atom.factor.definition
            assert isinstance(definition, FamilyUse)
            values, uses = parameter_symbols(atom, env, self.model, f"f{len(self.facts)}")
            self.facts[key] = (definition.family.facts(values), uses)
        return self.facts[key]

    # --- dependence ---

    def _depends(self, expr: Expr, draw: Draw) -> bool:
        return self._depends_on(expr, draw, set(draw.distribution.targets))

    def _depends_on(self, expr: Expr, draw: Draw, variables: set[str]) -> bool:
        """Whether a formula depends on some variables of a draw, other than through those of the same draw."""
        for symbol in expr.free_symbols:
            leaf = self.leaves.get(symbol)
            if leaf is not None and self._leaf_depends(leaf, draw, variables):
                return True
        return False

    def _leaf_depends(self, leaf: Leaf, draw: Draw, variables: set[str]) -> bool:
        return any(self._reaches(name, env, draw, variables) for name, env in touched(leaf))

    # --- records ---

    def _step(self, rule: str, before: str, after: str | Expr, why: str) -> None:
        formula = after if isinstance(after, Expr) else None
        step = Step(rule, before, str(after), why, formula)
        if step not in self.steps:
            self.steps.append(step)

    def _record_sampling(self, draw: Draw, pieces: list[Expr], needed: set[str], *, logarithm: bool = False) -> None:
        labels = [self._label(s) for piece in pieces for s in sorted(piece.free_symbols, key=str) if s in self.leaves]
        what = f"E_{{{draw.distribution.spelled}}}[{', '.join(dict.fromkeys(labels))}]"
        if logarithm:
            mean = f"log E_{{{draw.distribution.spelled}}}[exp({', '.join(dict.fromkeys(labels))})]"
            self._step("log-sum-exp", mean, "a log-sum-exp of log-densities", "no density is ever exponentiated alone")
        enumerated = [v for v in draw.enumerated if v in needed]
        scored = [v for v in draw.scored if v in needed]
        if enumerated:
            sizes = [states(draw.atom_of(v), self.model) or 0 for v in enumerated]  # type: ignore[arg-type]
            values = " x ".join(map(str, sizes))
            self._step(
                "enumeration", what, f"a sum over {', '.join(enumerated)}: {values} values", "they are finitely many"
            )
        drawn = [v for v in draw.variables if v in needed and v not in enumerated]
        if not drawn:
            return
        word = "sample" if scored or draw.relaxed else "pathwise sample"
        count = f"one {word}" if draw.samples == 1 else f"{draw.samples} {word}s"
        why = "its expectation is not known in closed form"
        if scored:
            baseline = draw.estimator.baseline
            less = "" if draw.samples == 1 else ", less the mean of the other draws"
            less = less if baseline is None else f", less the baseline {self._text(baseline)}"
            why += f"; draws of {', '.join(scored)} pass no gradient: a score function carries it{less}"
        if draw.relaxed:
            why += f"; {', '.join(draw.relaxed)} is replaced by a relaxation, whose gradient is biased"
        self._step("sampling" if word == "sample" else "pathwise sampling", what, f"{count} of {', '.join(drawn)}", why)
        self._note_plan(draw, scored)

    def _note_plan(self, draw: Draw, scored: list[str]) -> None:
        """The default plan of a discrete draw is worth a note: it costs several draws."""
        objective = self.model.objectives.get(self.name)
        if not scored or not draw.unasked or draw.estimator.baseline is not None or objective is None:
            return
        self.sink.add(
            "N106",
            objective.span,
            f"{self.name} draws {', '.join(scored)} {draw.samples} times: its gradient is a score function, "
            "less the mean of the other draws",
            help="choose with E_{q; samples=8}, or give baseline=b(...); relax=gumbel is differentiable, and biased",
        )

    def _label(self, symbol: Symbol) -> str:
        leaf = self.leaves[symbol]
        match leaf:
            case LogDensityLeaf(atom):
                return f"log {atom.label}"
            case ClosedLeaf(label=label):
                return label
            case PlainLeaf(text=text):
                return text
            case NamedLeaf(name):
                return name
            case MarginalLeaf(distribution):
                return f"log {distribution.label}"
            case DiscrepancyLeaf() | AggregateLeaf():
                return leaf.term.label

    def _note_sampled(self, draw: Draw, leaf: LogDensityLeaf, variable: str, parent: str) -> None:
        span = self.spans.get(draw.number)
        what = f"E_{{{draw.distribution.label}}}[log {leaf.atom.label}]"
        why = (
            f"{parent}, on which {leaf.atom.label} is conditioned, is "
            f"drawn after {variable} in {draw.distribution.spelled}"
        )
        self._step("closed form", what, what, f"not valid: {why}; it is sampled")
        if span is not None:
            self.sink.add("N102", span, f"{what} is sampled, not taken in closed form: {why}")


def parameter_symbols(
    atom: Atom, env: Env, model: Model, prefix: str
) -> tuple[dict[str, Expr], tuple[tuple[Symbol, ParameterUse], ...]]:
    """Symbols for the parameters of a factor, literal numbers in their place."""
    definition = atom.factor.definition
    assert isinstance(definition, FamilyUse)
    values: dict[str, Expr] = {}
    uses: list[tuple[Symbol, ParameterUse]] = []
    for name, expr in definition.parameters:
        literal = evaluate(expr, model.constants)
        if isinstance(literal, Fraction) and definition.family.parameter(name).rank == 0:
            values[name] = Rational(literal.numerator, literal.denominator)
            continue
        symbol = Symbol(f"{prefix}_{name}", real=True)
        values[name] = symbol
        uses.append((symbol, ParameterUse(atom, name, env)))
    return values, tuple(uses)


def _apply(function: str, arguments: list[Expr]) -> Expr:
    """A function of terms, by the symbolic form that its row states."""
    row = FUNCTIONS[function]
    module, _, name = row.symbol.rpartition(".")
    head = getattr(sympy, name) if module else Function(name)
    return head(*arguments) if row.exponent is None else head(*arguments, row.exponent)


def _nonlinear(expr: Expr, *, linear: bool) -> Iterator[Expr]:
    """Means with score functions that a nonlinear function acts on; a product of independent means is none."""
    if isinstance(expr, Detach) or not expr.args:
        return
    if isinstance(expr, MeanOver | LogMean):
        if not linear and expr.args[3:]:
            yield expr
        yield from _nonlinear(expr.args[1], linear=linear and isinstance(expr, MeanOver))
        return
    keeps = isinstance(expr, Add | Mul | BatchMean | BatchSum)
    for arg in expr.args:
        yield from _nonlinear(arg, linear=linear and keeps)


def _is_own(leaf: LogDensityLeaf) -> bool:
    """Whether a log-density is of a variable that its own factor drew."""
    draw = leaf.env.get(leaf.atom.targets[0])
    return draw is not None and leaf.atom in draw.distribution.atoms


def _joined(sign: str, atoms: Iterable[Atom]) -> str:
    return f" {sign} ".join(f"log {atom.label}" for atom in atoms)


def _why(term: terms.Discrepancy) -> str:
    """The reason for a comparison of samples; that of a gradient penalty stands with the distance that has one."""
    return functionals()["W_d" if term.kind == "GP" else term.kind].why


def _event_rank(atom: Atom) -> int:
    definition = atom.factor.definition
    return definition.family.event_rank if isinstance(definition, FamilyUse) else 0


def _families_of(distribution: Distribution) -> str:
    """`log p(x), a MultivariateNormal`."""
    shown = []
    for atom in distribution.atoms:
        definition = atom.factor.definition
        if isinstance(definition, FamilyUse):
            name = definition.family.name
            shown.append(f"log {atom.label}, {'an' if name[0] in 'AEIOU' else 'a'} {name}")
        else:
            shown.append(f"log {atom.label}, by Bayes' rule at one point")
    return " + ".join(shown)


def _families(atoms: list[Atom]) -> str:
    names = [a.factor.definition.family.name for a in atoms if isinstance(a.factor.definition, FamilyUse)]
    return f"known for {' | '.join(dict.fromkeys(names))}"


def _readable(formula: Expr, own: Iterable[tuple[Symbol, ParameterUse]]) -> Expr:
    """A formula with its parameters' names: `q_` those of what is averaged over, `p_` those of the other side."""
    mine = {symbol for symbol, _ in own}
    names = {}
    for symbol in formula.free_symbols:
        prefix, _, name = str(symbol).partition("_")
        if prefix.startswith("f") and prefix[1:].isdigit() and name:
            names[symbol] = Symbol(f"{'q' if symbol in mine else 'p'}_{name}")
    return formula.subs(names)
