"""Named sizes, `const D = 64`, and the values that replace them from outside."""

from fractions import Fraction

from pgcompile.diagnostics import Sink, Span, nearest
from pgcompile.model.literals import evaluate
from pgcompile.model.model import Model
from pgcompile.syntax import tree


def read_constants(program: tree.Program, overrides: dict[str, int | float], model: Model, sink: Sink) -> None:
    """Evaluate the `const` declarations of a program, in any order.

    Args:
        program: the tree.
        overrides: values that replace those written, by name.
        model: gets the values.
        sink: where faults go.
    """
    declared = {s.name.id: s for s in program.statements if isinstance(s, tree.ConstDeclaration)}
    ends = {
        s.high.id for s in program.statements if isinstance(s, tree.IndexDeclaration) and isinstance(s.high, tree.Name)
    }
    for name in overrides:
        if name not in declared and name not in ends:
            close = nearest(name, declared)
            sink.add(
                "PGC101",
                Span(0, 0),
                f"the program has no constant {name} to set",
                help=f"did you mean {close}?" if close else f"declare it: `const {name} = 64`",
            )
    model.constants.update({k: Fraction(str(v)) for k, v in overrides.items() if k in declared or k in ends})
    waiting = [s for s in declared.values() if s.name.id not in model.constants]
    while waiting:
        left = []
        for statement in waiting:
            value = evaluate(statement.value, model.constants)
            if isinstance(value, Fraction):
                model.constants[statement.name.id] = value
            else:
                left.append(statement)
        if len(left) == len(waiting):
            for statement in left:
                text = sink.source.snippet(statement.value.span)
                sink.add(
                    "PGC310",
                    statement.value.span,
                    f"`{text}` is not a number known at compile time",
                    help="write `const D = 64`",
                )
            return
        waiting = left
