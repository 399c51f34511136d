"""Reads indices: what `x_t`, `z_{t-1}`, `x_{1:T}` and `sum_t` stand for, so that later passes see names of templates.

`x_t` becomes the name `x_{t}`, a variable whose space is that of one place. A variable at another place, `z_{t-1}`,
is a name of its own, which the model ties to the first (`Indices.lags`). A formula of one place that is an objective
is put where it is used, and a factor of the first place becomes a part of the one that holds for all.
"""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from pgcompile.declare.conditions import WORDS
from pgcompile.declare.first_places import with_first_places
from pgcompile.declare.first_terms import heads_of, of_first_place
from pgcompile.declare.inlining import Inlining
from pgcompile.declare.place_names import PlaceNames
from pgcompile.declare.place_tensors import report_tensors_of_places
from pgcompile.declare.run_parents import without_run_parents
from pgcompile.declare.starts import find_starts
from pgcompile.diagnostics import Sink, Span, nearest
from pgcompile.model.indices import IndexRange, Indices
from pgcompile.model.literals import evaluate
from pgcompile.syntax import tree
from pgcompile.syntax.mapped import mapped
from pgcompile.syntax.places import place_name, places_of
from pgcompile.syntax.subscripts import Literal, Shift, Slice, Subscript, subscripts
from pgcompile.syntax.sum_reach import reached


def read_indices(program: tree.Program, sink: Sink, constants: dict[str, Fraction]) -> tuple[tree.Program, Indices]:
    """The program with names of templates, and its indices.

    Args:
        program: the tree.
        sink: where faults go.
        constants: the named sizes.
    """
    declared = [s for s in program.statements if isinstance(s, tree.IndexDeclaration)]
    if not declared and not any(map(_needs_index, tree.walk(*program.statements))):
        return program, Indices()
    indices = Indices()
    for statement in declared:
        _declare(statement, indices, sink, constants)
    _refuse_lengths_of_rows(indices, sink)
    program = without_run_parents(program, indices, sink)
    reader = _Reader(indices, sink, program)
    statements = [reader.read(s) for s in program.statements if not isinstance(s, tree.IndexDeclaration)]
    if not indices.ranges:
        return (program if not declared else replace(program, statements=tuple(statements))), indices
    statements = with_first_places(Inlining(reader.factors, sink).inlined(statements), reader.firsts, sink)
    statements += _totals(indices, statements)
    find_starts(indices, statements, reader.firsts, sink)
    statements = _without_unused(statements, reader.outside, indices, sink)
    return replace(program, statements=tuple(statements)), indices


def _without_unused(
    statements: list[tree.Statement], outside: set[str], indices: Indices, sink: Sink
) -> list[tree.Statement]:
    """The statements without starts of what does not recur, each of which is warned of: they would be objectives."""
    used = {s.id for lag in indices.lags.values() for s in lag.starts if isinstance(s, tree.Name)}
    for statement in statements:
        match statement:
            case tree.Definition(tree.Name(), right):
                used |= tree.names_in(right)
            case _:
                used |= tree.names_in(statement)
    kept = []
    for statement in statements:
        left = statement.left if isinstance(statement, tree.Definition) else None
        if isinstance(left, tree.Name) and left.id in outside - used:
            message = f"{left.id} stands outside the places of its index, and nothing refers to it"
            sink.add("W120", statement.span, message, help="leave it out, or refer to the place before")
        else:
            kept.append(statement)
    return kept


