"""Arrays of an `.npz`, each read when it is asked for, and checked against its file before anything is allocated."""

import zipfile
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from pgcompile.array_errors import DAMAGED, UNREADABLE
from pgcompile.diagnostics import DataError

MOST_TIMES_SMALLER = 1200
"""A compressed array of zeros is about a thousandth; what unpacks to more is no data."""
LARGE = 2**28
"""Bytes of an array from which on it is asked how much smaller its file is."""


class NpzArrays(Mapping[str, np.ndarray]):
    """The arrays of a file by name; those that nobody asks for are not read.

    Args:
        path: of the `.npz`.

    Raises:
        DataError: the file is no archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self.members = {i.filename.removesuffix(".npy"): i for i in archive.infolist() if not i.is_dir()}
        except UNREADABLE as error:
            raise DataError(f"{path.name} cannot be read as .npz: {error}") from None
        self.known: dict[str, np.ndarray] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, name: str) -> np.ndarray:
        """An array.

        Raises:
            KeyError: there is none of that name.
            DataError: it is damaged, is no array, holds Python objects, or claims more than its file holds.
        """
        if name not in self.known:
            self.known[name] = self._read(name)
        return self.known[name]

    def _read(self, name: str) -> np.ndarray:
        member = self.members[name]
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(member) as file:
                wanted = _claimed(file)
                if wanted > member.file_size:
                    raise ValueError(f"its header claims {wanted:,} bytes, and the file has {member.file_size:,}")
            if wanted > LARGE and wanted > MOST_TIMES_SMALLER * max(member.compress_size, 1):
                raise ValueError(f"{member.compress_size:,} bytes unpack to {wanted:,}")
            with zipfile.ZipFile(self.path) as archive, archive.open(member) as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        except MemoryError:
            raise DataError(f"{name} in {self.path.name} does not fit into memory") from None
        except DAMAGED as error:
            raise DataError(f"{name} in {self.path.name} is damaged: {error}") from None
        except UNREADABLE as error:
            raise DataError(f"{name} in {self.path.name} cannot be read: {error}") from None


def _claimed(file: IO[bytes]) -> int:
    """The bytes that the header of an array claims.

    Raises:
        ValueError: it is no header, or claims what no array has.
    """
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"its format {version} is not known")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects; sequences of unequal length are an array each, as x_0, x_1, ...")
    if any(size < 0 for size in shape):
        raise ValueError(f"its shape is {shape}")
    return prod(shape) * dtype.itemsize
