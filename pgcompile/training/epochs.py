"""The loop over epochs: steps, validation, checkpoints, and the end of a run that is told to stop."""

import math
import signal
import time
from pathlib import Path

import torch

from pgcompile.diagnostics import DataError
from pgcompile.training.checkpoint import save_shown
from pgcompile.training.coupled import least_rows, split_rows
from pgcompile.training.evaluation import by_identifier, evaluating, prepared_batches, size_of
from pgcompile.training.feed import Feed
from pgcompile.training.interrupts import Interrupted, Request
from pgcompile.training.journal import Journal
from pgcompile.training.optimizer_steps import Player
from pgcompile.training.readings import Readings
from pgcompile.training.rows import Rows
from pgcompile.training.saved_run import not_finite, save_run
from pgcompile.training.state import TrainingState
from pgcompile.training.updates import take_step

_ASK_EVERY = 10  # steps after which a team asks whether one of it was told to stop


def train_epochs(state: TrainingState, feed: Feed, out: Path | None, journal: Journal, request: Request) -> None:
    """Train until the last epoch, or until patience ends.

    Args:
        state: of the training.
        feed: its data.
        out: folder for checkpoints, or None for none.
        journal: where readings are written.
        request: set when the process is told to stop.

    Raises:
        DataError: a loss is not finite.
        Interrupted: the process was told to stop; the run was saved before.
    """
    run, saved = state.run, time.monotonic()
    if out is not None and run.step == 0 and not state.team.sharded:
        # So that a run that is cut off at once can go on. Sharded optimizers count an update when they are first read.
        _save(state, out)
    while run.epoch < run.epochs and not _patience_is_over(state):
        readings = Readings(state, journal, feed.steps)
        state.model.train()
        for batch, weight in feed.batches(run.epoch, skip=run.position):
            try:
                readings.note(take_step(state, {**batch, **state.inputs_at(run.step)}, weight), batch, weight)
            except DataError:  # the loss is no number: the weights that gave it are kept where they are numbers
                if out is not None and not_finite(dict(state.model.named_parameters())) is None:
                    _save(state, out)
                raise
            run.position += 1
            journal.step()
            if state.team.size > 1 and run.step % _ASK_EVERY:
                continue
            if state.team.any_asks(request.number is not None):
                readings.read()
                raise Interrupted(request.number or signal.SIGTERM, _save(state, out))
            if out is not None and state.team.any_asks(time.monotonic() - saved > state.settings.save_every):
                readings.read()
                _save(state, out)
                saved = time.monotonic()
        readings.read()
        run.training.append(readings.mean())
        run.epoch, run.position = run.epoch + 1, 0
        run.sum = run.rows = 0.0
        _validate(state, feed, out, journal)
    _save(state, out)


def _patience_is_over(state: TrainingState) -> bool:
    patience, run = state.settings.patience, state.run
    return patience is not None and run.best_epoch is not None and run.epoch - run.best_epoch >= patience


def _validate(state: TrainingState, feed: Feed, out: Path | None, journal: Journal) -> None:
    """The loss of the rows held out; the best weights are kept."""
    run = state.run
    readings = {"training": run.training[-1]}
    if feed.rows is not None and len(feed.held):
        loss = _held_out_loss(state, state.players[0], feed.rows, feed.held)
        run.validation.append(loss)
        readings["validation"] = loss
        if not math.isfinite(loss):
            journal.write(run.step, {"epoch": float(run.epoch), **readings})
            raise DataError(
                f"the validation loss is {loss} after epoch {run.epoch}: the weights of the last checkpoint are kept; "
                "lower the learning rate, clip the gradient (clip_norm = 1), or look at the data"
            )
        alone = len(state.players) == 1  # of several players none is best when its own loss is least
        if alone and math.isfinite(loss) and (run.best is None or loss < run.best):
            run.best, run.best_epoch = loss, run.epoch
            if out is not None:
                save_shown(state, out / "best.safetensors")
    _watch(state, feed)
    journal.write(run.step, {"epoch": float(run.epoch), **readings})


def _watch(state: TrainingState, feed: Feed) -> None:
    """Show schedules that go by it the loss of the epoch.

    It is that of their own line on the rows held out; where none are, the training loss, which is the first line's.
    """
    for player in state.players:
        if not hasattr(player.schedule, "watch"):
            continue
        if feed.rows is None or not len(feed.held):
            loss = state.run.training[-1]
        elif player is state.players[0]:
            loss = state.run.validation[-1]
        else:
            loss = _held_out_loss(state, player, feed.rows, feed.held)
        player.schedule.watch(loss)


@torch.no_grad()
def _held_out_loss(state: TrainingState, player: Player, rows: Rows, index: torch.Tensor) -> float:
    model, settings = state.shown, state.settings
    with evaluating(model):
        total = torch.zeros((), device=state.device, dtype=torch.float64 if state.device.type == "cpu" else None)
        given = state.inputs_at(state.run.step)
        chunks = split_rows(index, settings.batch_size, least_rows(state.program))
        for batch in prepared_batches(rows, chunks, state.prepared, state.device, settings.workers):
            values = {**by_identifier(batch), **given}
            loss = getattr(model, player.name)(**{name: values[name] for name in player.arguments})
            total = total + loss * size_of(batch)
    return state.team.mean(float(total) / len(index))


def _save(state: TrainingState, out: Path | None) -> str:
    """Save everything that resuming needs; where it is, for people."""
    if out is None:
        return "nothing was saved, as no folder was given"
    save_run(state, out / "state.safetensors")
    return f"the run is saved in {out}, and goes on with --resume"
