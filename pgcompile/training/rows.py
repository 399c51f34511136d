"""Rows of data, from memory, from disk or from a `Dataset`, and the order in which training takes them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pgcompile.diagnostics import DataError
from pgcompile.training.data import IN_MEMORY, arrays, as_tensor, checked
from pgcompile.training.images import ImageFolder, is_image_folder
from pgcompile.vocabulary.spaces import Space

Data = Path | str | Mapping[str, Any] | Dataset[Any]


class Rows(Protocol):
    """Rows by number; those that are in memory come whole."""

    resident: bool

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> dict[str, Tensor]:
        """Some rows, by variable."""


class ResidentRows:
    """Rows in memory, on the device where they are used."""

    resident = True

    def __init__(self, values: dict[str, Tensor]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def take(self, index: Tensor) -> dict[str, Tensor]:
        """Some rows, by variable."""
        return {name: value[index.to(value.device)] for name, value in self.values.items()}

    def to(self, device: torch.device) -> "ResidentRows":
        """The same on a device."""
        return ResidentRows({name: value.to(device) for name, value in self.values.items()})


class ArrayRows:
    """Rows of arrays that stay on disk."""

    resident = False

    def __init__(self, found: dict[str, np.ndarray], spaces: Mapping[str, Space]) -> None:
        self.found, self.spaces = found, spaces

    def __len__(self) -> int:
        return len(next(iter(self.found.values())))

    def take(self, index: Tensor) -> dict[str, Tensor]:
        """Some rows, by variable, read in the order in which they lie."""
        order = index.numpy()
        return {name: as_tensor(np.asarray(a[order]), self.spaces[name]) for name, a in self.found.items()}


class ImageRows:
    """Rows of a folder of images."""

    resident = False

    def __init__(self, folder: ImageFolder, spaces: Mapping[str, Space]) -> None:
        self.folder, self.spaces = folder, spaces

    def __len__(self) -> int:
        return len(self.folder)

    def take(self, index: Tensor) -> dict[str, Tensor]:
        """Some images, by variable."""
        found = self.folder.rows(index.tolist())
        checked(found, list(found), self.spaces, self.folder.source)
        return {name: as_tensor(array, self.spaces[name]) for name, array in found.items()}


class DatasetRows:
    """Rows of a `Dataset` that has a length: dicts by variable, or tuples in the order of the wanted variables."""

    resident = False

    def __init__(self, dataset: Any, wanted: list[str], spaces: Mapping[str, Space]) -> None:
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise DataError("a Dataset that is trained on has a length and rows by number")
        self.dataset, self.wanted, self.spaces = dataset, wanted, spaces

    def __len__(self) -> int:
        return len(self.dataset)

    def take(self, index: Tensor) -> dict[str, Tensor]:
        """Some rows, by variable."""
        rows = [self._named(self.dataset[i]) for i in index.tolist()]
        found = {name: np.stack([np.asarray(row[name]) for row in rows]) for name in self.wanted}
        checked(found, self.wanted, self.spaces, type(self.dataset).__name__)
        return {name: as_tensor(array, self.spaces[name]) for name, array in found.items()}

    def _named(self, row: Any) -> Mapping[str, Any]:
        if isinstance(row, Mapping):
            missing = [name for name in self.wanted if name not in row]
            if missing:
                raise DataError(f"a row of the Dataset has no {missing[0]}: it has {', '.join(map(str, row))}")
            return row
        values = row if isinstance(row, tuple | list) else (row,)
        if len(values) < len(self.wanted):
            raise DataError(f"a row of the Dataset has {len(values)} parts, and {', '.join(self.wanted)} are wanted")
        return dict(zip(self.wanted, values, strict=False))


class _Part(Dataset[Any]):
    """Rows as `DataLoader` wants them: batches by their numbers."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, index: np.ndarray) -> dict[str, Tensor]:
        return self.rows.take(torch.as_tensor(index))


class _Chunks(Sampler[Any]):
    """The row numbers of each batch as `DataLoader` asks for them: arrays, as lists of Python numbers fill memory."""

    def __init__(self, chunks: list[Tensor]) -> None:
        self.chunks = chunks

    def __len__(self) -> int:
        return len(self.chunks)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (chunk.numpy() for chunk in self.chunks)


def rows_of(data: Data, wanted: list[str], spaces: Mapping[str, Space], levels: frozenset[str] = frozenset()) -> Rows:
    """Data as rows, checked against the spaces of the wanted variables.

    Args:
        data: a file or folder, arrays or tensors by variable, or a `Dataset`.
        wanted: variables that are needed.
        spaces: their spaces.
        levels: variables whose pixels are whole numbers.

    Raises:
        DataError: something does not fit; the message says what.
    """
    if isinstance(data, str | Path):
        path = Path(data)
        if not path.exists():
            raise DataError(f"there is no file {path}")
        if is_image_folder(path):
            return ImageRows(ImageFolder(path, wanted, spaces, levels), spaces)
        found, source = arrays(path, wanted), path.name
    elif isinstance(data, Mapping):
        found = {name: _array(value) for name, value in data.items()}
        source = "the data"
    else:
        return DatasetRows(data, wanted, spaces)
    checked(found, wanted, spaces, source)
    found = {name: found[name] for name in wanted}
    if any(isinstance(array, np.memmap) and array.nbytes > IN_MEMORY for array in found.values()):
        return ArrayRows(found, spaces)
    return ResidentRows({name: as_tensor(np.asarray(array), spaces[name]) for name, array in found.items()})


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def epoch_order(index: Tensor, epoch: int, seed: int) -> Tensor:
    """The rows of an epoch in an order of its own, whatever was drawn before: a run that goes on finds its place."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return index[shuffled(len(index), generator)]


def shuffled(count: int, generator: torch.Generator) -> Tensor:
    """The numbers below a count in random order, in 4 bytes each where that is enough."""
    dtype = torch.int32 if count < 2**31 else torch.int64
    return torch.randperm(count, generator=generator, dtype=dtype)


def batches(rows: Rows, chunks: list[Tensor], device: torch.device, workers: int = 0) -> Iterator[dict[str, Tensor]]:
    """The rows of each chunk, on a device; rows that are not in memory are read ahead and moved without waiting.

    Args:
        rows: where they are.
        chunks: the numbers of the rows of each batch.
        device: where they are used.
        workers: processes that read ahead.
    """
    if rows.resident:
        for chunk in chunks:
            yield rows.take(chunk)
        return
    pinned = device.type == "cuda"
    loader = DataLoader(
        _Part(rows),
        batch_sampler=_Chunks(chunks),
        collate_fn=_whole,
        num_workers=workers,
        pin_memory=pinned,
    )
    for batch in loader:
        yield {name: value.to(device, non_blocking=pinned) for name, value in batch.items()}


def _whole(batch: Any) -> Any:
    """A batch comes from the rows as one."""
    return batch
