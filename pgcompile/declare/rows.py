"""Names for other rows of the batch: `x'` in `log mean_{x'} p(x'|z)`, as contrastive objectives need them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pgcompile.declare.declaration_pass import DeclarationPass
from pgcompile.inference.expression_maker import renamed
from pgcompile.syntax import tree
from pgcompile.syntax.mapped import mapped
from pgcompile.syntax.rows import PRIME, own_name, primed


def read_rows(state: DeclarationPass) -> None:
    """Settle what `x'` means in the means and sums over it; `p(x'|z)` inside is `p(x|z)[x -> x']`."""
    reader = _Reader(state)
    for name, (expr, span) in state.formulas.items():
        state.formulas[name] = (reader.settled(expr), span)
    for structure in list(state.structures):
        state.structures[state.structures.index(structure)] = replace(structure, expr=reader.settled(structure.expr))
    for line in list(state.training_lines):
        state.training_lines[state.training_lines.index(line)] = replace(line, objective=reader.settled(line.objective))


class _Reader:
    """Rewrites formulas.

    Args:
        state: the declarations, which get the names.
    """

    def __init__(self, state: DeclarationPass) -> None:
        self.state = state
        self.known = {*state.model.variables, *state.formulas}
        if not state.model.factors:
            # A formula alone declares its variables by naming them in factors.
            formulas = [expr for expr, _ in state.formulas.values()] + [s.expr for s in state.structures]
            for call in tree.walk(*formulas):
                if isinstance(call, tree.Call):
                    self.known |= {n for n in tree.names_in(call) if not n.endswith(PRIME)}

    def settled(self, expr: Any) -> Any:
        """A tree whose means and sums over rows are expectations over `data`."""
        match expr:
            case tree.Expectation(tree.Call("data", args, None), body) if (names := self._names(args)) is not None:
                return self._averaged(expr, names, args, body, expr.options)
            case tree.Integral(body, variables, True):
                args = tuple(tree.Argument(None, v, span=v.span) for v in variables)
                if (names := self._names(args)) is not None:
                    total = tree.Option("total", tree.Number("1"), span=expr.span)
                    return self._averaged(expr, names, args, body, (total,))
        return mapped(expr, self.settled)

    def _averaged(
        self,
        expr: tree.Expr,
        names: dict[str, str],
        args: tuple[tree.Argument, ...],
        body: tree.Expr,
        options: tuple[tree.Option, ...],
    ) -> tree.Expr:
        """The mean of a body: x' and y' stand for one row, x' and x'' for two."""
        inside: tree.Expr = _renamed(self.settled(body), names, self._is_distribution)
        rows: list[list[tree.Argument]] = []
        for arg in args:
            base = names[_name_of(arg)]
            row = next((r for r in rows if all(names[_name_of(other)] != base for other in r)), None)
            if row is None:
                rows.append([arg])
            else:
                row.append(arg)
        for row in reversed(rows):
            over = tree.Call("data", tuple(row), span=expr.span)
            inside = tree.Expectation(over, inside, options, span=expr.span)
        return inside

    def _names(self, args: tuple[tree.Argument, ...]) -> dict[str, str] | None:
        """The rows that some names stand for, by name; None where they are variables of their own."""
        names = [_name_of(a) for a in args]
        found = {name: own_name(name) for name in names}
        apart = all(name.endswith(PRIME) and name not in self.known for name in names)
        if not names or not apart:
            return None
        unknown = next((base for base in found.values() if base not in self.known), None)
        if unknown is not None:
            span, written = next((a.span, primed(n)) for a, n in zip(args, names, strict=True) if found[n] == unknown)
            message = f"{written} would be {unknown} at another row, and {unknown} is no variable"
            known = ", ".join(self.state.model.variables)
            self.state.sink.add("PGC101", span, message, help=f"its variables are {known}")
            return None
        self.state.model.rows.update(found)
        return found

    def _is_distribution(self, name: str) -> bool:
        return any(f.name == name for f in self.state.model.factors) or any(
            d.name == name for d in self.state.definitions
        )


def _name_of(argument: tree.Argument) -> str:
    return argument.value.id if isinstance(argument.value, tree.Name) else ""


def _renamed(expr: Any, names: Mapping[str, str], is_distribution: Any) -> Any:
    """A tree with `p(x|z)[x -> x']` for `p(x'|z)`; nets and formulas take the names as they are."""
    if isinstance(expr, tree.Call) and (expr.given is not None or is_distribution(expr.name)):
        used = [a.value for a in (*expr.args, *(expr.given or ())) if isinstance(a.value, tree.Name)]
        primed = {name.id: name for name in used if name.id in names}
        if primed:
            plain = renamed(expr, names)
            pairs = tuple((tree.Name(names[n], span=v.span), v) for n, v in primed.items())
            return tree.Rename(plain, pairs, span=expr.span)
    return mapped(expr, lambda node: _renamed(node, names, is_distribution))
