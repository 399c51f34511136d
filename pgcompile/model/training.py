"""Objectives, and the lines that say how they are optimised."""

from dataclasses import dataclass

from pgcompile.diagnostics import Span
from pgcompile.syntax import tree
from pgcompile.vocabulary.layers import Value


@dataclass(frozen=True)
class Objective:
    """A named formula to be optimised or reported."""

    name: str
    expr: tree.Expr
    span: Span


@dataclass(frozen=True)
class Recipe:
    """The settings of a training line beside those of its optimiser.

    Args:
        clip_norm: the largest norm of the gradient.
        clip_value: the largest entry of the gradient.
        clamp: the largest weight after an update.
        schedule: how the learning rate goes on after the warm-up.
        warmup: steps over which the learning rate rises.
        steps: length of the schedule; None for the length of the run.
        updates: how often the line is taken in its turn.
        plateau: factor, patience and least rate of the schedule of that name.
        ema: how much of the averaged weights is kept at each step.
    """

    clip_norm: float | None = None
    clip_value: float | None = None
    clamp: float | None = None
    schedule: str = "constant"
    warmup: int = 0
    steps: int | None = None
    updates: int = 1
    plateau: tuple[float, int, float] | None = None
    ema: float | None = None

    @property
    def scheduled(self) -> bool:
        """True if the learning rate changes."""
        return self.schedule != "constant" or self.warmup > 0


@dataclass(frozen=True)
class OptimiseLine:
    """`maximize e wrt q using Adam(lr=1e-3)`, by the objective's name."""

    direction: str
    objective: str
    wrt: tuple[str, ...] | None
    optimiser: str
    options: tuple[tuple[str, Value], ...]
    recipe: Recipe
    span: Span


def loss_name(line: OptimiseLine, lines: list[OptimiseLine]) -> str:
    """Name of the method that a line minimises; lines that push one objective both ways have two."""
    if len(lines) == 1:
        return "loss"
    directions = {other.direction for other in lines if other.objective == line.objective}
    return f"loss_{line.objective}" + (f"_{line.direction[:3]}" if len(directions) > 1 else "")
