"""Types of literals and of names: variables, tensors, constants, and what `where` binds."""

from pgcompile.diagnostics import suggest
from pgcompile.model.literals import flatten, shape_of
from pgcompile.model.typed import Constant, Typed, TypedMany
from pgcompile.syntax import tree
from pgcompile.syntax.places import places_of
from pgcompile.typing.context import TypingContext
from pgcompile.typing.layer_arguments import example_of
from pgcompile.typing.number_kinds import kind_of_number
from pgcompile.typing.scope import Result, Scope
from pgcompile.vocabulary.functions import FUNCTIONS
from pgcompile.vocabulary.layers import LAYERS, show
from pgcompile.vocabulary.spaces import Space, join


def type_of_literal(typer: TypingContext, expr: tree.Expr, value: Constant) -> Typed | None:
    """Type of numbers known at compile time: the smallest kind of space that holds them all."""
    shape = shape_of(value)
    if shape is None:
        return typer.fail(
            "PGC308", expr.span, "the rows of this list differ in length", "make every row as long as the first"
        )
    numbers = flatten(value)
    if not numbers:
        return typer.fail("PGC308", expr.span, "this list is empty", "write its numbers")
    kind = kind_of_number(numbers[0])
    for entry in numbers[1:]:
        kind = join(kind, kind_of_number(entry))
    return Typed(Space(kind, shape), value)


def type_of_name(typer: TypingContext, expr: tree.Name, scope: Scope) -> Result:
    """Type of a name; bindings of `where` come before variables, and variables before tensors."""
    name = expr.id
    if name in scope.bindings:
        return _binding(typer, expr, scope)
    if name in scope.variables:
        return scope.variables[name]
    tensor = typer.model.tensors.get(name)
    if tensor is not None:
        return Typed(tensor.space)
    if name == "pi":
        return Typed(Space("positive"))
    reason = scope.forbidden(name)
    if reason is not None:
        return typer.fail("PGC114", expr.span, f"{scope.where} uses {name}, but is not conditioned on it", reason)
    if name in typer.model.nets:
        return typer.fail(
            "PGC103",
            expr.span,
            f"{name} is a net; it needs an input here",
            f"write {name}({', '.join(scope.variables) or 'x'})",
        )
    _report_undeclared(typer, expr, scope)
    return None


def _report_undeclared(typer: TypingContext, expr: tree.Name, scope: Scope) -> None:
    """Report a name that nothing declares, with the nearest name that is declared."""
    name, model = expr.id, typer.model
    known = {*scope.variables, *scope.bindings, *model.tensors, *model.variables, *model.constants}
    special = None
    if name == "I":
        special = "write the identity: eye(3), with its size"
    elif name in FUNCTIONS:
        special = f"{name} is a function: write {name}(...) with its argument in brackets"
    elif name in LAYERS:
        special = f"a layer belongs in a net: `net f = {example_of(LAYERS[name])}`, and f(x) here"
    elif name == "E":
        special = "an expectation says over what: E_{q(z|x)}[...]"
    elif (place := places_of(name)) is not None and place[0] in {"max", "min", *FUNCTIONS}:
        index = place[1][0][0]
        special = f"over the places of an index there are sum_{index}, mean_{index} and, of densities, prod_{index}"
    elif ends := [i for i, known_as in model.indices.ranges.items() if known_as.high == tree.Name(name)]:
        special = f"the number of places is no value of a formula: write mean_{ends[0]} (...), or `const {name} = 20`"
    declare = (
        f"define it: `{name} = ...`, or declare it, as in `input {name} : real`"
        if scope.where == "the objective"
        else f"declare it, as in `{name} : real[3]` or `param {name} : real[3]`"
    )
    found = suggest(name, expr.span, () if special else known, special or declare)
    typer.sink.add("PGC101", expr.span, f"{name} is not declared", **found)


# --- what `where` binds ---


def _binding(typer: TypingContext, expr: tree.Name, scope: Scope) -> Result:
    """Type of a name that `where` binds, inferred when it is first used."""
    name = expr.id
    if name in scope.results:
        return scope.results[name]
    binding, position = scope.bindings[name]
    if name in scope.in_progress:
        return typer.fail("PGC209", expr.span, f"{name} is defined in terms of itself", None)
    scope.in_progress.add(name)
    value = typer.infer(binding.value, scope)
    scope.in_progress.discard(name)
    result = type_of_part(typer, binding, position, value)
    scope.results[name] = result
    return result


def type_of_part(typer: TypingContext, binding: tree.Binding, position: int, value: Result) -> Result:
    """Type of one of the names of a clause: one of several results, or an equal part of the last dimension."""
    wanted = len(binding.names)
    if value is None or wanted == 1:
        return value
    if isinstance(value, TypedMany):
        if wanted != len(value.items):
            return typer.fail(
                "PGC314",
                binding.span,
                f"`{typer.text(binding.value)}` has {len(value.items)} results, {wanted} names are bound to it",
                "bind as many names as there are results",
            )
        return value.items[position]
    if not value.shape or value.shape[-1] % wanted:
        return typer.fail(
            "PGC314",
            binding.span,
            f"`{typer.text(binding.value)}` is {show(value.shape)} and cannot be cut into {wanted} equal parts",
            f"make its last dimension a multiple of {wanted}",
        )
    kind = "real" if value.space.kind == "simplex" else value.space.kind
    return Typed(Space(kind, (*value.shape[:-1], value.shape[-1] // wanted)))
