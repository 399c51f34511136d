"""The state of a training: the model, its optimizers, and how far the run is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pgcompile.model.data_spaces import totals_of
from pgcompile.model.names import identifier
from pgcompile.program import Program
from pgcompile.training.average import Average
from pgcompile.training.distributed import Team
from pgcompile.training.optimizer_steps import Player, arguments_of
from pgcompile.training.prepare import Preparation
from pgcompile.training.settings import Settings


@dataclass
class Run:
    """Progress of a run.

    Args:
        step: updates so far.
        epoch: passes that are done.
        position: batches of the present pass that are done.
        epochs: passes of the whole run.
        sum: of the losses of the rows of the present pass.
        rows: of the present pass so far.
        training: mean loss of each pass.
        validation: loss of the rows held out after each pass.
        best: the least of them.
        best_epoch: the pass after which it was reached, counted from one.
    """

    step: int = 0
    epoch: int = 0
    position: int = 0
    epochs: int = 0
    sum: float = 0.0
    rows: float = 0.0
    training: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best: float | None = None
    best_epoch: int | None = None


@dataclass
class TrainingState:
    """Everything that training changes or goes by.

    Args:
        program: the compiled program.
        settings: how to train.
        team: the processes that train together.
        device: where this process computes.
        model: the module, sharded where the strategy says so.
        players: an optimizer step for each `maximize` or `minimize` line.
        observed: variables that the losses observe.
        inputs: values of the inputs that no schedule drives, by Python name.
        averaged: the average of the weights, where one is kept.
        scaler: of the loss, in half precision.
        prepared: normalisation and dequantisation of the data.
        run: how far the run is.
    """

    program: Program
    settings: Settings
    team: Team
    device: torch.device
    model: Any
    players: list[Player]
    observed: list[str]
    inputs: dict[str, float]
    averaged: Average | None
    scaler: torch.amp.GradScaler | None
    prepared: Preparation = field(default_factory=Preparation)
    run: Run = field(default_factory=Run)
    fingerprint: dict[str, Any] = field(default_factory=dict)
    """Of the program and the data of the run."""

    @property
    def shown(self) -> Any:
        """The model that is evaluated, saved and drawn from: the averaged one, where an average is kept."""
        return self.model if self.averaged is None else self.averaged.module

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """The optimizers of the players, in their order."""
        return [player.optimizer for player in self.players]

    @property
    def term_arguments(self) -> tuple[str, ...]:
        """Names of the arguments of the model's `terms`."""
        return arguments_of(self.program, "terms") if hasattr(self.program.Model, "terms") else ()

    def terms(self, model: Any, values: Mapping[str, Any]) -> dict[str, Tensor]:
        """Every named term that some values are enough for, by name.

        Args:
            model: whose terms.
            values: data and inputs by their names in Python; a term that nothing trains may ask for more.
        """
        totals = {*map(identifier, totals_of(self.program.analysis.model))}  # by default the rows of the batch
        values = {**dict.fromkeys(totals), **values}
        wanted = self.term_arguments
        if all(name in values for name in wanted):
            found: dict[str, Tensor] = model.terms(**{name: values[name] for name in wanted})
            return found
        known = {name: arguments_of(self.program, identifier(name)) for name in self.program.analysis.objectives}
        return {
            name: getattr(model, identifier(name))(**{n: values[n] for n in arguments})
            for name, arguments in known.items()
            if all(n in values for n in arguments)
        }

    def count_rows(self, count: int) -> None:
        """Tell objectives of the whole data set how many rows that is, where the settings say nothing else."""
        self.inputs |= self.totals(count)

    def totals(self, count: int) -> dict[str, float]:
        """The inputs that say how many data points there are, for so many rows, where the settings say nothing else."""
        wanted = {name for player in self.players for name in player.arguments} | {*self.term_arguments}
        return {
            identifier(name): float(count)
            for name in totals_of(self.program.analysis.model)
            if identifier(name) in wanted and name not in self.settings.inputs
        }

    def inputs_at(self, step: int | None) -> dict[str, Tensor]:
        """The inputs at a step, None for after the last; they are tensors, so that a compiled loss is compiled once."""
        driven: dict[str, float] = {}
        if step is None:
            driven = {identifier(n): ramp.end for n, ramp in self.program.analysis.model.ramps.items()}
        elif hasattr(self.model, "inputs_at"):
            driven = self.model.inputs_at(step)
        weights = next((p.dtype for p in self.model.parameters() if p.is_floating_point()), torch.float32)
        dtype = torch.promote_types(weights, torch.float32)
        return {
            name: torch.tensor(float(value), dtype=dtype, device=self.device)
            for name, value in {**driven, **self.inputs}.items()
        }
