"""Data files that are damaged at random: read, or refused with a `DataError` that names the file."""

import tempfile
from pathlib import Path
from random import Random

import numpy as np

from pgcompile.diagnostics import DataError
from pgcompile.training.data import load
from pgcompile.vocabulary.spaces import Space

SPACES = {"x": Space("real", (3,)), "y": Space("category", (), 4)}


def data_file(pick: Random, folder: Path) -> Path:
    """A sound file of some format."""
    rows = pick.randint(1, 40)
    x = np.random.default_rng(pick.getrandbits(32)).normal(size=(rows, 3)).astype(pick.choice(["f4", "f8", "f2"]))
    y = np.arange(rows) % 4
    kind = pick.choice(["npz", "npz", "zipped", "folder", "csv"])
    if kind == "csv":
        path = folder / "data.csv"
        lines = ["x_0,x_1,x_2,y", *(",".join(map(str, [*row, label])) for row, label in zip(x, y, strict=True))]
        path.write_text("\n".join(lines))
    elif kind == "folder":
        path = folder / "data"
        path.mkdir()
        np.save(path / "x.npy", x)
        np.save(path / "y.npy", y)
    else:
        path = folder / "data.npz"
        (np.savez if kind == "npz" else np.savez_compressed)(path, x=x, y=y, other=np.zeros(5))
    return path


def damage(pick: Random, content: bytes) -> bytes:
    """Some bytes changed, lost, added or repeated."""
    changed = bytearray(content)
    for _ in range(pick.randint(1, 4)):
        at = pick.randrange(len(changed) + 1)
        match pick.choice(["flip", "cut", "insert", "repeat", "claim"]):
            case "flip" if at < len(changed):
                changed[at] ^= 1 << pick.randrange(8)
            case "cut":
                del changed[at : at + pick.choice([1, 20, len(changed)])]
            case "insert":
                changed[at:at] = pick.randbytes(pick.choice([1, 30]))
            case "repeat":
                changed[at:at] = changed[max(at - 50, 0) : at]
            case _:
                found = changed.find(b"(", pick.randrange(len(changed) or 1))
                changed[found : found + 2] = b"(9" * pick.randint(1, 6)
    return bytes(changed)


def check_file(seed: int) -> list[str]:
    """Faults of the reader that a damaged file shows: anything but tensors that fit, and a `DataError`."""
    pick = Random(seed)
    with tempfile.TemporaryDirectory() as made:
        path = data_file(pick, Path(made))
        broken = pick.choice(sorted(path.glob("*.npy"))) if path.is_dir() else path
        broken.write_bytes(damage(pick, broken.read_bytes()))
        try:
            found = load(path, list(SPACES), SPACES)
        except DataError as error:
            return [] if path.stem in str(error) or broken.name in str(error) else [f"names no file: {error}"]
        shapes = {name: tuple(value.shape[1:]) for name, value in found.items()}
        sound = shapes == {"x": (3,), "y": ()} and len(found["x"]) == len(found["y"])
        return [] if sound else [f"read as {shapes}"]