def _declare(statement: tree.IndexDeclaration, indices: Indices, sink: Sink, constants: dict[str, Fraction]) -> None:
    name = statement.name.id
    if name in indices.ranges:
        sink.add(
            "PGC107",
            statement.name.span,
            f"the index {name} is declared twice",
            related=[(indices.ranges[name].span, "first declared here")],
            help="remove one",
        )
        return
    indices.ranges[name] = IndexRange(name, span=statement.span)  # so that its subscripts are known
    if statement.low is None:
        if any(index.of_data for index in indices.ranges.values()):
            message = "a program has one index over the data points"
            sink.add("PGC117", statement.span, message, help=f"write `index {name} in 1..{name.upper()}`")
        total = tree.Name(name.upper(), span=statement.span)
        indices.ranges[name] = IndexRange(name, total, of_data=True, span=statement.span)
        return
    if statement.low != tree.Number("1"):
        sink.add("PGC117", statement.low.span, "an index counts from 1", help=f"write `index {name} in 1..T`")
        return
    assert statement.high is not None
    found = evaluate(statement.high, constants)
    if found is None and not isinstance(statement.high, tree.Name):
        sink.add(
            "PGC117",
            statement.high.span,
            "the end of an index is a number, or a name whose number is read from the data",
            help=f"write `index {name} in 1..T`",
        )
        return
    size = int(found) if isinstance(found, Fraction) and found.denominator == 1 and found > 0 else None
    if found is not None and size is None:
        sink.add("PGC117", statement.high.span, f"an index has whole places, 1 to {found} are none", help="as in 1..20")
        return
    if statement.padded and not isinstance(statement.high, tree.Name):
        sink.add(
            "PGC117",
            statement.high.span,
            "the lengths of padded sequences have a name, by which data give them",
            help=f"write `index {name} in 1..T padded`",
        )
        return
    indices.ranges[name] = IndexRange(name, statement.high, size, statement.padded, span=statement.span)


def _refuse_lengths_of_rows(indices: Indices, sink: Sink) -> None:
    """Report padded sequences beside an index over the data points: lengths are those of rows."""
    rows = next((known.name for known in indices.ranges.values() if known.of_data), None)
    padded = next((known for known in indices.ranges.values() if known.padded), None)
    if rows is not None and padded is not None:
        sink.add(
            "PGC010",
            padded.span,
            f"padded sequences beside `index {rows} in data` are not part of this version",
            help=f"leave `index {rows} in data` and its subscripts out: each row is then a sequence of its own length",
        )


def _needs_index(node: tree.Node) -> bool:
    """True of what has no meaning without an index."""
    return isinstance(node, tree.OverIndex) or (isinstance(node, tree.Name) and node.id.endswith("}"))


def _totals(indices: Indices, statements: list[tree.Statement]) -> list[tree.Statement]:
    """The input `N`, the number of all data points, where a sum goes over them."""
    summed = {node.index.id for node in tree.walk(*statements) if isinstance(node, tree.OverIndex)}
    whole = {
        tree.Name(known.total, span=known.span)
        for known in indices.ranges.values()
        if known.total is not None and (known.name in summed or _has_functionals(statements))
    }
    return [tree.TensorDeclaration("input", (name,), tree.SpaceExpr("positive"), span=name.span) for name in whole]


def _has_functionals(statements: list[tree.Statement]) -> bool:
    """True if a formula may sum over places without saying so, as `ELBO[p || q]` does."""
    return any(isinstance(node, tree.Functional | tree.Whole) for node in tree.walk(*statements))


