"""Data from every kind of file, and what is said of data that does not fit."""

import io
import random
import re
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

import pgcompile as pgc
from pgcompile.training import DataError, Trainer, checkpoint, npz
from pgcompile.training import data as data_module
from pgcompile.training.folder import fingerprint
from pgcompile.training.rows import ArrayRows, batches, epoch_order, rows_of, shuffled
from pgcompile.vocabulary.spaces import Space

SPACES = {"x": Space("real", (3,)), "y": Space("category", (), 4)}
PROGRAM = """
x : real[3]
y : category[4]
net f = Linear(4)
p(y|x) = Categorical(logits = f(x))
fit = log p(y|x)
maximize fit using SGD(lr = 0.1)
"""


def arrays(number: int = 12) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    return {"x": generator.normal(size=(number, 3)).astype(np.float32), "y": generator.integers(0, 4, number)}


def same(data: Any) -> None:
    """Whether data is what `arrays` gives."""
    rows = rows_of(data, ["x", "y"], SPACES)
    assert len(rows) == 12
    index = torch.tensor([5, 0, 11])
    found = rows.take(index)
    expected = arrays()
    assert np.allclose(found["x"], expected["x"][index], atol=1e-6)
    assert found["y"].tolist() == expected["y"][index].tolist()
    assert found["x"].dtype == torch.float32
    assert found["y"].dtype == torch.int64


def test_archives_folders_arrays_and_datasets(tmp_path: Path) -> None:
    found = arrays()
    np.savez(tmp_path / "d.npz", **found)
    same(tmp_path / "d.npz")
    (tmp_path / "folder").mkdir()
    for name, array in found.items():
        np.save(tmp_path / "folder" / f"{name}.npy", array)
    same(tmp_path / "folder")
    same(found)
    same({name: torch.as_tensor(array) for name, array in found.items()})
    dataset = TensorDataset(torch.as_tensor(found["x"]), torch.as_tensor(found["y"]))
    same(dataset)
    same([{"x": x, "y": y, "more": 1} for x, y in dataset])


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("names", [("x_0", "x_1", "x_2"), ("x[0]", "x[1]", "x[2]"), ("x.0", "x.1", "x.2")])
def test_tables_with_a_column_a_number(mark: str, names: tuple[str, ...], tmp_path: Path) -> None:
    found = arrays()
    lines = [mark.join((*names, "y"))]
    lines += [mark.join(map(str, (*x.tolist(), y))) for x, y in zip(found["x"], found["y"], strict=True)]
    path = tmp_path / "d.csv"
    path.write_text("\n".join(lines))
    same(path)


def test_parquet_with_lists_and_with_columns(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    found = arrays()
    parquet.write_table(pa.table({"x": found["x"].tolist(), "y": found["y"]}), tmp_path / "a.parquet")
    same(tmp_path / "a.parquet")
    columns = {f"x_{i}": found["x"][:, i] for i in range(3)}
    parquet.write_table(pa.table({**columns, "y": found["y"]}), tmp_path / "b.parquet")
    same(tmp_path / "b.parquet")


def test_large_arrays_stay_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_module, "IN_MEMORY", 10)
    monkeypatch.setattr("pgcompile.training.rows.IN_MEMORY", 10)
    found = arrays()
    (tmp_path / "folder").mkdir()
    for name, array in found.items():
        np.save(tmp_path / "folder" / f"{name}.npy", array)
    assert isinstance(rows_of(tmp_path / "folder", ["x", "y"], SPACES), ArrayRows)
    same(tmp_path / "folder")
    losses = []
    for data in (tmp_path / "folder", found):
        torch.manual_seed(0)
        trainer = Trainer(pgc.compile(PROGRAM).Model(), device="cpu", batch_size=5, validation=0.2, workers=0)
        losses.append(trainer.fit(data, epochs=3).training)
    assert losses[0] == losses[1]


