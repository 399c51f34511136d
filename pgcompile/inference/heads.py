"""Heads of factors: `p(x|z)` as a name with the variables that it generates and is conditioned on."""

from collections.abc import Iterable

from pgcompile.diagnostics import Sink
from pgcompile.model.factors import factor_label
from pgcompile.syntax import tree
from pgcompile.vocabulary.truncated_names import is_family_name


def label_key(name: str, targets: Iterable[str], parents: Iterable[str]) -> str:
    """A factor's label with its variables in a canonical order."""
    return factor_label(name, tuple(sorted(targets)), tuple(sorted(parents)))


def head_variables(call: tree.Call, sink: Sink) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Targets and parents of `p(x|z)` as names, or None after a report."""
    if is_family_name(call.name) and call.given is None:
        text = " ".join(sink.source.snippet(call.span).split())
        sink.add(
            "PGC212",
            call.name_span,
            f"{call.name} is a family, and no factor of a product",
            help=f"give it a factor of its own: `p(x) = {text}`; a definition has `=` before its family",
        )
        return None
    targets = _variables(call.args, sink)
    parents = _variables(call.given or (), sink)
    if targets is None or parents is None:
        return None
    if not targets:
        sink.add("PGC212", call.span, f"{call.name}() names no variable", help=f"write {call.name}(x), say")
        return None
    both = [*targets, *parents]
    for name in both:
        if both.count(name) > 1:
            sink.add(
                "PGC201",
                call.span,
                f"{name} stands twice in {factor_label(call.name, targets, parents)}",
                help="name each variable once",
            )
            return None
    return targets, parents


def _variables(arguments: tuple[tree.Argument, ...], sink: Sink) -> tuple[str, ...] | None:
    names = []
    for argument in arguments:
        if argument.name is not None or not isinstance(argument.value, tree.Name):
            text = sink.source.snippet(argument.span)
            sink.add(
                "PGC212", argument.span, f"a factor is written over variables, `{text}` is not one", help="as in p(x|z)"
            )
            return None
        names.append(argument.value.id)
    return tuple(names)
