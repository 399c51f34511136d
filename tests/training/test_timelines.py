"""Pictures of sequences: which picture a variable has, what is in it, and that its size has a bound."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.image import imread

from pgcompile.cli import main
from pgcompile.training.timelines import Timeline, save_timelines, timeline_of

CHAIN = """
index t in 1..T padded
x_t : SPACE
z_t : real[3]
net move = Linear(3)
net dec = Linear(SIZE)
net enc = Linear(3)
z_0 = 0
p(z_t | z_{t-1}) = Normal(move(z_{t-1}), 0.5)
p(x_t | z_t) = FAMILY
q(z_t | z_{t-1}, x_t) = Normal(enc(z_{t-1}, x_t), 0.4)
elbo = ELBO[p || q]
maximize elbo using Adam(lr = 1e-2)
"""


@pytest.mark.parametrize(
    ("shape", "kind", "shown"),
    [
        ((), "real", Timeline("lines", (1,))),
        ((), "category", Timeline("lines", (1,))),
        ((4,), "real", Timeline("lines", (4,))),
        ((784,), "boolean", Timeline("frames", (28, 28))),
        ((1, 8, 6), "unit_interval", Timeline("frames", (8, 6))),
        ((4,), "boolean", Timeline("map", (4, 1))),
        ((88,), "boolean", Timeline("map", (88, 1))),
        ((3, 8, 8), "real", None),
    ],
)
def test_the_event_of_a_place_says_the_picture(shape: tuple[int, ...], kind: str, shown: Timeline | None) -> None:
    assert timeline_of(shape, kind) == shown


def _ink(path: Path) -> np.ndarray:
    """The share of dark pixels in each column of a picture."""
    pixels = imread(path)[:, :, :3].mean(-1)
    return (pixels < 0.3).mean(0)


def test_places_behind_the_end_are_blank(tmp_path: Path) -> None:
    values = np.ones((2, 40, 20))
    values[:, :, ::2] = 0
    shown = timeline_of((20,), "boolean")
    assert shown is not None
    whole = _ink(save_timelines({"data": values}, shown, "t", tmp_path / "a.png"))
    cut = _ink(save_timelines({"data": values}, shown, "t", tmp_path / "b.png", np.array([10, 10])))
    dark = np.flatnonzero((whole > 0.2) & (whole < 0.8))  # the columns of the map, without its frame
    first, last = dark[: len(dark) // 5], dark[len(dark) // 3 :]
    assert (cut[first] > 0.2).mean() > 0.9
    assert (cut[last] < 0.15).mean() > 0.95


@pytest.mark.parametrize("kind", ["lines", "frames", "map"])
def test_the_size_of_a_picture_does_not_grow_with_the_places(kind: str, tmp_path: Path) -> None:
    size = {"lines": (2,), "frames": (4, 4), "map": (10, 1)}[kind]
    shown = Timeline(kind, size)
    sizes = []
    for places in (50, 20_000):
        values = np.random.default_rng(0).random((3, places, int(np.prod(size))))
        path = save_timelines({"data": values, "draws": values}, shown, "t", tmp_path / f"{places}.png")
        sizes.append(imread(path).shape)
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(
    ("space", "size", "family"),
    [
        ("real[2]", 2, "Normal(dec(z_t), 0.3)"),
        ("boolean[16]", 16, "Bernoulli(logits = dec(z_t))"),
        ("boolean[12]", 12, "Bernoulli(logits = dec(z_t))"),
        ("real", 1, "Normal(dec(z_t)[0], 0.3)"),
    ],
)
def test_training_and_drawing_show_sequences(space: str, size: int, family: str, tmp_path: Path) -> None:
    text = CHAIN.replace("SPACE", space).replace("SIZE", str(size)).replace("FAMILY", family)
    (tmp_path / "m.pgc").write_text(text)
    generator = np.random.default_rng(0)
    x = (generator.random((20, 9, size)) < 0.4).astype(np.float32)
    x = x[..., 0] if space == "real" else x
    np.savez(tmp_path / "d.npz", x=x, T=generator.integers(2, 10, 20))
    out, program = tmp_path / "run", str(tmp_path / "m.pgc")
    given = ["train", program, "--data", str(tmp_path / "d.npz"), "--epochs", "1", "--out", str(out)]
    result = CliRunner().invoke(main, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert f"wrote {out / 'samples.png'}" in result.output
    wide = imread(out / "samples.png").shape[1]
    drawn, weights = tmp_path / "drawn.png", str(out / "model.safetensors")
    given = ["sample", program, "--set", "T=5", "--checkpoint", weights, "-n", "3", "-o", str(drawn)]
    result = CliRunner().invoke(main, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert imread(drawn).shape[1] * 3 == wide  # the data and the reconstruction stand beside the draws
