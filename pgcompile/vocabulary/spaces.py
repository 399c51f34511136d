"""Spaces: the sets that variables and parameters live in, named as `torch.distributions.constraints` names them."""

from dataclasses import dataclass, field
from math import prod

FINITE_KINDS = {"category": "index", "one_hot": "one_hot"}
"""The representation of the values of a finite space; those of any other are numbers, 0 or 1."""


@dataclass(frozen=True)
class SpaceKind:
    """One kind of space.

    Args:
        name: its name in programs.
        inside: kinds that contain it, directly.
        event_rank: dimensions that belong to one element (1 for a vector such as a simplex, 2 for a matrix).
        activation: the layer whose outputs lie in it, if there is one.
        what: how to say it in a message.
    """

    name: str
    inside: tuple[str, ...] = ()
    event_rank: int = 0
    activation: str | None = None
    what: str = ""


_KINDS = (
    SpaceKind("real", what="a real number"),
    SpaceKind("nonnegative", ("real",), activation="ReLU", what="nonnegative"),
    SpaceKind("positive", ("nonnegative",), activation="Softplus", what="positive"),
    SpaceKind("unit_interval", ("nonnegative",), activation="Sigmoid", what="between 0 and 1"),
    SpaceKind("nonnegative_integer", ("nonnegative",), what="a nonnegative integer"),
    SpaceKind("positive_integer", ("nonnegative_integer", "positive"), what="a positive integer"),
    SpaceKind("boolean", ("unit_interval", "nonnegative_integer"), activation="Sigmoid", what="0 or 1"),
    SpaceKind("category", ("nonnegative_integer",), what="an index"),
    SpaceKind("simplex", ("unit_interval",), 1, activation="Softmax", what="nonnegative with sum 1"),
    SpaceKind("one_hot", ("simplex", "boolean"), 1, what="a one-hot vector"),
    SpaceKind("lower_triangular", ("real",), 2, what="a lower triangular matrix"),
    SpaceKind("lower_cholesky", ("lower_triangular",), 2, what="a lower triangular matrix with a positive diagonal"),
    SpaceKind("corr_cholesky", ("lower_cholesky",), 2, what="the Cholesky factor of a correlation matrix"),
    SpaceKind("positive_definite", ("real",), 2, what="a positive definite matrix"),
)
KINDS: dict[str, SpaceKind] = {kind.name: kind for kind in _KINDS}


ANY = -1
"""A size that data say: the number of places of an index."""


@dataclass(frozen=True)
class Space:
    """A kind with its event shape.

    Args:
        kind: its name.
        shape: of one element.
        categories: K of `category[K]`.
        optional: whether data may lack values, as `observed(x)` says; they are NaN, and -1 of an index.
    """

    kind: str
    shape: tuple[int, ...] = ()
    categories: int | None = None
    optional: bool = field(default=False, compare=False)

    @property
    def numel(self) -> int:
        """Numbers in one element."""
        return prod(self.shape)

    def __str__(self) -> str:
        dims = ", ".join("any" if size == ANY else str(size) for size in self.shape)
        if self.kind == "category":
            return f"category[{self.categories}]" + (f"[{dims}]" if dims else "")
        return f"{self.kind}[{dims}]" if dims else self.kind


REAL = Space("real")


def filling(kind: str) -> float:
    """The value that stands where data lacks one: any in the space, for nothing is counted there."""
    return {"unit_interval": 0.5, "positive": 1.0, "positive_integer": 1.0, "simplex": 0.5}.get(kind, 0.0)


def contains(outer: str, inner: str) -> bool:
    """True if every element of kind `inner` is one of kind `outer`."""
    if outer == inner:
        return True
    return any(contains(outer, kind) for kind in KINDS[inner].inside)


def is_countable(kind: str) -> bool:
    """True if the values of a kind can be counted, so that a distribution over it gives each a probability."""
    return contains("nonnegative_integer", kind) or kind == "one_hot"


def covers_support(outer: str, inner: str) -> bool:
    """True if a family on `outer` gives every value of one on `inner` a density, up to ends without mass."""
    return contains("nonnegative" if outer == "positive" else outer, inner)


def join(left: str, right: str) -> str:
    """The smallest listed kind that contains both."""
    if contains(left, right):
        return left
    for kind in (left, *KINDS[left].inside):
        if contains(kind, right):
            return kind
    for parent in KINDS[left].inside:
        found = join(parent, right)
        if contains(found, right):
            return found
    return "real"
