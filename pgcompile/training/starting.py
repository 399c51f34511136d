"""The start of a training: devices, optimizers, compiled losses, inputs and the average of the weights."""

from typing import Any

import torch
from torch import nn

from pgcompile.diagnostics import DataError
from pgcompile.model.data_spaces import data_names, totals_of
from pgcompile.model.names import identifier
from pgcompile.program import NOTHING_TO_OPTIMISE, Program
from pgcompile.training.average import Average
from pgcompile.training.compiling import compiled_losses
from pgcompile.training.coupled import check_batches
from pgcompile.training.device import can_fuse, device_of, scaler
from pgcompile.training.distributed import Team
from pgcompile.training.optimizer_steps import Player, players_of
from pgcompile.training.settings import Settings
from pgcompile.training.state import TrainingState


def start(program: Program, model: nn.Module, settings: Settings) -> TrainingState:
    """The state of a training before its first step.

    Args:
        program: what the model was compiled from.
        model: moved to the device, and sharded where the strategy says so.
        settings: how to train.

    Raises:
        DataError: the program optimises nothing, a device cannot be used, or an input is missing.
    """
    if not program.analysis.model.optimise:
        raise DataError(NOTHING_TO_OPTIMISE)
    team = Team.join(settings)
    device = team.device if team.size > 1 else device_of(settings.device)
    trained: Any = team.distribute(model.to(device))
    _check_patience(program, settings)
    check_batches(program, settings, team.size)
    players = _players(program, trained, settings, team, device)
    wanted = {name for player in players for name in player.arguments}
    observed = [v for v in data_names(program.analysis.model) if identifier(v) in wanted]
    inputs = fixed_inputs(program, settings, wanted)
    averaged = _averaged(trained, players, settings, team)
    return TrainingState(
        program, settings, team, device, trained, players, observed, inputs, averaged, scaler(device, settings)
    )


def _check_patience(program: Program, settings: Settings) -> None:
    if settings.patience is None:
        return
    if len(program.analysis.model.optimise) > 1:
        raise DataError("patience goes by one loss, and the program has several: leave it out")
    if settings.validation == 0:
        raise DataError("patience goes by the validation loss, and no rows are held out: give a validation share")


def _players(program: Program, model: Any, settings: Settings, team: Team, device: torch.device) -> list[Player]:
    """The players with their losses, compiled where that is asked for."""
    parameters = list(model.parameters())
    if not parameters:
        raise DataError(f"{type(model).__name__} has nothing to learn")
    fused = can_fuse(device, parameters) and not team.sharded
    players = players_of(program, model, fused=fused)
    for player in players:
        if not player.parameters:
            raise DataError(f"{player.line.direction} {player.line.objective} has nothing to learn")
    losses = team.losses(model, [p.name for p in players])
    if settings.compile is not None:
        losses = compiled_losses(model, losses, settings.compile)
    for player in players:
        player.loss = losses[player.name]
    return players


def fixed_inputs(program: Program, settings: Settings, wanted: set[str]) -> dict[str, float]:
    """Values of the inputs that are wanted and that no schedule drives, by Python name.

    Raises:
        DataError: an input is missing, or one is given that the program does not have.
    """
    model = program.analysis.model
    known = [t.name for t in model.tensors.values() if t.kind == "input"]
    unknown = sorted(set(settings.inputs) - set(known))
    if unknown:
        raise DataError(f"the program has no input {unknown[0]}; it has {', '.join(known) or 'none'}")
    found = {}
    for name in known:
        if identifier(name) not in wanted:
            continue
        if name in settings.inputs:
            found[identifier(name)] = float(settings.inputs[name])
        elif name not in model.ramps and name not in totals_of(model):
            raise DataError(f"the objective needs the input {name}: give it with --input {name}=1")
    return found


def _averaged(model: Any, players: list[Player], settings: Settings, team: Team) -> Average | None:
    if team.sharded:
        if settings.ema is not None or hasattr(model, "averaged"):
            raise DataError("an average of the weights is not kept of sharded weights: use --strategy ddp")
        return None
    decays = [settings.ema, *(player.recipe.ema for player in players)]
    decay = next((d for d in decays if d is not None), None)
    return None if decay is None else Average(model, decay)
