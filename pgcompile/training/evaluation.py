"""Means over batches of what a model computes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pgcompile.model.names import identifier
from pgcompile.training.prepare import Preparation
from pgcompile.training.rows import Rows, batches


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode for a while."""
    before = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(before)


def size_of(batch: Mapping[str, Any]) -> int:
    """Number of data points; 0 where nothing is observed."""
    return len(next(iter(batch.values()))) if batch else 0


def by_identifier(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch by the Python names of its variables."""
    return {identifier(name): value for name, value in batch.items()}


def prepared_batches(
    rows: Rows, chunks: list[Tensor], prepared: Preparation, device: torch.device, workers: int
) -> Iterator[dict[str, Tensor]]:
    """The rows of each chunk as the model sees them, by variable."""
    for batch in batches(rows, chunks, device, workers):
        yield prepared(batch)


@torch.no_grad()
def mean_terms(
    several: Iterable[dict[str, Tensor]], terms: Callable[[dict[str, Tensor]], Mapping[str, Tensor]]
) -> dict[str, float]:
    """The mean of every named term over the data points of all batches.

    Args:
        several: batches by variable; an empty one counts as one data point.
        terms: the terms of a batch by name, a value for each of its data points or one for all.
    """
    totals: dict[str, Tensor] = {}
    count = 0
    for batch in several:
        size = size_of(batch) or 1
        for name, value in terms(batch).items():
            totals[name] = totals.get(name, 0) + value.double().mean() * size
        count += size
    return {name: float(value) / count for name, value in totals.items()}
