"""Pictures of sequences: lines over the places of an index, or frames side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pgcompile.training.pictures import image_shape, write_figure

SHORT = 8
"""The most numbers of a vector that are drawn as lines."""
MOST_POINTS, MOST_FRAMES, MOST_COLUMNS = 1000, 12, 512
"""The most places of a line, of images side by side, and of a map with a column a place; others are left out evenly."""


@dataclass(frozen=True)
class Timeline:
    """How the event of a place is shown.

    Args:
        kind: `lines`, a line a number; `frames`, an image a place; `map`, a column of pixels a place.
        size: numbers of the event, or height and width of its image.
    """

    kind: str
    size: tuple[int, ...]

    @property
    def most(self) -> int:
        """The most places that are shown."""
        return {"lines": MOST_POINTS, "frames": MOST_FRAMES, "map": MOST_COLUMNS}[self.kind]


def timeline_of(shape: tuple[int, ...], kind: str) -> Timeline | None:
    """How a variable is shown, None where it cannot be.

    Args:
        shape: of the event of a place.
        kind: of its space: short vectors of 0 and 1 are columns of pixels.
    """
    size = image_shape(shape)
    numbers = int(np.prod(shape)) if shape else 1
    if len(shape) <= 1 and numbers <= SHORT and (not shape or kind not in ("boolean", "one_hot")):
        return Timeline("lines", (numbers,))
    if size is not None and numbers > SHORT and kind != "one_hot":
        return Timeline("frames", size)
    return Timeline("map", (numbers, 1)) if len(shape) == 1 else None


def save_timelines(
    parts: Mapping[str, np.ndarray], shown: Timeline, index: str, path: Path, lengths: np.ndarray | None = None
) -> Path:
    """Sequences below each other, what is known of them side by side, the places from left to right.

    Args:
        parts: `[n, places, ...]` by their captions: data, reconstruction, draws.
        shown: how a place is shown.
        index: the name of the index.
        path: a PNG file.
        lengths: `[n]`, the length of each sequence; places behind it are left blank in the data and what is made of it.
    """
    rows = max(map(len, parts.values()))
    wide = 4.0 if shown.kind == "lines" else 6.0
    figure = Figure(figsize=(wide * len(parts), 0.6 + 1.4 * rows), dpi=100, layout="constrained")
    axes = figure.subplots(rows, len(parts), squeeze=False, sharey="row" if shown.kind == "lines" else False)
    ends = min(map(np.nanmin, parts.values())), max(map(np.nanmax, parts.values()))
    for column, (caption, values) in enumerate(parts.items()):
        step = -(-values.shape[1] // shown.most)
        places = np.arange(0, values.shape[1], step)
        axes[0, column].set_title(caption)
        label = index if step == 1 else f"{index} (one of {step} places is shown)"
        axes[-1, column].set_xlabel(label)
        for row in range(rows):
            if row >= len(values):
                axes[row, column].set_axis_off()
                continue
            taken = values[row, places].reshape(len(places), -1).astype(np.float64)
            if lengths is not None and caption != DRAWS:
                taken[places >= lengths[row]] = np.nan
            _show(axes[row, column], taken, places + 1, shown, ends)
    return write_figure(figure, path)


DRAWS = "draws"
"""The caption of what has no data beside it."""


def _show(axes: Any, values: np.ndarray, places: np.ndarray, shown: Timeline, ends: tuple[float, float]) -> None:
    """One sequence: lines over the places, or one image of all, whose grays go from one of two values to the other."""
    if shown.kind == "lines":
        for number in range(values.shape[1]):
            axes.plot(places, values[:, number], linewidth=0.9, marker="." if len(places) < 50 else None, markersize=3)
        axes.set_xlim(places[0] - 0.5, places[-1] + 0.5)
        return
    height, width = shown.size
    gap = int(shown.kind == "frames")
    canvas = np.full((height, len(places) * (width + gap) - gap), np.nan)
    for at, frame in enumerate(values.reshape(-1, height, width)):
        canvas[:, at * (width + gap) : at * (width + gap) + width] = frame
    aspect: Any = "equal" if gap else "auto"
    axes.imshow(canvas, cmap="gray_r", interpolation="nearest", aspect=aspect, vmin=ends[0], vmax=ends[1])
    labelled = np.arange(0, len(places), -(-len(places) // 12))
    axes.set_xticks(labelled * (width + gap) + (width - 1) / 2, places[labelled])
    axes.set_yticks([])
    axes.set_facecolor("0.9")  # between images, and where a sequence has ended
