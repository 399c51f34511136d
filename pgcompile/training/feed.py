"""The data of a training: its rows, the part that is held out, and the batches of each epoch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pgcompile.diagnostics import DataError
from pgcompile.model.data_spaces import data_spaces
from pgcompile.training.coupled import check_rows, count_batches, least_rows, split_rows
from pgcompile.training.evaluation import by_identifier
from pgcompile.training.prepare import raw_spaces
from pgcompile.training.rows import Data, ResidentRows, Rows, batches, epoch_order, rows_of, shuffled
from pgcompile.training.shorter import shorter
from pgcompile.training.state import TrainingState
from pgcompile.training.unequal import check_ends, filled_up

STEPS_WITHOUT_DATA = 100  # of an epoch, where there is nothing to pass over
_LABELS = ("y", "label", "labels", "target", "class")
_RESIDENT = 2 * 2**30  # bytes of data that are moved to the device whole


class Feed:
    """Rows that are trained on, and rows that are held out.

    Args:
        state: of the training.
        rows: all of them; None where nothing is observed.

    Raises:
        DataError: there are too few rows to hold some out.
    """

    def __init__(self, state: TrainingState, rows: Rows | None) -> None:
        self.state, self.rows = state, rows
        self.train, self.held = _split(state, rows)
        self.least = least_rows(state.program) * state.team.size

    @property
    def size(self) -> int:
        """Examples of an update, over the whole team."""
        return max(self.state.settings.batch_size, self.state.team.size)

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return STEPS_WITHOUT_DATA if self.rows is None else count_batches(len(self.train), self.size, self.least)

    def batches(self, epoch: int, skip: int) -> Iterator[tuple[dict[str, Any], float]]:
        """Batches of an epoch from number `skip` on, by Python name, each with its weight in the mean over the team."""
        state = self.state
        if self.rows is None:
            for _ in range(skip, self.steps):
                yield {}, 1.0
            return
        order = epoch_order(self.train, epoch, state.settings.seed)
        shares = [state.team.share(chunk) for chunk in split_rows(order, self.size, self.least)]
        shares = [(chunk, weight) for chunk, weight in shares[skip:] if len(chunk)]
        cut = shorter(state, self.rows)
        several = batches(self.rows, [chunk for chunk, _ in shares], state.device, state.settings.workers)
        for batch, (chunk, weight) in zip(several, shares, strict=True):
            yield by_identifier(state.prepared(cut(batch, chunk))), weight

    def some(self, number: int) -> dict[str, Tensor]:
        """Rows that are held out, or else trained on, as the model sees them."""
        if self.rows is None:
            return {}
        taken = self.rows.take(self._shown[:number])
        return self.state.prepared({name: value.to(self.state.device) for name, value in taken.items()})

    def labels(self, data: Data | None, number: int) -> Tensor | None:
        """Labels of the same rows: an array of the `.npz` file under a name such as `y` or `label`."""
        if not isinstance(data, str | Path) or Path(data).suffix.lower() != ".npz":
            return None
        with np.load(data, allow_pickle=False) as content:
            name = next((n for n in _LABELS if n in content.files and content[n].ndim == 1), None)
            found = None if name is None else content[name]
        if found is None or self.rows is None or len(found) != len(self.rows) or found.dtype.kind not in "buif":
            return None
        return torch.as_tensor(found)[self._shown[:number]]

    @property
    def _shown(self) -> Tensor:
        return self.held if len(self.held) else self.train


def rows_for(state: TrainingState, data: Data | None) -> Rows | None:
    """The rows of what the losses observe, on the device where they fit; None where nothing is observed.

    Raises:
        DataError: there is no data, or it does not fit.
    """
    if not state.observed:
        return None
    if data is None:
        raise DataError(f"the objective observes {', '.join(state.observed)}: give the data with --data")
    data = filled_up(data, state.program.analysis.model)
    spaces = raw_spaces(data_spaces(state.program.analysis.model), state.settings)
    rows = rows_of(data, state.observed, spaces, frozenset(state.settings.dequantize))
    if isinstance(rows, ResidentRows):
        check_ends(rows.values, state.program.analysis.model)
        bytes_held = sum(v.numel() * v.element_size() for v in rows.values.values())
        return rows.to(state.device) if bytes_held < _RESIDENT else rows
    return rows


def _split(state: TrainingState, rows: Rows | None) -> tuple[Tensor, Tensor]:
    """Numbers of the rows that are trained on, and of those held out."""
    nothing = torch.empty(0, dtype=torch.int32)
    if rows is None:
        return nothing, nothing
    settings = state.settings
    order = shuffled(len(rows), torch.Generator().manual_seed(settings.seed))
    held = int(len(rows) * settings.validation)
    if len(rows) - held < state.team.size:
        raise DataError(f"{len(rows)} rows are too few to hold {settings.validation:.0%} of them out")
    check_rows(state.program, len(rows) - held, "rows to train on" if len(rows) - held > 1 else "row", state.team.size)
    check_rows(state.program, held, "row held out")
    return order[: len(rows) - held], order[len(rows) - held :]