class _Reader(PlaceNames):
    """Rewrites statements.

    Args:
        indices: gets what the names stand for.
        sink: where faults go.
        program: the whole, to know which names have an index.
    """

    def __init__(self, indices: Indices, sink: Sink, program: tree.Program) -> None:
        super().__init__(indices, sink)
        self.firsts: list[tree.Definition] = []
        self.plain: set[str] = set()
        self.different: set[str] = set()
        self.heads = heads_of(program, indices)
        self.factors = {
            s.left.name for s in program.statements if isinstance(s, tree.Definition) and isinstance(s.left, tree.Call)
        }
        self.factors |= {s.head.name for s in program.statements if isinstance(s, tree.ExternFactor)}
        for node in sorted(tree.walk(*program.statements), key=lambda node: node.span.start):
            if isinstance(node, tree.Name):
                self._note(node.id, node.span)

    def _note(self, name: str, span: Span) -> None:
        """Know which variables have an index, and which names stand for themselves."""
        found = subscripts(name, self.indices)
        if found is None or self._over(name) is not None:
            self.plain.add(name)
        elif None not in (carried := [self._index_of(part) for part in found[1]]):
            own = tuple(index for index in carried if index is not None)
            if self.bases.setdefault(found[0], own) != own and found[0] not in self.different:
                self.different.add(found[0])
                first, other = (", ".join(i) for i in (self.bases[found[0]], own))
                self.sink.add(
                    "PGC118",
                    span,
                    f"{found[0]} has the index {other} here, and {first} elsewhere",
                    help="a variable has the same indices wherever it stands; give one of the two another name",
                )

    def _index_of(self, part: Subscript) -> str | None:
        """The index along which a subscript is; None of a single place."""
        match part:
            case Shift(index):
                return index
            case Slice():
                reach = part.reach(self.indices)
                return None if reach is None else reach[0]
            case _:
                return None

    # --- statements ---

    def read(self, statement: tree.Statement) -> tree.Statement:
        """A statement with names of templates."""
        match statement:
            case tree.Definition(tree.Name() as left, _) if (run := self.run(left)) is not None and run[2] == "all":
                here = tree.Name(self.placed(run[0], ((run[1], 0),), left.span), span=left.span)
                return replace(statement, left=here, right=self._mapped(statement.right, self.name))
            case tree.SpaceDeclaration(names):
                return replace(statement, names=tuple(self._declared(name) for name in names))
            case tree.TensorDeclaration():
                report_tensors_of_places(statement, self.indices, self.sink)
                return self._mapped(statement, self.name)  # type: ignore[no-any-return]
            case tree.Definition(tree.Call() as head, _) if any(
                self._is_place_of_another(a.value) for a in head.args if isinstance(a.value, tree.Name)
            ):
                return statement
            case tree.Definition(tree.Call() as head, _) if self._is_first(head):
                first: tree.Definition = self._mapped(statement, self.at_first)
                self.firsts.append(first)
                return first
            case _:
                found: tree.Statement = self._mapped(statement, self.name)
                return found

    def _declared(self, name: tree.Name) -> tree.Name:
        if self._is_place_of_another(name):
            return name
        run = self.run(name)
        if run is not None and run[2] == "all":
            self.sink.add(
                "PGC118",
                name.span,
                f"a space is that of one place, and {name.id} is all of them",
                help=f"write `{run[0]}_{run[1]} : ...`",
            )
            return tree.Name(self.placed(run[0], ((run[1], 0),), name.span), span=name.span)
        found = self.name(name)
        places = places_of(found.id)
        if places is None:
            return name
        if any(offset for _, offset in places[1]):
            self.sink.add(
                "PGC118",
                name.span,
                f"a space is declared for every place at once, and {name.id} is one place apart",
                help=f"write `{places[0]}_{','.join(i for i, _ in places[1])} : ...`",
            )
        here = place_name(places[0], tuple((index, 0) for index, _ in places[1]))
        return tree.Name(here, span=name.span)

    def _is_place_of_another(self, name: tree.Name) -> bool:
        """True of `z_T` or `z_3`, which are places of z_t and not variables of their own; reported."""
        found = subscripts(name.id, self.indices, self.bases)
        match found:
            case (base, (Literal(place, end),)) if base in self.bases and (place == 0 if end else place > 1):
                (index, *_) = self.bases[base]
                which = "last place" if end else f"place {place}"
                message = f"{name.id} is the {which} of {base}_{index}, and no variable of its own"
                help = f"give it another name, or write {base}_{index}, which stands for every place"
                self.sink.add("PGC118", name.span, message, help=help)
                return True
        return False

    def _is_first(self, head: tree.Call) -> bool:
        """True of `p(z_1)` where z has an index, and where the first place is no other name of the program."""
        names = [a.value.id for a in head.args if isinstance(a.value, tree.Name)]
        found = [subscripts(n, self.indices, self.bases) for n in names]
        return bool(names) and all(s is not None and s[1] == (Literal(1),) for s in found)

    # --- expressions ---

    def _mapped(self, node: Any, name: Callable[[tree.Name], tree.Name]) -> Any:
        """A tree with its names read, sums over indices in their places."""
        match node:
            case tree.Name():
                return name(node)
            case tree.Log() | tree.Functional() if (
                first := of_first_place(node, self.heads, self.indices, self.bases)
            ) is not None:
                return self._mapped(first, name)
            case tree.Integral(body, variables, True) if all(v.id in self.indices.ranges for v in variables):
                summed = self._mapped(body, name)
                for variable in reversed(variables):
                    summed = tree.OverIndex("sum", variable, summed, span=node.span)
                return summed
            case tree.Integral():
                return self._sums(node, name)
            case tree.OverIndex():
                return self._after_first(replace(self._ranged(node), body=self._mapped(node.body, name)))
            case tree.Power(tree.Call(called, (argument,), None) as call) if self._over(called) is not None:
                # `mean_t (a - b)^2` is the mean of squares, as `sum_t (a - b)^2` is their sum.
                inside = replace(argument, value=replace(node, base=argument.value))
                return self._mapped(replace(call, args=(inside,), span=node.span), name)
            case tree.Call(called, (argument,), None) if (over := self._over(called)) is not None:
                index = tree.Name(over[1], span=node.name_span)
                return tree.OverIndex(over[0], index, self._mapped(argument.value, name), span=node.span)
            case tree.Product(factors) if (at := self._operator_in(factors)) is not None:
                return self._mapped(self._applied(node, factors, at), name)
            case tree.Sum() | tree.Product():
                return reached(mapped(node, lambda inner: self._mapped(inner, name)), self._carries)
            case tree.Call() if node.given is not None or node.name in self.factors:
                return self._factor(node, name)
            case tree.Call(args=args) if (runs := [self.run(a.value) for a in args]) and any(runs):
                return self._along(node, runs, name)
            case _:
                return mapped(node, lambda inner: self._mapped(inner, name))

    def _carries(self, node: tree.Node, index: str) -> bool:
        """True if a formula that was read speaks of a place of an index, outside of sums over it."""
        pending: list[tree.Node] = [node]
        while pending:
            here = pending.pop()
            if isinstance(here, tree.OverIndex) and here.index.id == index:
                continue
            if isinstance(here, tree.Name) and index in self.indices.of(here.id):
                return True
            pending += tree.children(here)
        return False

    def _sums(self, node: tree.Integral, name: Callable[[tree.Name], tree.Name]) -> tree.Expr:
        """Sums inside sums, a thousand of them in a long chain, from the inside out."""
        chain = [node]
        while isinstance(chain[-1].body, tree.Integral) and not self._is_index(chain[-1].body):
            chain.append(chain[-1].body)
        body: tree.Expr = self._mapped(chain[-1].body, name)
        for outer in reversed(chain):
            body = replace(outer, body=body, variables=tuple(map(name, outer.variables)))
        return body

    def _is_index(self, node: tree.Integral) -> bool:
        return node.is_sum and len(node.variables) == 1 and node.variables[0].id in self.indices.ranges

    def _over(self, word: str) -> tuple[str, str] | None:
        """`mean` and `t` of `mean_t`."""
        kind, _, index = word.partition("_")
        return (kind, index) if kind in WORDS and index in self.indices.ranges else None

    def _operator_in(self, factors: tuple[tree.Expr, ...]) -> int | None:
        found = (i for i, f in enumerate(factors[:-1]) if isinstance(f, tree.Name) and self._over(f.id) is not None)
        return next(found, None)

    def _applied(self, node: tree.Product, factors: tuple[tree.Expr, ...], at: int) -> tree.Expr:
        """`a mean_t f g` as a times the mean of f g."""
        operator, rest = factors[at], factors[at + 1 :]
        assert isinstance(operator, tree.Name)
        over = self._over(operator.id)
        assert over is not None
        body = rest[0] if len(rest) == 1 else replace(node, factors=rest)
        whole = tree.OverIndex(over[0], tree.Name(over[1], span=operator.span), body, span=node.span)
        return replace(node, factors=(*factors[:at], whole)) if at else whole

    def _ranged(self, node: tree.OverIndex) -> tree.OverIndex:
        """A sum over an index that is declared, and over all its places."""
        known = self.indices.ranges.get(node.index.id)
        if known is None:
            close = nearest(node.index.id, self.indices.ranges)
            self.sink.add(
                "PGC117",
                node.index.span,
                f"{node.index.id} is no index",
                help=f"did you mean {close}?" if close else f"declare it: `index {node.index.id} in 1..T`",
            )
        elif not self._is_whole(node, known) and not self._is_after_first(node, known):
            self.sink.add(
                "PGC010",
                node.span,
                f"a {node.kind} over this part of an index is not part of this version",
                help=f"write {node.kind}_{node.index.id}, which is over all places, or sum_{{{node.index.id}=2}}^{{T}}",
            )
        return node

    @staticmethod
    def _is_whole(node: tree.OverIndex, known: IndexRange) -> bool:
        return node.low is None or (node.low == tree.Number("1") and node.high in (None, known.high))

    @staticmethod
    def _is_after_first(node: tree.OverIndex, known: IndexRange) -> bool:
        """True of `sum_{t=2}^{T}`, all places but the first."""
        ends = node.high in (None, known.high) and not known.of_data
        return node.kind == "sum" and node.low == tree.Number("2") and ends

    def _after_first(self, node: tree.OverIndex) -> tree.OverIndex:
        """A sum over all places but the first as one over all, in which the first counts for nothing."""
        known = self.indices.ranges.get(node.index.id)
        if known is None or not self._is_after_first(node, known):
            return node
        zero, one = (tree.Number(text, span=node.span) for text in ("0", "1"))
        counted = tree.AtFirst(zero, one, node.index.id, span=node.span)
        return replace(node, body=tree.Product((counted, node.body), span=node.span), low=None, high=None)

    def _factor(self, call: tree.Call, name: Callable[[tree.Name], tree.Name]) -> tree.Expr:
        """A factor; one of whole sequences is that of one place, marked."""
        index: str | None = None

        def of_place(argument: tree.Argument) -> tree.Argument:
            nonlocal index
            if not isinstance(argument.value, tree.Name):
                changed: tree.Argument = self._mapped(argument, name)
                return changed
            run = self.run(argument.value)
            if run is not None and run[2] != "all":
                return replace(argument, value=tree.Name(self.run_name(run, argument.span), span=argument.span))
            whole = self.whole(argument.value)
            if whole is None:
                return replace(argument, value=name(argument.value))
            index = whole[1]
            return replace(argument, value=tree.Name(whole[0], span=argument.value.span))

        args = tuple(of_place(a) for a in call.args)
        given = None if call.given is None else tuple(of_place(a) for a in call.given)
        placed = replace(call, args=args, given=given)
        return placed if index is None else tree.Whole(placed, index, span=call.span)

    def _along(
        self,
        call: tree.Call,
        runs: list[tuple[str, str, str] | None],
        name: Callable[[tree.Name], tree.Name],
    ) -> tree.Expr:
        """A net of sequences."""
        known = {run[1:] for run in runs if run is not None}
        if len(known) > 1 or None in runs:
            self.sink.add(
                "PGC010",
                call.span,
                "a net of sequences beside what is none, or of several kinds, is not part of this version",
                help="join them first: `u_t = cat(x_t, c)`, and then `f(u_{<t})`",
            )
            return call
        ((index, reach),) = known
        found = [run for run in runs if run is not None]
        args = tuple(
            replace(a, value=tree.Name(self.run_name(run, a.span), span=a.span))
            for a, run in zip(call.args, found, strict=True)
        )
        return tree.Along(replace(call, args=args), index, reach, span=call.span)
