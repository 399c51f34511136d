"""The indices of a program, as the judge reads them for itself: which variables have places, and their factors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pgcompile.model.indices import IndexRange, Indices
from pgcompile.syntax import tree
from pgcompile.syntax.mapped import mapped
from pgcompile.syntax.subscripts import Literal, Shift, Slice, Subscript, subscripts
from pgcompile.syntax.sum_reach import reached

Places = Mapping[str, int]


def place_name(base: str, places: tuple[int, ...]) -> str:
    """The name that a variable has at some places of its indices in an unrolled program."""
    return "_".join([base, *(str(k) if k >= 0 else f"before_{-k}" for k in places)])


@dataclass
class IndexReading:
    """The indices of a program, and the variables that carry them."""

    program: tree.Program
    lengths: Places
    shapes: Mapping[str, tuple[int, ...]]
    indices: Indices = field(default_factory=Indices)
    carried: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lagged: set[str] = field(default_factory=set)
    """Variables that are used at another place than their own."""
    parents: dict[str, set[str]] = field(default_factory=dict)
    formulas: dict[str, tree.Expr] = field(default_factory=dict)
    factors: set[str] = field(default_factory=set)
    tensors: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    """Variables that a net takes as sequences."""
    totals: dict[str, str] = field(default_factory=dict)
    """The names of the numbers of data points, by the index that goes over them."""
    heads: dict[tuple[str, str], tree.Call] = field(default_factory=dict)
    """The heads of factors, by their name and variable."""
    firsts: dict[tuple[str, str], tree.Call] = field(default_factory=dict)
    """The heads of factors of first places, by their name and variable."""

    def __post_init__(self) -> None:
        for statement in self.program.statements:
            if isinstance(statement, tree.IndexDeclaration):
                known = IndexRange(statement.name.id, statement.high)
                self.indices.ranges[statement.name.id] = known
                if statement.low is None:
                    self.totals[statement.name.id] = statement.name.id.upper()
        for node in tree.walk(*self.program.statements):
            if isinstance(node, tree.Name):
                self._note(node.id)
        for statement in self.program.statements:
            if isinstance(statement, tree.Definition):
                self._define(statement)
            elif isinstance(statement, tree.TensorDeclaration):
                self.tensors |= {self._start_name(n.id) for n in statement.names}

    def _note(self, name: str) -> None:
        found = subscripts(name, self.indices)
        if found is None:
            return
        if any(isinstance(part, Slice) for part in found[1]):
            self.runs.add(found[0])
            reaches = [part.reach(self.indices) for part in found[1] if isinstance(part, Slice)]
            if len(found[1]) == 1 and reaches[0] is not None:
                self.carried.setdefault(found[0], (reaches[0][0],))
        shifts = [part for part in found[1] if isinstance(part, Shift)]
        if len(shifts) == len(found[1]):
            self.carried.setdefault(found[0], tuple(s.index for s in shifts))
            if any(s.offset for s in shifts):
                self.lagged.add(found[0])

    def _split(self, name: str) -> tuple[str, tuple[Subscript, ...]] | None:
        return subscripts(name, self.indices, self.carried)

    def _start_name(self, name: str) -> str:
        """The name of a place outside the range."""
        found = self._split(name)
        if found is None or len(found[1]) != 1 or not isinstance(found[1][0], Literal) or found[1][0].end:
            return name
        return place_name(found[0], (found[1][0].place,))

    def _base(self, name: str) -> str:
        found = self._split(name)
        return name if found is None else found[0]

    def _define(self, statement: tree.Definition) -> None:
        match statement.left:
            case tree.Name(id):
                found = self._split(id)
                if found is not None and all(isinstance(p, Shift) for p in found[1]) and _is_objective(statement.right):
                    self.formulas[found[0]] = statement.right
                self.parents.setdefault(self._base(id), set()).update(map(self._base, tree.names_in(statement.right)))
            case tree.Call(name, args, given):
                self.factors.add(name)
                for own in (n for a in args for n in tree.names_in(a.value)):
                    if (split := self._split(own)) is not None and split[1] == (Literal(1),):
                        self.firsts[name, split[0]] = statement.left
                    elif split is not None and all(isinstance(p, Shift) for p in split[1]):
                        self.heads[name, split[0]] = statement.left
                    elif split is None:
                        self.heads[name, own] = statement.left
                above = {self._base(n) for a in given or () for n in tree.names_in(a.value)}
                for argument in args:
                    for own in tree.names_in(argument.value):
                        self.parents.setdefault(self._base(own), set()).update(above)

    def _needed(self) -> set[str]:
        """Variables that one at another place depends on."""
        found, pending = set[str](), list(self.lagged)
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                pending += self.parents.get(name, ())
        return found

    def _drawn(self, over: tree.Expr | None) -> frozenset[str]:
        """The variables that a distribution draws; a bare name may draw them all."""
        if over is None:
            return frozenset()
        calls = [c for c in tree.walk(over) if isinstance(c, tree.Call)]
        if not calls:
            return frozenset(self.carried)
        return frozenset(self._base(n) for c in calls for a in c.args for n in tree.names_in(a.value))

    def _grouped(self, node: Any) -> Any:
        """A sum or product in which sums over an index have what carries it behind them."""
        if not isinstance(node, tree.Sum | tree.Product):
            return node
        return reached(mapped(node, self._as_over), self._carries)

    def _as_over(self, node: Any) -> Any:
        match node:
            case tree.Integral(body, (variable,), True) if variable.id in self.indices.ranges:
                return tree.OverIndex("sum", variable, body, span=node.span)
            case tree.Call(name, (argument,), None) if (over := self._word(name)) is not None:
                return tree.OverIndex(over[0], tree.Name(over[1]), argument.value, span=node.span)
            case _:
                return node

    def _carries(self, node: tree.Node, index: str) -> bool:
        pending: list[tree.Node] = [node]
        while pending:
            here = self._as_over(pending.pop())
            if isinstance(here, tree.OverIndex) and here.index.id == index:
                continue
            if isinstance(here, tree.Name) and (found := self._split(here.id)) is not None:
                if any(isinstance(part, Shift) and part.index == index for part in found[1]):
                    return True
                if found[0] in self.formulas and index in self.carried.get(found[0], ()):
                    return True
            pending += tree.children(here)
        return False

    def _word(self, name: str) -> tuple[str, str] | None:
        kind, _, index = name.partition("_")
        return (kind, index) if kind in ("sum", "mean", "prod") and index in self.indices.ranges else None


def _is_objective(expr: tree.Expr) -> bool:
    return any(isinstance(n, tree.Expectation | tree.Functional | tree.Log) for n in tree.walk(expr))
