"""Params, buffers and inputs, and how an input changes in training."""

from dataclasses import dataclass

from pgcompile.diagnostics import Span
from pgcompile.syntax import tree
from pgcompile.vocabulary.spaces import Space


@dataclass(frozen=True)
class TensorValue:
    """A `param`, `buffer` or `input`."""

    kind: str
    name: str
    space: Space
    initial: tree.Expr | None
    span: Span


@dataclass(frozen=True)
class Ramp:
    """`input beta : real = linear(0, 1, 1000)`: how an input goes from one number to another in training."""

    kind: str
    start: float
    end: float
    steps: int
