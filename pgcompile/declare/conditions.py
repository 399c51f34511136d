"""Factors that are conditioned on what they use through deterministic variables, as papers write them.

`q(z|x) = Normal(loc(h), scale(h))` with `h = f(x)` elsewhere is conditioned on x, through h: the formula of h is
written into the factor. A state that is carried over places has no formula of one place:
`q(z_t|z_{t-1}, x_{t:T})` that uses `b_t = back(x_t, b_{t+1})`, or `q(z|x_{1:T})` that uses the last state of an
encoder, is conditioned on that state, wherever the factor is named.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pgcompile.declare.common_starts import ranges_of, with_common_starts
from pgcompile.declare.reaches import EVERYWHERE, HERE, Reach, covered, reach_of
from pgcompile.model.indices import Indices
from pgcompile.syntax import tree
from pgcompile.syntax.mapped import mapped
from pgcompile.syntax.subscripts import Literal, Shift, Slice, Subscript, subscripts
from pgcompile.vocabulary.functions import FUNCTIONS

WORDS = ("sum", "mean", "prod")
"""What may be taken over all places of an index."""

_Key = tuple[str, frozenset[str], frozenset[str]]


def conditioned(program: tree.Program) -> tree.Program:
    """The program with each factor conditioned on every variable that its formula uses, where its head allows that.

    A use that the head does not cover is left as it is, and is reported where names are resolved (PGC114).
    """
    formulas = [s for s in program.statements if isinstance(s, tree.Definition) and not isinstance(s.left, tree.Call)]
    if not formulas:
        return program
    program = with_common_starts(program)
    reader = _Reader(program)
    statements = tuple(map(reader.read, program.statements))
    if not reader.heads:
        return replace(program, statements=statements) if statements != program.statements else program
    return replace(program, statements=tuple(map(reader.named, statements)))


@dataclass
class _Formula:
    """A deterministic variable: its name as it is defined, its right side, and what clauses bind there."""

    left: tree.Expr
    parts: tuple[Subscript, ...]
    right: tree.Expr

    @property
    def names(self) -> Iterator[str]:
        """The names that it uses, each as often as it stands there."""
        bound = {n.id for node in tree.walk(self.right) if isinstance(node, tree.Where) for n in _bound(node)}
        return (n for n in _names(self.right) if n not in bound)

    @property
    def is_start(self) -> bool:
        """True if it says what stands outside the places of an index."""
        return bool(self.parts) and all(isinstance(part, Literal) for part in self.parts)

    @property
    def of_one_place(self) -> bool:
        """True if it says what the variable is at a place by what stands at that place."""
        return all(isinstance(part, Shift) and not part.offset for part in self.parts)


@dataclass
class _Reader:
    """Rewrites factors.

    Args:
        program: the whole.

    `heads` are the new conditions of factors, by their old ones; `firsts` those at the first place.
    """

    program: tree.Program
    heads: dict[_Key, tuple[tree.Argument, ...]] = field(default_factory=dict)
    firsts: dict[tuple[str, str], tuple[tree.Argument, ...]] = field(default_factory=dict)
    indices: Indices = field(default_factory=Indices)
    formulas: dict[str, list[_Formula]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.indices = ranges_of(self.program)
        self.fixed: set[str] = set(FUNCTIONS)
        factors = set[str]()
        for statement in self.program.statements:
            match statement:
                case tree.TensorDeclaration(names=names):
                    self.fixed |= {n.id for n in names}
                case tree.NetDeclaration(name=name) | tree.ExternNet(name=name) | tree.FlowDeclaration(name=name):
                    self.fixed.add(name.id)
                case tree.ConstDeclaration(name=name):
                    self.fixed.add(name.id)
                case tree.Definition(tree.Call(name)):
                    factors.add(name)
        for name in self.indices.ranges:
            self.fixed |= {name, *(f"{word}_{name}" for word in WORDS)}
        self.bases = set[str]()
        for name in _names(*self.program.statements):
            if (found := subscripts(name, self.indices)) is not None:
                self.bases.add(found[0])
        for statement in self.program.statements:
            if isinstance(statement, tree.Definition) and not speaks_of_distributions(statement.right, factors):
                for name in tree.defined_names(statement.left):
                    base, parts = self._split(name.id)
                    self.formulas.setdefault(base, []).append(_Formula(statement.left, parts, statement.right))
        # `x_0 = 0` says where a recurrence over data starts, and makes no other place of x.
        self.formulas = {base: found for base, found in self.formulas.items() if any(not f.is_start for f in found)}
        self.sources = self._closed()

    def _split(self, name: str) -> tuple[str, tuple[Subscript, ...]]:
        """The variable and its places; `x` where x has an index is all of them."""
        found = subscripts(name, self.indices, self.bases)
        if found is None:
            return name, (Slice("all"),) if name in self.bases else ()
        return found

    def _reach(self, name: str) -> Reach:
        return reach_of(self._split(name)[1], self.indices)

    def _closed(self) -> dict[str, dict[str, Reach]]:
        """For each deterministic variable the variables that it is made of, and the places of them that it takes."""
        found: dict[str, dict[str, Reach]] = {base: {} for base in self.formulas}
        rounds = 2 * len(found) + 2
        for turn in range(2 * rounds):
            changed = False
            for base, formulas in self.formulas.items():
                for formula in formulas:
                    changed |= self._widen(found, base, formula, to_the_end=turn >= rounds)
            if not changed:
                break
        return found

    def _widen(self, found: dict[str, dict[str, Reach]], base: str, formula: _Formula, *, to_the_end: bool) -> bool:
        """Add what a formula uses; whether that was more than was known."""
        at_place = bool(formula.parts) and all(isinstance(part, Shift) for part in formula.parts)
        changed = False
        for name in formula.names:
            used, here = self._split(name)[0], self._reach(name) if at_place else EVERYWHERE
            if used in self.fixed or name in self.fixed:
                continue
            below = found.get(used, {used: HERE})
            for source, reach in below.items():
                old = found[base].get(source)
                new = here.plus(reach)
                whole = new if old is None else old.with_(new, to_the_end=to_the_end)
                if whole != old:
                    found[base][source] = whole
                    changed = True
        return changed

    # --- factors ---

    def read(self, statement: tree.Statement) -> tree.Statement:
        """A factor with the formulas that it uses, or conditioned on their variables."""
        match statement:
            case tree.Definition(tree.Call(given=(*given,)) as head, right) if given:
                return self._factor(statement, head, tuple(given), right)
            case _:
                return statement

    def _factor(
        self, statement: tree.Definition, head: tree.Call, given: tuple[tree.Argument, ...], right: tree.Expr
    ) -> tree.Statement:
        where = right if isinstance(right, tree.Where) else tree.Where(right, (), span=right.span)
        if not isinstance(where.value, tree.Call):
            return statement
        known = {n for a in given for n in tree.names_in(a.value)}
        bound = {n.id for n in _bound(where)}
        used = [n for n in dict.fromkeys(_names(where)) if n not in bound and n not in known]
        written: list[tree.Binding] = []
        states = [n for n in used if self._is_one_of_a_run(n, known)]
        known = {*known, *states}
        for name in (n for n in used if self._is_covered(n, known)):
            clauses = self._written(name, known, {n.id for b in written for n in b.names})
            if clauses is None:
                states.append(name)
            else:
                written += clauses
        if written:
            where = replace(where, bindings=(*written, *where.bindings))
            statement = replace(statement, right=where)
        return self._stated(statement, head, given, states, used) if states else statement

    def _is_covered(self, name: str, known: set[str]) -> bool:
        """True of a deterministic variable that is made of what a factor is conditioned on."""
        base = self._split(name)[0]
        if base not in self.formulas or not self.sources[base]:
            return False
        here = self._reach(name)
        given: dict[str, list[Reach]] = {}
        for other in known:
            given.setdefault(self._split(other)[0], []).append(self._reach(other))
        return all(covered(here.plus(reach), given.get(s, [])) for s, reach in self.sources[base].items())

    def _is_one_of_a_run(self, name: str, known: set[str]) -> bool:
        """True of `z_{t-1}` in a factor that is conditioned on `z_{<t}`."""
        base, parts = self._split(name)
        if base in self.formulas or not all(isinstance(part, Shift) for part in parts):
            return False
        return covered(self._reach(name), [self._reach(k) for k in known if self._split(k)[0] == base])

    def _written(self, name: str, known: set[str], bound: set[str]) -> list[tree.Binding] | None:
        """The clauses that say what a variable is; None where it has no formula of one place over what is given."""
        if name in bound:
            return []
        formula = next((f for f in self.formulas.get(self._split(name)[0], ()) if name in _names(f.left)), None)
        alone = formula is not None and len(self.formulas[self._split(name)[0]]) == 1
        if formula is None or not alone or not formula.of_one_place:
            return None
        right = formula.right if isinstance(formula.right, tree.Where) else tree.Where(formula.right, ())
        found = list(right.bindings)
        own = {n.id for n in _bound(right)}
        for used in dict.fromkeys(formula.names):
            if used in own or used in known or used in self.fixed or self._split(used)[0] in self.fixed:
                continue
            more = self._written(used, known, bound)
            if more is None:
                return None
            found = [*more, *found]
        return [*found, tree.Binding(tree.defined_names(formula.left), right.value, span=formula.right.span)]

    def _stated(
        self,
        statement: tree.Definition,
        head: tree.Call,
        given: tuple[tree.Argument, ...],
        states: list[str],
        used: list[str],
    ) -> tree.Statement:
        """A factor conditioned on states instead of the runs of places that they are made of."""
        bases = [self._split(name)[0] for name in states]
        made_of = {source for base in bases for source in self.sources.get(base, (base,))}

        def is_replaced(name: str) -> bool:
            return self._is_run(name) and self._split(name)[0] in made_of and name not in used

        kept = [a for a in given if not all(map(is_replaced, tree.names_in(a.value)))]
        spot = given[-1].span
        new = (*kept, *(tree.Argument(None, tree.Name(name, span=spot), span=spot) for name in states))
        self.heads[self._key(head)] = new
        for first in self._at_first(head.args):
            self.firsts[head.name, first] = tuple(a for a in map(self._argument_at_first, new) if a is not None)
        return replace(statement, left=replace(head, given=new))

    def named(self, node: Any) -> Any:
        """A tree in which these factors are named with their new conditions."""
        if not isinstance(node, tree.Call) or node.given is None:
            return mapped(node, self.named)
        new = self.heads.get(self._key(node))
        if new is None and any(map(self._is_run, _names(*node.given))):
            targets = ",".join(sorted(_names(*node.args)))
            new = self.firsts.get((node.name, targets))
        return node if new is None else replace(node, given=new)

    def _key(self, call: tree.Call) -> _Key:
        """A factor's name and variables, in any order; `x` is `x_{1:T}` where x has an index."""

        def side(arguments: tuple[tree.Argument, ...]) -> frozenset[str]:
            names = [name for argument in arguments for name in tree.names_in(argument.value)]
            whole = {n: self._split(n)[0] for n in names if self._reach(n) == EVERYWHERE and self._is_run(n)}
            return frozenset(whole.get(name, name) for name in names)

        return call.name, side(call.args), side(call.given or ())

    def _is_run(self, name: str) -> bool:
        return any(isinstance(part, Slice) for part in self._split(name)[1])

    def _at_first(self, targets: tuple[tree.Argument, ...]) -> Iterator[str]:
        """The names of what a factor generates at the first place, where it has places."""
        names = [(*self._split(n), n) for a in targets for n in tree.names_in(a.value)]
        if names and all(parts and all(isinstance(p, Shift) for p in parts) for _, parts, _ in names):
            yield ",".join(sorted(f"{base}_1" for base, _, _ in names))

    def _argument_at_first(self, argument: tree.Argument) -> tree.Argument | None:
        """A condition at the first place; None of what is no variable."""
        if not isinstance(argument.value, tree.Name):
            return None
        base, parts = self._split(argument.value.id)
        if len(parts) != 1 or not isinstance(parts[0], Shift):
            return argument
        return replace(argument, value=replace(argument.value, id=f"{base}_{1 + parts[0].offset}"))


def _names(*nodes: Any) -> list[str]:
    return [node.id for node in tree.walk(*nodes) if isinstance(node, tree.Name)]


def _bound(where: tree.Where) -> list[tree.Name]:
    return [name for binding in where.bindings for name in binding.names]


def speaks_of_distributions(expr: tree.Expr, factors: set[str]) -> bool:
    """True of an expectation, a divergence, or what names a factor."""
    return any(
        isinstance(node, tree.Expectation | tree.Functional)
        or (isinstance(node, tree.Call) and (node.given is not None or node.name in factors))
        for node in tree.walk(expr)
    )
