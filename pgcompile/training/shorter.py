"""Batches of padded sequences without the places that lie behind the end of all of them."""

from collections.abc import Callable

from torch import Tensor

from pgcompile.syntax.places import python_name
from pgcompile.training.rows import ResidentRows, Rows
from pgcompile.training.state import TrainingState

Batch = dict[str, Tensor]


def shorter(state: TrainingState, rows: Rows) -> Callable[[Batch, Tensor], Batch]:
    """What cuts a batch, of the rows with some numbers, to its longest sequence.

    Lengths are looked at in a copy on the CPU, so that nothing waits for a device. Compiled losses get batches of one
    shape, and rows that stay on disk come as they are.
    """
    model = state.program.analysis.model
    padded = {name: own for name, own in model.indices.ranges.items() if own.lengths is not None and own.size is None}
    if state.settings.compile is not None or not isinstance(rows, ResidentRows):
        return lambda batch, chunk: batch
    ends = {name: rows.values[own.lengths].cpu() for name, own in padded.items() if own.lengths in rows.values}
    axes = {
        python_name(variable): [
            (at + 1, index)
            for at, index in enumerate(i for i in model.indices.of(variable) if not model.indices.ranges[i].of_data)
            if index in ends
        ]
        for variable in model.variables
    }

    def cut(batch: Batch, chunk: Tensor) -> Batch:
        longest = {index: max(1, int(own[chunk].max())) for index, own in ends.items()}
        found = dict(batch)
        for name, places in axes.items():
            for axis, index in places if name in found else ():
                found[name] = found[name].narrow(axis, 0, min(longest[index], found[name].shape[axis]))
        return found

    return cut
