"""The indices of a program: what ranges they have, which variables carry them, and where recurrences start."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pgcompile.diagnostics import NOWHERE, Span
from pgcompile.syntax import tree
from pgcompile.vocabulary.spaces import Space

NOMINAL = 1009
"""The length that sequences are taken to have where types are found and data say it: no size of a layer."""


@dataclass(frozen=True)
class IndexRange:
    """`index t in 1..T`.

    Args:
        name: t.
        high: the last place, as the program says it; None where the data say it.
        size: its number, where that is known at compile time.
        padded: whether each data point has a length of its own.
        of_data: whether its places are the data points, of which a batch has some.
        span: its declaration.
    """

    name: str
    high: tree.Expr | None = None
    size: int | None = None
    padded: bool = False
    of_data: bool = False
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def total(self) -> str | None:
        """The name of the input that says how many data points there are in all."""
        return self.high.id if self.of_data and isinstance(self.high, tree.Name) else None

    @property
    def lengths(self) -> str | None:
        """The name of the argument with the length of each sequence, where they are padded."""
        return self.high.id if self.padded and isinstance(self.high, tree.Name) else None


@dataclass(frozen=True)
class Lag:
    """`z_{t-1}`: a variable at another place of its index.

    Args:
        of: the variable at the place itself, `z_{t}`.
        index: t.
        offset: -1.
        reach: `all`, `here` or `past` for `x_{1:T}`, `x_{1:t}` and `x_{<t}`, which are many places; `one` for `x_3` and
            `h_T`, whose position is `offset`, -1 for the last; otherwise empty.
        starts: names of the variables, or the numbers, that stand at the places outside the range, the farthest first.
        span: where it is used first.
    """

    of: str
    index: str
    offset: int
    starts: tuple[tree.Expr, ...] = ()
    reach: str = ""
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def is_run(self) -> bool:
        """True if it is many places."""
        return self.reach in ("all", "here", "past")


@dataclass
class Indices:
    """Everything that a program says of indices.

    Args:
        ranges: the indices, by name.
        carried: the indices of each variable that has some, in the order of its axes.
        lags: what the names of variables at other places stand for.
    """

    ranges: dict[str, IndexRange] = field(default_factory=dict)
    carried: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lags: dict[str, Lag] = field(default_factory=dict)

    def of(self, name: str) -> tuple[str, ...]:
        """The indices of a variable; none where it is shared by all places."""
        return self.carried.get(name, ())

    def space_at(self, lag: Lag, space: Space) -> Space:
        """The space of a name of other places, whose variable has this space: a run of places has an axis for them."""
        size = self.ranges[lag.index].size or NOMINAL
        return replace(space, shape=(size, *space.shape)) if lag.is_run else space

    def lags_of(self, name: str) -> Iterator[tuple[str, Lag]]:
        """The names under which a variable is used at other places."""
        return ((lag, found) for lag, found in self.lags.items() if found.of == name)