def test_rows_that_other_processes_read(tmp_path: Path) -> None:
    found = arrays(40)
    losses = []
    for workers, data in ((0, found), (2, list(map(dict, (zip(found, row) for row in zip(*found.values())))))):  # noqa: B905
        torch.manual_seed(0)
        trainer = Trainer(pgc.compile(PROGRAM).Model(), device="cpu", batch_size=8, validation=0.0, workers=workers)
        losses.append(trainer.fit(data, epochs=2).training)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_folders_of_images(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    pixels = generator.integers(0, 256, (6, 5, 5), dtype=np.uint8)
    for i, picture in enumerate(pixels):
        folder = tmp_path / ("cat" if i % 2 else "ant")
        folder.mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / f"{i}.png")
    spaces = {"x": Space("unit_interval", (1, 5, 5)), "y": Space("category", (), 2)}
    rows = rows_of(tmp_path, ["x", "y"], spaces)
    found = rows.take(torch.arange(6))
    order = [0, 2, 4, 1, 3, 5]  # folders in order, files in order
    assert np.allclose(found["x"][:, 0], pixels[order] / 255, atol=1e-6)
    assert found["y"].tolist() == [0, 0, 0, 1, 1, 1]
    (tmp_path / "ant" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.png cannot be read"):
        rows_of(tmp_path, ["x"], spaces).take(torch.arange(7))
    (tmp_path / "ant" / "broken.png").unlink()
    Image.fromarray(np.zeros((4, 9), dtype=np.uint8)).save(tmp_path / "ant" / "zz.png")
    with pytest.raises(DataError, match="4x9 pixels, not 5x5"):
        rows_of(tmp_path, ["x"], spaces).take(torch.arange(7))


class Numbered:
    """Rows that are their own numbers, as many as one likes."""

    resident = False

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def take(self, index: torch.Tensor) -> dict[str, torch.Tensor]:
        assert 0 <= int(index.min()) <= int(index.max()) < self.count
        return {"x": index.double()}


@pytest.mark.parametrize("count", [1, 2, 1000, 2**24 + 3, 28_000_000, 2**33 + 1])
def test_the_marks_of_data_are_rows_of_it(count: int) -> None:
    """Numbers above 2^24 are not rounded to ones that are not there; the last row is looked at."""
    first, last = Numbered(count), Numbered(count)
    last.take = lambda index: {"x": torch.where(index == count - 1, -7, index)}  # type: ignore[method-assign]
    assert fingerprint("", first)["data"]["rows"] == count
    assert fingerprint("", last) != fingerprint("", Numbered(count))
    seen = []
    last.take = lambda index: seen.append(int(index.max())) or {"x": index}  # type: ignore[method-assign,func-returns-value]
    fingerprint("", last)
    assert seen == [count - 1]


def test_the_order_of_an_epoch_is_no_list_of_python_numbers() -> None:
    """Row numbers take 4 bytes each, on the way to the rows too: 36 as Python's would be more than the data."""
    found: list[Any] = []
    rows = Numbered(1000)
    rows.take = lambda index: found.append(index) or {"x": index}  # type: ignore[method-assign,func-returns-value]
    order = epoch_order(shuffled(1000, torch.Generator().manual_seed(0)), 0, 0)
    for _ in batches(rows, list(order.split(128)), torch.device("cpu")):
        pass
    assert order.dtype == torch.int32
    assert all(index.dtype == torch.int32 for index in found)
    assert torch.equal(torch.cat(found), order)
    assert torch.equal(order.sort().values, torch.arange(1000))


@pytest.mark.parametrize(("side", "says"), [(10_000, "10000x10000 pixels, not 5x5"), (60_000, "far more pixels")])
def test_a_small_file_of_a_huge_picture_is_not_unpacked(side: int, says: str, tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    tracemalloc.start()
    with pytest.raises(DataError, match=says):
        rows_of(tmp_path, ["x"], {"x": Space("unit_interval", (1, 5, 5))})
    assert tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "webp", "tiff", "ppm"])
