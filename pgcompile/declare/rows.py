"""Names for other rows of the batch: `x'` in `log mean_{x'} p(x'|z)`, as contrastive objectives need them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pgcompile.declare.declaration_pass import DeclarationPass
from pgcompile.inference.expression_maker import renamed
from pgcompile.syntax import tree
from pgcompile.syntax.mapped import mapped
from pgcompile.syntax.rows import PRIME


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
                return replace(expr, body=_renamed(self.settled(body), names, self._is_distribution))
            case tree.Integral(body, variables, True):
                names = self._names(tuple(tree.Argument(None, v, span=v.span) for v in variables))
                if names is not None:
                    over = tree.Call("data", tuple(tree.Argument(None, v, span=v.span) for v in variables))
                    inside = _renamed(self.settled(body), names, self._is_distribution)
                    total = tree.Option("total", tree.Number("1"), span=expr.span)
                    return tree.Expectation(replace(over, span=expr.span), inside, (total,), span=expr.span)
        return mapped(expr, self.settled)

    def _names(self, args: tuple[tree.Argument, ...]) -> dict[str, str] | None:
        """The rows that some names stand for, by name; None where they are variables of their own."""
        names = [a.value.id if isinstance(a.value, tree.Name) else "" for a in args]
        found = {name: name.removesuffix(PRIME) for name in names}
        apart = all(name.endswith(PRIME) and name not in self.known for name in names)
        if not names or not apart:
            return None
        unknown = next((base for base in found.values() if base not in self.known), None)
        if unknown is not None:
            span = next(a.span for a in args if isinstance(a.value, tree.Name) and found[a.value.id] == unknown)
            message = f"{unknown}' would be {unknown} at another row, and {unknown} is no variable"
            known = ", ".join(self.state.model.variables)
            self.state.sink.add("PGC101", span, message, help=f"its variables are {known}")
            return None
        self.state.model.rows.update(found)
        return found

    def _is_distribution(self, name: str) -> bool:
        return any(f.name == name for f in self.state.model.factors) or any(
            d.name == name for d in self.state.definitions
        )


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
