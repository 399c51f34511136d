"""Losses of an epoch, read from the device once in a while, checked and logged."""

import time
from typing import Any

import torch
from torch import Tensor

from pgcompile.training.evaluation import evaluating, size_of
from pgcompile.training.journal import Journal
from pgcompile.training.state import TrainingState
from pgcompile.training.updates import not_finite


class Readings:
    """Losses of an epoch.

    Args:
        state: of the training.
        journal: where they are written.
        steps: of the epoch.
    """

    def __init__(self, state: TrainingState, journal: Journal, steps: int) -> None:
        self.state, self.journal = state, journal
        self.waiting: list[dict[str, Tensor]] = []
        self.sizes: list[int] = []
        self.batch: dict[str, Any] = {}
        self.every = min(state.settings.log_every, steps)
        self.since = time.monotonic()

    def note(self, losses: dict[str, Tensor], batch: dict[str, Any], weight: float) -> None:
        """Keep the losses of a step; read them when there are enough.

        Args:
            losses: by line.
            batch: this process's share of it.
            weight: of the share in the mean over the team.
        """
        self.waiting.append(losses)
        self.sizes.append(round(size_of(batch) * self.state.team.size / weight) or 1)  # rows of the whole batch
        self.batch = batch
        if len(self.waiting) >= self.every:
            self.read()

    def read(self) -> None:
        """Bring the waiting losses from the device, check them and show them.

        Raises:
            DataError: one is not finite.
        """
        if not self.waiting:
            return
        state, run = self.state, self.state.run
        names = list(self.waiting[0])
        table = torch.stack([torch.stack([losses[n].float() for n in names]) for losses in self.waiting]).cpu()
        table = state.team.mean_of(table)
        bad = (~torch.isfinite(table)).nonzero()
        if len(bad):
            row, column = bad[0].tolist()
            step = run.step - len(self.waiting) + row
            values = {**self.batch, **state.inputs_at(step)}
            raise not_finite(state, names[column], float(table[row, column]), step, values)
        sizes = torch.tensor(self.sizes, dtype=torch.float64)
        run.sum += float((table[:, 0].double() * sizes).sum())
        run.rows += float(sizes.sum())
        means = {name: float(table[:, i].mean()) for i, name in enumerate(names)}
        means |= self._terms()
        rates = {f"lr_{p.name}": float(p.optimizer.param_groups[0]["lr"]) for p in state.players if p.schedule}
        now = time.monotonic()
        self.journal.write(run.step, {**means, **rates, "steps_a_second": len(table) / max(now - self.since, 1e-9)})
        self.journal.show(**{name: f"{value:.3f}" for name, value in means.items()})
        self.waiting, self.sizes, self.since = [], [], now

    @torch.no_grad()
    def _terms(self) -> dict[str, float]:
        """Every named term on the last batch, where there are several; the noise of training is left alone."""
        state = self.state
        if len(state.program.analysis.objectives) < 2:
            return {}
        values = {**self.batch, **state.inputs_at(state.run.step)}
        devices = [state.device] if state.device.type == "cuda" else []
        with torch.random.fork_rng(devices), evaluating(state.model):
            found = state.terms(state.model, values)
        return {name: float(value.float().mean()) for name, value in found.items()}

    def mean(self) -> float:
        """The first line's loss over the rows of the epoch."""
        return self.state.run.sum / self.state.run.rows
