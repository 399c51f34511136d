"""Circles: a deterministic variable that is made from itself."""

from pgcompile.model.factors import Factor
from pgcompile.model.model import Model
from pgcompile.typing.checks.context import FactorContext


def is_in_circle(context: FactorContext) -> bool:
    """Report a deterministic variable that is among what it is made from."""
    factor = context.factor
    circle = _circle(factor, context.model)
    if circle is None:
        return False
    message, cure = f"{circle[0]} is defined in terms of itself", "define one of them without the others"
    context.sink.add("PGC209", factor.span, message, reasons=[" -> ".join(circle)], help=cure)
    return True


def _circle(factor: Factor, model: Model) -> list[str] | None:
    """The variables through which the first one is made from itself; it stands at both ends."""
    for target in factor.targets:
        paths = [[target]]
        seen: set[str] = set()
        while paths:
            path = paths.pop()
            made = factor if len(path) == 1 else model.deterministic[path[-1]]
            for parent in made.parents:
                if parent == target:
                    return [*path, parent]
                if parent in model.deterministic and parent not in seen:
                    seen.add(parent)
                    paths.append([*path, parent])
    return None
