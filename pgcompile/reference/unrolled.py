"""A program with indices written out, place by place: the judge's own reading of sequences and plates.

`x_t` becomes x_1, x_2, ... as far as the data go, each with its factors, and `sum_t` a sum. What is drawn at a place is
drawn around all that comes later, so that later terms see the same draw: the sum of f_t is `f_1 + E_{q(z_1)}[f_2 +
E_{q(z_2)}[...]]`. The result is a program without indices, which the interpreter reads as it reads any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pgcompile.reference.factors_at_places import FactorsAtPlaces
from pgcompile.reference.index_reading import Places
from pgcompile.syntax import tree
from pgcompile.syntax.mapped import mapped
from pgcompile.syntax.subscripts import Literal, Shift, Slice, Subscript

_SAMPLED = ("KL", "H", "TC", "MI")
"""Functionals that draw from their left side."""
_DECLARATIONS = (tree.SpaceDeclaration, tree.TensorDeclaration)


def unrolled(program: tree.Program, lengths: Places, shapes: Mapping[str, tuple[int, ...]]) -> tree.Program:
    """A program for sequences of some lengths.

    Args:
        program: as it was parsed.
        lengths: the number of places of each index.
        shapes: the event shapes of variables with indices, by their names without them.
    """
    return _Unroller(program, lengths, shapes).run()


@dataclass
class _Unroller(FactorsAtPlaces):
    """Writes a program out."""

    def run(self) -> tree.Program:
        """The program without indices."""
        found: list[tree.Statement] = []
        for statement in self.program.statements:
            found += self._statement(statement)
        found = self._without_unused_starts(found)
        found += self._spaces_of_starts(found)
        for name in self.totals.values():
            found.append(tree.TensorDeclaration("input", (tree.Name(name),), tree.SpaceExpr("positive")))
        return replace(self.program, statements=tuple(found))

    def _without_unused_starts(self, statements: list[tree.Statement]) -> list[tree.Statement]:
        """The statements without starts that nothing uses at these lengths, which would be objectives."""
        starts = {
            self._named(s.left, {}).id
            for s in self.program.statements
            if isinstance(s, tree.Definition) and isinstance(s.left, tree.Name)
            if (split := self._split(s.left.id)) is not None and all(isinstance(p, Literal) for p in split[1])
        }
        used = {
            node.id
            for s in statements
            for node in tree.walk(s.right if isinstance(s, tree.Definition) and isinstance(s.left, tree.Name) else s)
            if isinstance(node, tree.Name)
        }
        unused = starts - used
        return [
            s
            for s in statements
            if not (isinstance(s, tree.Definition) and isinstance(s.left, tree.Name) and s.left.id in unused)
        ]

    # --- statements ---

    def _statement(self, statement: tree.Statement) -> list[tree.Statement]:
        match statement:
            case tree.IndexDeclaration():
                return []
            case tree.SpaceDeclaration(names):
                every = [name for n in names for name in self._every_place(n)]
                whole = [s for n in names for s in self._run_space(n, statement.space)]
                return [replace(statement, names=tuple(every)), *whole]
            case tree.Definition(tree.Name(id) as name, right):
                found = self._split(id)
                if found is not None and isinstance(found[1][0], Slice):
                    found = (found[0], tuple(Shift(i) for i in self.carried[found[0]]))
                    name = tree.Name(_template(*found), span=name.span)
                    statement = replace(statement, left=name)
                return self._formula(statement, name, right, found)
            case tree.Definition(tree.TupleLiteral((tree.Name(id), *_)), _) if (found := self._split(id)) is not None:
                return [self._placed(statement, places, frozenset()) for places in self._grid(found[1])]
            case tree.Definition(tree.Call() as head, _):
                return self._factor(statement, head)
            case _:
                return [self._placed(statement, {}, frozenset())]

    def _run_space(self, name: tree.Name, space: tree.SpaceExpr) -> list[tree.Statement]:
        """The declaration of all places of a variable at once, for nets of sequences."""
        found = self._split(name.id)
        if found is None or found[0] not in self.runs:
            return []
        (index,) = self.carried[found[0]]
        count = tree.Number(str(self.lengths[index]), span=name.span)
        own = space.groups[:1] if space.name == "category" else ()
        sizes = space.groups[len(own) :]
        groups = (*own, (count, *(sizes[0] if sizes else ())))
        run = tree.Name(f"{found[0]}_run", span=name.span)
        return [tree.SpaceDeclaration((run,), replace(space, groups=groups), span=name.span)]

    def _spaces_of_starts(self, statements: list[tree.Statement]) -> list[tree.Statement]:
        """Declarations of places outside the range, which have the space of the variable."""
        declared = {n.id for s in statements if isinstance(s, _DECLARATIONS) for n in s.names}
        defined = {s.left.id for s in statements if isinstance(s, tree.Definition) and isinstance(s.left, tree.Name)}
        spaces = {
            found[0]: s.space
            for s in self.program.statements
            if isinstance(s, tree.SpaceDeclaration)
            for n in s.names
            if (found := self._split(n.id)) is not None
        }
        made = []
        for node in tree.walk(*self.program.statements):
            found = self._split(node.id) if isinstance(node, tree.Name) else None
            if found is not None and len(found[1]) == 1 and isinstance(found[1][0], Literal) and found[0] in spaces:
                assert isinstance(node, tree.Name)
                name = self._named(node, {})
                if name.id not in declared | defined:
                    declared.add(name.id)
                    made.append(tree.SpaceDeclaration((name,), spaces[found[0]], span=node.span))
        return list(made)

    def _every_place(self, name: tree.Name) -> list[tree.Name]:
        found = self._split(name.id)
        if found is None:
            return [name]
        if not all(isinstance(p, Shift) for p in found[1]):
            return [self._named(name, {})]
        return [self._named(name, places) for places in self._grid(found[1])]

    def _formula(
        self,
        statement: tree.Definition,
        name: tree.Name,
        right: tree.Expr,
        found: "tuple[str, tuple[Subscript, ...]] | None",
    ) -> list[tree.Statement]:
        if found is None:
            return [self._placed(statement, {}, frozenset())]
        if found[0] in self.formulas and all(isinstance(p, Shift) for p in found[1]):
            return []  # it is put where it is used
        if isinstance(right, tree.Number) and self.shapes.get(found[0]):
            right = _filled(right, self.shapes[found[0]])
        whole = replace(statement, right=right)
        made = [self._placed(whole, places, frozenset()) for places in self._grid(found[1])]
        return [*self._space_of_run(found[0], made), *made]

    def _space_of_run(self, base: str, made: list[tree.Statement]) -> list[tree.Statement]:
        """The space of a formula of a whole sequence, some of whose places nothing may use."""
        declared = {self._base(n.id) for s in self.program.statements if isinstance(s, _DECLARATIONS) for n in s.names}
        if base in declared or base not in self.shapes:
            return []
        sizes = tuple(tree.Number(str(size)) for size in self.shapes[base])
        names = tuple(s.left for s in made if isinstance(s, tree.Definition) and isinstance(s.left, tree.Name))
        return [tree.SpaceDeclaration(names, tree.SpaceExpr("real", (sizes,) if sizes else ()))]

    def _factor(self, statement: tree.Definition, head: tree.Call) -> list[tree.Statement]:
        own = [self._split(n) for a in head.args for n in tree.names_in(a.value)]
        if any(f is not None and any(isinstance(p, Slice) for p in f[1]) for f in own):
            return []
        parts = tuple(p for f in own if f is not None for p in f[1])
        firsts = {
            self._base(n)
            for s in self.program.statements
            if isinstance(s, tree.Definition) and isinstance(s.left, tree.Call) and s.left.name == head.name
            for a in s.left.args
            for n in tree.names_in(a.value)
            if (self._split(n) or ("", ()))[1] == (Literal(1),)
        }
        made = []
        for places in self._grid(parts):
            template = all(isinstance(p, Shift) for p in parts)
            if parts and template and any(k == 1 for k in places.values()) and {f[0] for f in own if f} & firsts:
                continue  # the first place has a factor of its own
            made.append(self._placed(statement, places, frozenset()))
        return made

    # --- expressions ---

    def _placed(self, node: Any, places: Places, bound: frozenset[str]) -> Any:
        """A tree at some places; `bound` are the variables that an expectation around it draws."""
        node = self._grouped(node)
        match node:
            case tree.Name(id) if (found := self._split(id)) is not None and found[0] in self.formulas:
                return self._placed(self.formulas[found[0]], places, bound)
            case tree.Name():
                return self._named(node, places)
            case tree.Integral(body, (variable,), True) if variable.id in self.indices.ranges:
                return self._over("sum", variable.id, body, places, bound)
            case tree.OverIndex(kind, index, body, low):
                first = int(low.text) if isinstance(low, tree.Number) else 1
                return self._over(kind, index.id, body, places, bound, first)
            case tree.Integral(body, (first, *others), True) if others and first.id in self.indices.ranges:
                inner = replace(node, variables=tuple(others))
                return self._over("sum", first.id, inner, places, bound)
            case tree.Power(tree.Call(name, (argument,), None)) if (over := self._word(name)) is not None:
                return self._over(*over, replace(node, base=argument.value), places, bound)
            case tree.Call(name, (argument,), None) if (over := self._word(name)) is not None:
                return self._over(*over, argument.value, places, bound)
            case tree.Product(factors):
                for at, factor in enumerate(factors[:-1]):
                    if isinstance(factor, tree.Name) and (over := self._word(factor.id)) is not None:
                        rest = factors[at + 1 :]
                        body = rest[0] if len(rest) == 1 else replace(node, factors=rest)
                        made = self._over(*over, body, places, bound)
                        before = tuple(self._placed(f, places, bound) for f in factors[:at])
                        return replace(node, factors=(*before, made)) if before else made
            case tree.Call() if node.given is not None or node.name in self.factors:
                return self._called(node, places)
            case tree.Call(args=args) if any(self._is_run(a.value) for a in args):
                return self._along(node, places)
            case tree.Expectation(over, body):
                inside = bound | self._drawn(over)
                return replace(
                    node,
                    over=self._placed(over, places, bound),
                    body=self._placed(body, places, inside),
                    options=self._placed(node.options, places, bound),
                )
        return mapped(node, lambda inner: self._placed(inner, places, bound))

    def _is_run(self, expr: tree.Expr) -> bool:
        found = self._split(expr.id) if isinstance(expr, tree.Name) else None
        return found is not None and isinstance(found[1][0], Slice)

    def _along(self, call: tree.Call, places: Places) -> tree.Expr:
        """A net of a whole sequence at one of its places; nets that look ahead are refused where they must not."""
        args = []
        at = 0
        for argument in call.args:
            assert isinstance(argument.value, tree.Name)
            found = self._split(argument.value.id)
            assert found is not None and isinstance(found[1][0], Slice)
            (index,) = self.carried[found[0]]
            at = places[index] - (2 if found[1][0].text.startswith("<") else 1)
            run = tree.Name(f"{found[0]}_run", span=argument.span)
            args.append(tree.Argument(None, run, span=argument.span))
        whole = replace(call, args=tuple(args))
        here = tree.Index(whole, (tree.Number(str(max(at, 0)), span=call.span),), span=call.span)
        if at < 0:
            return tree.Product((tree.Number("0", span=call.span), here), span=call.span)
        return here

    # --- sums ---

    def _over(
        self, kind: str, index: str, body: tree.Expr, places: Places, bound: frozenset[str], first: int = 1
    ) -> tree.Expr:
        count = self.lengths[index]
        at = [{**places, index: k} for k in range(1, count + 1)]
        if kind == "prod":
            factors = tuple(f for p in at for f in _factors(self._placed(body, p, bound)))
            return tree.Product(factors, span=body.span) if len(factors) > 1 else factors[0]
        body = self._inlined(body)
        path = self._path(body, bound)
        whole: tree.Expr | None = None
        for p in reversed(at):
            here = self._placed(body, p, bound) if p[index] >= first else tree.Number("0", span=body.span)
            if whole is not None:
                later = whole
                for over in reversed(path):
                    later = replace(self._placed(over, p, bound), body=later)
                here = tree.Sum(((1, here), (1, later)), span=body.span)
            whole = here
        assert whole is not None
        if kind == "sum" and index in self.totals:
            share = tree.Quotient(tree.Name(self.totals[index]), tree.Number(str(count)), span=body.span)
            return tree.Product((share, whole), span=body.span)
        if kind == "mean":
            return tree.Quotient(whole, tree.Number(str(count), span=body.span), span=body.span)
        return whole

    def _inlined(self, body: Any) -> Any:
        if isinstance(body, tree.Name):
            found = self._split(body.id)
            if found is not None and found[0] in self.formulas:
                return self._inlined(self.formulas[found[0]])
            return body
        return mapped(body, self._inlined)

    def _path(self, body: tree.Expr, bound: frozenset[str]) -> list[tree.Expectation]:
        """The expectations, without bodies, over what later places depend on; each before those made from it."""
        needed = self._needed() - bound
        found: dict[str, tree.Expectation] = {}
        for node in tree.walk(body):
            over: tree.Expr | None = None
            options: tuple[tree.Option, ...] = ()
            if isinstance(node, tree.Expectation):
                over, options = node.over, node.options
            elif isinstance(node, tree.Functional) and node.kind in _SAMPLED:
                over = node.left
            if over is None:
                continue
            for name in self._drawn(over) & needed:
                known = found.get(name)
                if known is None or (isinstance(node, tree.Expectation) and not known.options):
                    found[name] = tree.Expectation(over, tree.Number("0"), options, span=node.span)
        ordered: list[tree.Expectation] = []
        pending = list(dict.fromkeys(found.values()))
        while pending:
            names = {n for e in pending for n in self._drawn(e.over)}
            ready = [e for e in pending if not (self._above(e) & (names - self._drawn(e.over)))] or pending[:1]
            ordered += ready
            pending = [e for e in pending if e not in ready]
        return ordered

    def _above(self, expectation: tree.Expectation) -> set[str]:
        calls = [c for c in tree.walk(expectation.over) if isinstance(c, tree.Call)]
        return {self._base(n) for c in calls for a in c.given or () for n in tree.names_in(a.value)}


def _template(base: str, parts: tuple[Shift, ...]) -> str:
    """The name of a variable at any place."""
    return f"{base}_{{{','.join(part.index for part in parts)}}}"


def _factors(expr: tree.Expr) -> tuple[tree.Expr, ...]:
    return expr.factors if isinstance(expr, tree.Product) else (expr,)


def _filled(number: tree.Number, shape: tuple[int, ...]) -> tree.Expr:
    found: tree.Expr = number
    for size in reversed(shape):
        found = tree.ListLiteral((found,) * size, span=number.span)
    return found