def test_damaged_pictures_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    pick, path = random.Random(kind), tmp_path / f"a.{kind}"
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, kind)
    sound, refused = path.read_bytes(), 0
    for _ in range(60):
        changed = bytearray(sound)
        for _ in range(pick.randint(1, 5)):
            place = pick.randrange(1, len(changed))
            if pick.random() < 0.3:
                del changed[place:]
                changed += b"\0"
            else:
                changed[place - 1] = pick.randrange(256)
        path.write_bytes(bytes(changed))
        try:
            rows_of(tmp_path, ["x"], {"x": Space("unit_interval", (3, 8, 8))})
        except DataError as error:
            refused += 1
            assert path.name in str(error)
    assert refused > 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"x": np.zeros((12, 2))}, r"needs \[3\]"),
        ({"x": np.full((12, 3), np.nan)}, "not a number in row 0"),
        ({"y": np.full(12, 7)}, "the value 7 outside its space"),
        ({"x": np.zeros((11, 3))}, "differ in their number of rows"),
        ({"x": np.array(["a"] * 12)}, "not numbers"),
    ],
)
def test_data_that_does_not_fit(change: dict[str, np.ndarray], says: str, tmp_path: Path) -> None:
    bad = {**arrays(), **change}
    with pytest.raises(DataError, match=says):
        rows_of(bad, ["x", "y"], SPACES)
    np.savez(tmp_path / "d.npz", **bad)
    with pytest.raises(DataError, match=says):
        rows_of(tmp_path / "d.npz", ["x", "y"], SPACES)


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("1,2,3\n4,5,6\n")
    with pytest.raises(DataError, match="names the columns"):
        rows_of(path, ["x"], SPACES)
    path.write_text("a,b\n1,2\n3\n")
    with pytest.raises(DataError, match="cannot be read"):
        rows_of(path, ["x"], SPACES)
    (tmp_path / "d.npz").write_bytes(b"PK nonsense")
    with pytest.raises(DataError, match="cannot be read"):
        rows_of(tmp_path / "d.npz", ["x"], SPACES)
    with pytest.raises(DataError, match="there is no file"):
        rows_of(tmp_path / "none.npz", ["x"], SPACES)


NORMAL = """
x : real[2]
param m : real[2]
param s : positive[2]
p(x) = Normal(m, s)
fit = log p(x)
maximize fit using Adam(lr = 0.05)
"""


def test_normalisation_is_saved_with_the_model(tmp_path: Path) -> None:
    """Draws are in the units of the data again, and a rows' mean is where the data has it."""
    generator = np.random.default_rng(3)
    data = {"x": (generator.normal(size=(4000, 2)) * [3, 0.1] + [100, -7]).astype(np.float32)}
    program = pgc.compile(NORMAL)
    torch.manual_seed(0)
    trainer = Trainer(program.Model(), device="cpu", normalize=("x",), batch_size=1000)
    trainer.fit(data, epochs=40)
    assert float(trainer.model.m.detach().abs().max()) < 0.1  # the model sees mean 0
    trainer.save(tmp_path / "m.safetensors")
    model = program.Model()
    prepared = checkpoint.restore(model, tmp_path / "m.safetensors")
    torch.manual_seed(1)
    drawn = prepared.undo(model.sample((4000,)))["x"]
    assert np.allclose(drawn.mean(0), [100, -7], atol=[0.3, 0.02])
    assert np.allclose(drawn.std(0), [3, 0.1], rtol=0.1)
    assert torch.allclose(
        prepared.undo(prepared({"x": torch.tensor(data["x"])}))["x"], torch.tensor(data["x"]), atol=1e-3
    )


