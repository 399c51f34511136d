"""The log of a run: a line of JSON a reading, TensorBoard events, and the progress bar."""

import json
import math
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pgcompile.diagnostics import DataError


class Journal:
    """The readings of one run.

    Args:
        out: its folder, or None to write nothing.
        title: of the progress bar.
        total: steps of the run.
        first: the step at which it begins; readings from there on, of a run that was cut off, are dropped.
        progress: whether to show a bar.
        tensorboard: whether to write events.

    Raises:
        DataError: TensorBoard is asked for and not installed.
    """

    def __init__(
        self, out: Path | None, title: str, total: int, first: int, *, progress: bool, tensorboard: bool
    ) -> None:
        self.path = None if out is None else out / "log.jsonl"
        self.events: Any = None
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            kept = _until(self.path, first) if first else []
            self.path.write_text("".join(kept), encoding="utf-8")
        if tensorboard and out is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise DataError("TensorBoard is not installed: `pip install tensorboard`, or leave it out") from None
            self.events = SummaryWriter(str(out / "tensorboard"), purge_step=first)
        seconds = 0.1 if sys.stderr.isatty() else 10.0  # a line each, where nothing can be written over
        self.bar = tqdm(total=total, initial=first, desc=title, unit="step", mininterval=seconds, disable=not progress)

    def step(self) -> None:
        """A step is done."""
        self.bar.update()

    def show(self, **readings: str) -> None:
        """Readings beside the bar."""
        self.bar.set_postfix(readings, refresh=False)

    def write(self, step: int, readings: dict[str, float]) -> None:
        """Readings after `step` steps, for files."""
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                known = {name: value if math.isfinite(value) else None for name, value in readings.items()}
                file.write(json.dumps({"step": step, **known}) + "\n")
        if self.events is not None:
            for name, value in readings.items():
                self.events.add_scalar(name, value, step)

    def close(self) -> None:
        """End the bar and the events."""
        self.bar.close()
        if self.events is not None:
            self.events.close()


def _until(path: Path, step: int) -> list[str]:
    """The lines of a journal up to a step; what cannot be read is left out."""
    if not path.is_file():
        return []
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    return kept
