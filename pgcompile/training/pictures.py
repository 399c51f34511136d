"""Pictures of a run: a grid of samples and the loss curve."""

from dataclasses import dataclass
from io import BytesIO
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pgcompile.atomic_write import write_atomically


def image_shape(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Height and width of a picture of an event: a matrix, or a vector whose length is a square."""
    match shape:
        case (height, width) | (1, height, width):
            return height, width
        case (size,) if size > 3 and isqrt(size) ** 2 == size:
            return isqrt(size), isqrt(size)
        case _:
            return None


def save_grid(values: np.ndarray, size: tuple[int, int], path: Path, columns: int = 8) -> Path:
    """Images side by side.

    Args:
        values: `[n, ...]`, each row an image of `size` numbers.
        size: height and width of an image.
        path: a PNG file.
        columns: images in a row.
    """
    height, width = size
    images = values.reshape(-1, height, width)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    canvas = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1), np.nan)
    for index, image in enumerate(images):
        top, left = index // columns * (height + 1) + 1, index % columns * (width + 1) + 1
        canvas[top : top + height, left : left + width] = image
    figure = Figure(figsize=(columns * 0.8, rows * 0.8), dpi=120)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.imshow(canvas, cmap="gray_r", interpolation="nearest")
    axes.set_axis_off()
    return write_figure(figure, path)


@dataclass(frozen=True)
class Density:
    """A density on a grid.

    Args:
        x: places of the columns.
        y: places of the rows.
        values: `[rows, columns]`, the largest of them one.
    """

    x: np.ndarray
    y: np.ndarray
    values: np.ndarray


def save_pairs(first: np.ndarray, second: np.ndarray, size: tuple[int, int], path: Path, columns: int = 8) -> Path:
    """Images in rows, each with its counterpart below it.

    Args:
        first: `[n, ...]`, each row an image of `size` numbers.
        second: as many.
        size: height and width of an image.
        path: a PNG file.
        columns: images in a row.
    """
    columns = min(columns, len(first))
    rows = [half[i : i + columns] for i in range(0, len(first) - columns + 1, columns) for half in (first, second)]
    return save_grid(np.concatenate(rows), size, path, columns)


def save_scatter(
    values: np.ndarray,
    data: np.ndarray | None,
    path: Path,
    density: Density | None = None,
    colours: np.ndarray | None = None,
) -> Path:
    """Points of the plane, over those of the data and over a density.

    Args:
        values: `[n, 2]`.
        data: `[m, 2]`, or None.
        path: a PNG file.
        density: shown as a map behind them.
        colours: what each point is, if that is known.
    """
    figure = Figure(figsize=(5, 5), dpi=120, layout="tight")
    axes = figure.add_subplot()
    if density is not None:
        axes.pcolormesh(density.x, density.y, density.values, cmap="Oranges", vmax=1.5, rasterized=True)
        axes.set_xlim(density.x[0], density.x[-1])
        axes.set_ylim(density.y[0], density.y[-1])
    if data is not None:
        axes.scatter(data[:, 0], data[:, 1], s=4, color="0.6", label="data")
    if colours is not None:
        shown = axes.scatter(values[:, 0], values[:, 1], s=6, c=colours, cmap="tab10")
        figure.colorbar(shown, ax=axes)
    else:
        axes.scatter(values[:, 0], values[:, 1], s=3, label="samples", alpha=0.7)
        axes.legend()
    axes.set_aspect("equal")
    return write_figure(figure, path)


def save_curves(curves: dict[str, list[float]], path: Path) -> Path:
    """Losses by epoch."""
    figure = Figure(figsize=(6, 4), dpi=120, layout="tight")
    axes = figure.add_subplot()
    for name, values in curves.items():
        axes.plot(range(1, len(values) + 1), values, label=name)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.legend()
    return write_figure(figure, path)


def write_figure(figure: Any, path: Path) -> Path:
    """Write a figure as a PNG; only a whole file takes the place of one that is there."""
    FigureCanvasAgg(figure)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return write_atomically(path, buffer.getvalue())
