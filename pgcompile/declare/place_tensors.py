"""Refuses learned tensors and inputs of each place, which would silently be one for all places."""

from pgcompile.diagnostics import Sink
from pgcompile.model.indices import Indices
from pgcompile.syntax import tree
from pgcompile.syntax.subscripts import Shift, subscripts


def report_tensors_of_places(statement: tree.TensorDeclaration, indices: Indices, sink: Sink) -> None:
    """Report `param l_u : real[3]` where u is an index; a start such as `param h_0` is no tensor of each place.

    Args:
        statement: the declaration of a param, buffer or input.
        indices: those of the program.
        sink: where faults go.
    """
    for name in statement.names:
        found = subscripts(name.id, indices)
        if found is None or not any(isinstance(part, Shift) for part in found[1]):
            continue
        base = found[0]
        (index, *_) = (part.index for part in found[1] if isinstance(part, Shift))
        number = indices.ranges[index].size or 60
        table = f"`{statement.kind} {base} : ...[{number}, ...]`"
        help = f"keep a row for each in {table}, and take it by a category of the data: `{base}[k_{index}]`"
        if statement.kind == "input":
            help = f"declare it as a variable that nothing generates, without the word `input`: `{name.id} : ...`"
        message = f"{statement.kind} {name.id} of each place is not part of this version"
        sink.add("PGC010", name.span, message, help=help)
