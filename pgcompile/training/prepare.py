"""Normalisation and dequantisation of data before the model sees it, kept in the checkpoint."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from pgcompile.diagnostics import DataError
from pgcompile.training.rows import Rows
from pgcompile.training.settings import Settings
from pgcompile.vocabulary.spaces import Space

PREFIX = "prepared."  # of the names under which a checkpoint keeps it
_SAMPLE = 65_536  # rows from which mean and deviation are taken


class Preparation:
    """(x + noise - shift) / scale for some variables, with uniform noise where whole numbers are dequantised.

    Args:
        steps: by variable: shift and scale, of the variable's shape or numbers, and the width of the noise.
    """

    def __init__(self, steps: Mapping[str, tuple[Tensor, Tensor, Tensor]] | None = None) -> None:
        self.steps = dict(steps or {})

    def to(self, device: torch.device) -> "Preparation":
        """The same on a device."""
        moved = {name: (a.to(device), b.to(device), c.to(device)) for name, (a, b, c) in self.steps.items()}
        return Preparation(moved)

    def __call__(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """A batch as the model sees it."""
        if not self.steps:
            return batch
        return {name: self._apply(name, value) if name in self.steps else value for name, value in batch.items()}

    def _apply(self, name: str, value: Tensor) -> Tensor:
        shift, scale, noise = self.steps[name]
        return (value + noise * torch.rand_like(value) - shift) / scale

    def undo(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Draws of the model in the units of the data; those that were whole numbers are so again."""
        found = dict(values)
        for name, (shift, scale, noise) in self.steps.items():
            if name in found:
                value = found[name] * scale + shift
                found[name] = value.floor() if float(noise) else value
        return found

    def state(self) -> dict[str, Tensor]:
        """State for a checkpoint."""
        parts = ("shift", "scale", "noise")
        return {
            f"{PREFIX}{name}.{part}": tensor
            for name, step in self.steps.items()
            for part, tensor in zip(parts, step, strict=True)
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Tensor]) -> "Preparation":
        """The preparation in the state of a checkpoint."""
        names = {key.removeprefix(PREFIX).rsplit(".", 1)[0] for key in state if key.startswith(PREFIX)}
        parts = ("shift", "scale", "noise")
        return cls({n: tuple(state[f"{PREFIX}{n}.{p}"] for p in parts) for n in sorted(names)})  # type: ignore[misc]


def raw_spaces(spaces: Mapping[str, Space], settings: Settings) -> dict[str, Space]:
    """Spaces of the data before it is prepared.

    Raises:
        DataError: a variable that is to be prepared is none, or holds no numbers that could be.
    """
    found = dict(spaces)
    for name in (*settings.normalize, *settings.dequantize):
        if name not in found:
            raise DataError(f"there is no variable {name} to prepare: the program has {', '.join(spaces)}")
        if name in settings.normalize and found[name].kind != "real":
            raise DataError(f"{name} is `{found[name]}`: only a real variable can be normalised")
        if found[name].kind not in ("real", "unit_interval", "positive"):
            raise DataError(f"{name} is `{found[name]}`: only a real variable can be dequantised")
        kind = "nonnegative_integer" if name in settings.dequantize else "real"
        found[name] = replace(found[name], kind=kind)
    return found


def preparation(settings: Settings, rows: Rows | None, index: Tensor) -> Preparation:
    """The preparation that the settings ask for, with mean and deviation of the rows that are trained on.

    Args:
        settings: which variables are normalised, and which dequantised.
        rows: the data.
        index: the rows that are trained on.

    Raises:
        DataError: a whole number is not below the count of levels.
    """
    steps: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
    if rows is None or not (settings.normalize or settings.dequantize):
        return Preparation()
    seen = rows.take(index[:_SAMPLE])
    for name, levels in settings.dequantize.items():
        if name in seen:
            worst = float(seen[name].max())
            if worst >= levels:
                raise DataError(f"{name} has the value {worst:g}, and its {levels} levels are 0 to {levels - 1}")
            steps[name] = (torch.tensor(0.0), torch.tensor(float(levels)), torch.tensor(1.0))
    for name in settings.normalize:
        if name in seen:
            noise = torch.tensor(1.0 if name in settings.dequantize else 0.0)
            mean, deviation = seen[name].mean(0) + noise / 2, seen[name].std(0)
            scale = torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation))
            steps[name] = (mean.cpu(), scale.cpu(), noise)
    return Preparation(steps)