def test_dequantisation_adds_noise_that_draws_lose_again() -> None:
    program = pgc.compile(NORMAL)
    trainer = Trainer(program.Model(), device="cpu", dequantize={"x": 16}, batch_size=100)
    data = {"x": np.random.default_rng(3).integers(0, 16, (400, 2))}
    trainer.fit(data, epochs=1)
    batch = trainer.prepared({"x": torch.tensor(data["x"]).float()})["x"]
    assert float(batch.min()) >= 0 and float(batch.max()) < 1
    assert torch.equal(trainer.prepared.undo({"x": batch})["x"], torch.tensor(data["x"]).float())
    assert not torch.equal(batch, trainer.prepared({"x": torch.tensor(data["x"]).float()})["x"])
    with pytest.raises(DataError, match="its 8 levels are 0 to 7"):
        Trainer(program.Model(), device="cpu", dequantize={"x": 8}).fit(data, epochs=1)
    with pytest.raises(DataError, match="no variable w"):
        Trainer(program.Model(), device="cpu", normalize=("w",)).fit(data, epochs=1)


def test_a_loader_of_the_users_own() -> None:
    """Its dataset is read; an own loop takes batches as they come."""
    found = arrays()
    dataset = TensorDataset(torch.as_tensor(found["x"]), torch.as_tensor(found["y"]))
    trainer = Trainer(pgc.compile(PROGRAM).Model(), device="cpu")
    before = trainer.evaluate(found)["fit"]
    for x, y in DataLoader(dataset, batch_size=4, shuffle=True):
        trainer.step(x=x, y=y)
    assert trainer.evaluate(found)["fit"] > before


# --- damaged and hostile archives ---


def archive(path: Path, **members: bytes) -> Path:
    """An `.npz` with members as given."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as whole:
        for name, content in members.items():
            whole.writestr(f"{name}.npy", content)
    return path


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def claiming(shape: tuple[int, ...]) -> bytes:
    """The header of a large array, and nothing behind it."""
    buffer = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + b"12345678"


GOOD = npy(np.zeros((4, 2)))


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (GOOD[:-9], "x in d.npz cannot be read"),
        (b"no array at all", "x in d.npz cannot be read"),
        (claiming((1_500_000_000_000,)), "claims 12,000,000,000,000 bytes, and the file has"),
        (claiming((2**62, 2**62)), "its header claims"),
        (npy(np.array([{"a": 1}], dtype=object)), "x in d.npz cannot be read: it holds Python objects"),
    ],
)
def test_a_member_that_is_no_array_is_a_data_error(tmp_path: Path, x: bytes, reason: str) -> None:
    path = archive(tmp_path / "d.npz", x=x)
    with pytest.raises(DataError, match=re.escape(reason)):
        rows_of(path, ["x"], {"x": Space("real", (2,))})


def test_an_array_that_unpacks_to_far_more_than_its_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npz, "LARGE", 2**27)
    header = claiming((2**24, 2))[:-8]
    path = tmp_path / "d.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as whole, whole.open("x.npy", "w") as member:
        member.write(header)
        for _ in range(16):
            member.write(bytes(2**24))
    with pytest.raises(DataError, match=r"bytes unpack to 268,435,456"):
        rows_of(path, ["x"], {"x": Space("real", (2,))})


@pytest.mark.parametrize("damage", ["truncated", "bit", "empty"])
def test_a_damaged_file_is_a_data_error(tmp_path: Path, damage: str) -> None:
    path = archive(tmp_path / "d.npz", x=npy(np.random.default_rng(0).normal(size=(400, 2))))
    whole = bytearray(path.read_bytes())
    if damage == "truncated":
        whole = whole[: len(whole) // 2]
    elif damage == "bit":
        whole[len(whole) // 2] ^= 8
    else:
        whole = bytearray()
    path.write_bytes(bytes(whole))
    with pytest.raises(DataError, match=r"d\.npz"):
        rows_of(path, ["x"], {"x": Space("real", (2,))})


def test_arrays_that_the_program_does_not_use_are_not_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "d.npz", x=GOOD, other=claiming((1_500_000_000_000,)), broken=b"none")
    assert len(rows_of(path, ["x"], {"x": Space("real", (2,))})) == 4
