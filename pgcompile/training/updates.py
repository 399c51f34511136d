"""One step of training: an update of every line on one batch."""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from pgcompile.diagnostics import DataError
from pgcompile.model.names import identifier
from pgcompile.training.device import autocast
from pgcompile.training.optimizer_steps import Player
from pgcompile.training.state import TrainingState


def take_step(state: TrainingState, values: dict[str, Any], weight: float = 1.0) -> dict[str, Tensor]:
    """Update every line in its turn.

    Args:
        state: of the training.
        values: the batch and the inputs, by Python name.
        weight: of this process's rows in the mean over the team.

    Returns:
        The loss of each line before its last update, on the device.
    """
    losses = {}
    for player in state.players:
        for _ in range(player.recipe.updates):
            losses[player.name] = update(state, player, values, weight)
    for player in state.players:
        if player.schedule is not None:
            player.schedule.step()
    if state.averaged is not None:
        state.averaged.update(state.model)
    state.run.step += 1
    return losses


def update(state: TrainingState, player: Player, values: dict[str, Any], weight: float = 1.0) -> Tensor:
    """One optimizer step of one line; its loss before, on the device."""
    player.optimizer.zero_grad(set_to_none=True)
    given = {name: values[name] for name in player.arguments if name in values}
    total: Tensor | None = None
    with player.alone() if player.others else nullcontext():
        parts = list(_parts(state, given, weight))
        for number, (part, share) in enumerate(parts):
            with state.team.last_of(number == len(parts) - 1):
                with autocast(state.device, state.settings):
                    loss = player.loss(**part)
                _check_finite(state, player, loss, part)
                _backward(state, loss if share == 1 else loss * share)
            seen = loss.detach() if share == 1 else loss.detach() * share
            total = seen if total is None else total + seen
    assert total is not None
    if state.scaler is not None:
        state.scaler.unscale_(player.optimizer)
    player.clip()
    if state.scaler is not None:
        state.scaler.step(player.optimizer)
        state.scaler.update()
    else:
        player.optimizer.step()
    player.clamp()
    return total


def _backward(state: TrainingState, loss: Tensor) -> None:
    if state.scaler is not None:
        loss = state.scaler.scale(loss)
    loss.backward()


def _parts(state: TrainingState, given: dict[str, Any], weight: float) -> Iterator[tuple[dict[str, Any], float]]:
    """The batch in parts, with the share of its rows that each has."""
    names = {identifier(name) for name in state.observed}
    rows = {name: value for name, value in given.items() if name in names}
    if state.settings.accumulate == 1 or not rows:
        yield given, weight
        return
    rest = {name: value for name, value in given.items() if name not in names}
    chunked = {name: value.chunk(state.settings.accumulate) for name, value in rows.items()}
    total = len(next(iter(rows.values())))
    for pieces in zip(*chunked.values(), strict=True):
        yield {**dict(zip(chunked, pieces, strict=True)), **rest}, weight * len(pieces[0]) / total


def _check_finite(state: TrainingState, player: Player, loss: Tensor, given: dict[str, Any]) -> None:
    """On the CPU every loss is looked at before it changes a weight; elsewhere that would wait for the device."""
    if state.device.type == "cpu" and not math.isfinite(float(loss.detach())):
        raise not_finite(state, player.name, float(loss.detach()), state.run.step, given)


@torch.no_grad()
def not_finite(state: TrainingState, name: str, value: float, step: int, given: dict[str, Any]) -> DataError:
    """The error for a non-finite loss; it names the non-finite terms."""
    guilty = [n for n, v in state.terms(state.model, given).items() if not bool(torch.isfinite(v).all())]
    blamed = f"; the term {', '.join(guilty)} is not finite" if guilty else ""
    epoch = f" of epoch {state.run.epoch + 1}" if state.run.epochs else ""
    return DataError(
        f"{name} became {value} at step {step + 1}{epoch}{blamed}: lower the learning rate, clip the gradient "
        "(clip_norm = 1), or look at the data"
    )
