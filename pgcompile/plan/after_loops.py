"""The values kept of the turns of a loop: the fewest values from which the others follow for all places at once.

A value that is kept costs a list, a stack and, going back, a gradient added in each turn; one that is an entry by entry
function of what is kept anyway costs one kernel after the loop.
"""

from collections.abc import Callable, Iterable

from pgcompile.plan.values import Value
from pgcompile.vocabulary.functions import FUNCTIONS

_QUICK = frozenset(f.op for f in FUNCTIONS.values() if f.shape == "elementwise") | {
    *("neg", "add", "sub", "mul", "div", "where", "maximum", "minimum", "logsigmoid", "reciprocal", "rsqrt"),
    *("clamp_min", "clamp_max", "unsqueeze", "unsqueeze_axes"),
}


def kept_of(
    wanted: Iterable[Value],
    group: frozenset[int],
    is_known: Callable[[Value], bool],
    moved: Callable[[Value], Value | None],
) -> set[int]:
    """The numbers of the values of a loop that are kept, of those that are wanted after it.

    Args:
        wanted: values that something after the loop takes, in the order of their creation.
        group: the numbers of the values of the loop.
        is_known: whether a value of the loop is known for all places without it, as noise is.
        moved: the value that one is at another place; None of what is none.
    """
    kept: set[int] = set()

    def follows(value: Value, above: frozenset[int] = frozenset()) -> bool:
        if value.number not in group or value.number in kept or is_known(value):
            return True
        if value.number in above:
            return False  # it is made of itself at another place
        inside = above | {value.number}
        source = moved(value)
        if source is not None:
            return follows(source, inside)
        return value.op in _QUICK and all(follows(arg, inside) for arg in value.args)

    for value in sorted(wanted, key=lambda value: moved(value) is not None):  # of a variable, what is not moved
        if not follows(value):
            kept.add(value.number)
    return kept
