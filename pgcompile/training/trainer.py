"""`Trainer`: a compiled model, trained as its own lines say."""

import math
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pgcompile.diagnostics import DataError
from pgcompile.plan.names import identifier
from pgcompile.program import NOTHING_TO_OPTIMISE, Program
from pgcompile.training import checkpoint
from pgcompile.training.average import Average
from pgcompile.training.device import autocast, can_fuse, device_of, matmul_precision, scaler
from pgcompile.training.distributed import Team
from pgcompile.training.interrupts import Interrupted, Request, interrupts
from pgcompile.training.journal import Journal
from pgcompile.training.players import Player, arguments_of, players_of, with_schedules
from pgcompile.training.prepare import Preparation, preparation, raw_spaces
from pgcompile.training.rows import Data, ResidentRows, Rows, batches, epoch_order, rows_of
from pgcompile.training.run import Run, restore_run, save_run
from pgcompile.training.settings import Settings

_ASK_EVERY = 10  # steps after which a team asks whether one of it was told to stop
STEPS_WITHOUT_DATA = 100  # of an epoch, where there is nothing to pass over
_LABELS = ("y", "label", "labels", "target", "class")
_RESIDENT = 2 * 2**30  # bytes of data that are moved to the device whole


@dataclass(frozen=True)
class Fitted:
    """What training gave: losses by epoch, and the best epoch by the validation loss, counted from one."""

    training: list[float]
    validation: list[float]
    best: int | None


class Trainer:
    """Trains a model.

    Args:
        model: made by `program.Model(...)`; its class says what is optimised, by what, and how.
        settings: how to train; keywords change single ones.

    Raises:
        DataError: the program optimises nothing, a device cannot be used, or an input is missing.
        TypeError: the model is not of a compiled class.
        ValueError: a setting is not what it can be.

    Example:
        trainer = pgc.Trainer(program.Model(), batch_size=64, device="cpu")
        trainer.fit({"x": x}, epochs=20)
        trainer.evaluate({"x": held_out})
    """

    def __init__(self, model: nn.Module, settings: Settings | None = None, **changes: Any) -> None:
        program = getattr(type(model), "pgc_program", None)
        if not isinstance(program, Program):
            raise TypeError(
                f"{type(model).__name__} is not made by `pgc.compile(...).Model()`; an emitted file trains by its own "
                "`train_step`, or by the script of `pgc compile --train`"
            )
        try:
            self.settings = replace(settings or Settings(), **changes)
        except TypeError as error:
            raise TypeError(str(error).replace("Settings.__init__()", "Trainer")) from None
        self.program: Program = program
        if not program.analysis.model.optimise:
            raise DataError(NOTHING_TO_OPTIMISE)
        self.team = Team.join(self.settings)
        self.device = self.team.device if self.team.size > 1 else device_of(self.settings.device)
        self.model: Any = self.team.spread(model.to(self.device))
        self.scaler = scaler(self.device, self.settings)
        self.prepared = Preparation()
        self.run = Run()
        self._weight = 1.0  # of this process's part of a batch
        self._seen: tuple[Rows | None, Tensor] = None, torch.empty(0, dtype=torch.long)  # what pictures are made from
        self._begin()

    def _begin(self) -> None:
        """Optimisers, compiled losses and the average of the weights."""
        model, settings = self.model, self.settings
        parameters = list(model.parameters())
        if not parameters:
            raise DataError(f"{type(model).__name__} has nothing to learn")
        if settings.patience is not None and len(self.program.analysis.model.optimise) > 1:
            raise DataError("patience goes by one loss, and the program has several: leave it out")
        if settings.patience is not None and settings.validation == 0:
            raise DataError("patience goes by the validation loss, and no rows are held out: give a validation share")
        fused = can_fuse(self.device, parameters) and not (self.team.size > 1 and settings.strategy == "fsdp")
        self.players = players_of(self.program, model, fused=fused)
        for player in self.players:
            if not player.parameters:
                raise DataError(f"{player.line.direction} {player.line.objective} has nothing to learn")
        losses = self.team.losses(model, [p.name for p in self.players])
        for player in self.players:
            loss = losses[player.name]
            if settings.compile is not None:
                loss = torch.compile(loss, fullgraph=True, mode=settings.compile)
            player.loss = loss
        wanted = {name for player in self.players for name in player.arguments}
        variables = self.program.analysis.model.variables
        self.observed = [v for v in variables if identifier(v) in wanted]
        self.inputs = self._inputs(wanted)
        self.averaged = self._averaged()

    # --- what goes in ---

    def _inputs(self, wanted: set[str]) -> dict[str, float]:
        """Values of the inputs that no schedule drives."""
        model = self.program.analysis.model
        known = [t.name for t in model.tensors.values() if t.kind == "input"]
        unknown = sorted(set(self.settings.inputs) - set(known))
        if unknown:
            raise DataError(f"the program has no input {unknown[0]}; it has {', '.join(known) or 'none'}")
        found = {}
        for name in known:
            if identifier(name) not in wanted:
                continue
            if name in self.settings.inputs:
                found[identifier(name)] = float(self.settings.inputs[name])
            elif name not in model.ramps:
                raise DataError(f"the objective needs the input {name}: give it with --input {name}=1")
        return found

    def _given(self, step: int | None) -> dict[str, Tensor]:
        """The inputs at a step, None for after the last; they are tensors, so that a compiled loss is compiled once."""
        driven: dict[str, float] = {}
        if step is None:
            driven = {identifier(n): ramp.end for n, ramp in self.program.analysis.model.ramps.items()}
        elif hasattr(self.model, "inputs_at"):
            driven = self.model.inputs_at(step)
        return {
            name: torch.tensor(float(value), device=self.device) for name, value in {**driven, **self.inputs}.items()
        }

    def _averaged(self) -> Average | None:
        if self.team.sharded:
            if self.settings.ema is not None or hasattr(self.model, "averaged"):
                raise DataError("an average of the weights is not kept of sharded weights: use --strategy ddp")
            return None
        decays = [self.settings.ema, *(player.recipe.ema for player in self.players)]
        decay = next((d for d in decays if d is not None), None)
        return None if decay is None else Average(self.model, decay)

    # --- a step ---

    def step(self, **batch: Any) -> dict[str, Tensor]:
        """One update of every line on one batch.

        Args:
            **batch: observed variables, rows first, and inputs.

        Returns:
            The loss of each line before its update, still on the device.

        Raises:
            DataError: a name is missing or unknown, or there are no rows. Values are not looked at, as that would wait
                for the device: `fit` checks its data.
        """
        self.model.train()
        known = {name for player in self.players for name in player.arguments}
        unknown = sorted(set(batch) - known)
        if unknown:
            raise DataError(f"a step takes {', '.join(sorted(known)) or 'nothing'}, and not {unknown[0]}")
        values = {**self._given(self.run.step), **{name: self._tensor(value) for name, value in batch.items()}}
        missing = sorted(known - set(values))
        if missing:
            raise DataError(f"a step needs {missing[0]}")
        for name in map(identifier, self.observed):
            if values[name].shape[:1] == (0,):
                raise DataError(f"{name} has no rows")
        return self._step(values)

    def _tensor(self, value: Any) -> Tensor:
        """A value on the device, fractions in the precision of the weights."""
        tensor = torch.as_tensor(value, device=self.device)
        weights = next(p for p in self.model.parameters() if p.is_floating_point())
        return tensor.to(weights.dtype) if tensor.is_floating_point() else tensor

    def _step(self, values: dict[str, Any]) -> dict[str, Tensor]:
        losses = {}
        for player in self.players:
            for _ in range(player.recipe.updates):
                losses[player.name] = self._update(player, values)
        for player in self.players:
            if player.schedule is not None:
                player.schedule.step()
        if self.averaged is not None:
            self.averaged.update(self.model)
        self.run.step += 1
        return losses

    def _update(self, player: Player, values: dict[str, Any]) -> Tensor:
        player.optimiser.zero_grad(set_to_none=True)
        given = {name: values[name] for name in player.arguments if name in values}
        total: Tensor | None = None
        with player.alone() if player.others else nullcontext():
            parts = list(self._parts(given))
            for number, (part, share) in enumerate(parts):
                with self.team.last_of(number == len(parts) - 1):
                    with autocast(self.device, self.settings):
                        loss = player.loss(**part)
                    self._guard(player, loss, part)
                    self._backward(loss if share == 1 else loss * share)
                seen = loss.detach() if share == 1 else loss.detach() * share
                total = seen if total is None else total + seen
        assert total is not None
        if self.scaler is not None:
            self.scaler.unscale_(player.optimiser)
        player.clip()
        if self.scaler is not None:
            self.scaler.step(player.optimiser)
            self.scaler.update()
        else:
            player.optimiser.step()
        player.clamp()
        return total

    def _backward(self, loss: Tensor) -> None:
        if self.scaler is not None:
            loss = self.scaler.scale(loss)
        loss.backward()

    def _parts(self, given: dict[str, Any]) -> Iterator[tuple[dict[str, Any], float]]:
        """The batch in parts, with the share of its rows that each has."""
        names = {identifier(name) for name in self.observed}
        rows = {name: value for name, value in given.items() if name in names}
        if self.settings.accumulate == 1 or not rows:
            yield given, self._weight
            return
        rest = {name: value for name, value in given.items() if name not in names}
        chunked = {name: value.chunk(self.settings.accumulate) for name, value in rows.items()}
        total = len(next(iter(rows.values())))
        for pieces in zip(*chunked.values(), strict=True):
            yield {**dict(zip(chunked, pieces, strict=True)), **rest}, self._weight * len(pieces[0]) / total

    def _guard(self, player: Player, loss: Tensor, given: dict[str, Any]) -> None:
        """On the CPU every loss is looked at before it changes a weight; elsewhere that would wait for the device."""
        if self.device.type == "cpu" and not math.isfinite(float(loss.detach())):
            raise self._not_finite(player.name, float(loss.detach()), self.run.step, given)

    @torch.no_grad()
    def _not_finite(self, name: str, value: float, step: int, given: dict[str, Any]) -> DataError:
        """What to tell of a loss that is no number: the terms that are none either."""
        wanted = self._term_arguments()
        guilty = []
        if all(n in given for n in wanted):
            found = self.model.terms(**{n: given[n] for n in wanted})
            guilty = [n for n, v in found.items() if not bool(torch.isfinite(v).all())]
        blamed = f"; the term {', '.join(guilty)} is not finite" if guilty else ""
        epoch = f" of epoch {self.run.epoch + 1}" if self.run.epochs else ""
        return DataError(
            f"{name} became {value} at step {step + 1}{epoch}{blamed}: lower the learning rate, clip the gradient "
            "(clip_norm = 1), or look at the data"
        )

    # --- a run ---

    def fit(
        self,
        data: Data | None = None,
        *,
        epochs: int | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        progress: bool = False,
    ) -> Fitted:
        """Train on data.

        Args:
            data: a file or folder, arrays or tensors by variable, or a `Dataset`; None where nothing is observed.
            epochs: passes over it, instead of those of the settings.
            out: folder for the log and for checkpoints, or None for neither.
            resume: go on with the run in `out`, which ends with the numbers of an uninterrupted one.
            progress: whether to show a bar.

        Raises:
            DataError: the data does not fit, a loss stopped being a number, or there is no run to go on with.
            Interrupted: Ctrl-C or SIGTERM came; the run was saved before.
        """
        folder = None if out is None else Path(out)
        settings = self.settings if epochs is None else replace(self.settings, epochs=epochs)
        if resume and folder is None:
            raise DataError("a run that goes on has a folder: give out")
        rows = self._rows(data)
        train, held = self._split(rows)
        self._seen = rows, held if len(held) else train
        if not resume:
            torch.manual_seed(settings.seed + self.team.rank)
            self.run = Run()
            self.prepared = preparation(settings, rows, train).to(self.device)
        size = max(settings.batch_size, self.team.size)
        steps = max(1, math.ceil(len(train) / size)) if rows is not None else STEPS_WITHOUT_DATA
        self.run.epochs = settings.epochs
        with_schedules(self.players, self.model, steps * settings.epochs)
        if resume:
            assert folder is not None
            restore_run(self, folder / "state.safetensors")
        title = f"training {self.program.class_name}"
        with matmul_precision(settings), interrupts() as request:
            journal = Journal(
                folder if self.team.leads else None,
                title,
                steps * settings.epochs,
                self.run.step,
                progress=progress and self.team.leads,
                tensorboard=settings.tensorboard,
            )
            try:
                self._epochs(rows, train, held, steps, folder, journal, request)
            except torch.OutOfMemoryError:
                raise DataError(
                    f"{self.device} has not enough memory for batches of {settings.batch_size}: make them smaller, or "
                    "take them in parts (accumulate)"
                ) from None
            finally:
                journal.close()
        return Fitted(self.run.training, self.run.validation, self.run.best_epoch)

    def _epochs(
        self,
        rows: Rows | None,
        train: Tensor,
        held: Tensor,
        steps: int,
        out: Path | None,
        journal: Journal,
        request: Request,
    ) -> None:
        run, saved = self.run, time.monotonic()
        while run.epoch < run.epochs and not self._is_patient_no_more():
            readings = _Readings(self, journal, steps)
            for batch in self._batches(rows, train, run.epoch, steps, skip=run.position):
                readings.note(self._step({**batch, **self._given(run.step)}), batch)
                run.position += 1
                journal.step()
                if self.team.size > 1 and run.step % _ASK_EVERY:
                    continue
                if self.team.any_asks(request.number is not None):
                    readings.read()
                    where = self._save_run(out)
                    raise Interrupted(request.number or signal.SIGTERM, where)
                if out is not None and self.team.any_asks(time.monotonic() - saved > self.settings.save_every):
                    readings.read()
                    self._save_run(out)
                    saved = time.monotonic()
            readings.read()
            run.training.append(readings.mean())
            run.epoch, run.position = run.epoch + 1, 0
            run.sum = run.rows = 0.0
            self._validate(rows, held, out, journal)
        self._save_run(out)

    def _batches(self, rows: Rows | None, index: Tensor, epoch: int, steps: int, skip: int) -> Iterator[dict[str, Any]]:
        self.model.train()
        self._weight = 1.0
        if rows is None:
            for _ in range(skip, steps):
                yield {}
            return
        order = epoch_order(index, epoch, self.settings.seed)
        shares = [self.team.share(chunk) for chunk in order.split(max(self.settings.batch_size, self.team.size))]
        shares = [(chunk, weight) for chunk, weight in shares[skip:] if len(chunk)]
        several = batches(rows, [chunk for chunk, _ in shares], self.device, self.settings.workers)
        for batch, (_, self._weight) in zip(several, shares, strict=True):
            yield {identifier(name): value for name, value in self.prepared(batch).items()}

    def _is_patient_no_more(self) -> bool:
        patience, run = self.settings.patience, self.run
        return patience is not None and run.best_epoch is not None and run.epoch - run.best_epoch >= patience

    def _validate(self, rows: Rows | None, held: Tensor, out: Path | None, journal: Journal) -> None:
        """The loss of the rows held out; the best weights are kept."""
        run = self.run
        readings = {"training": run.training[-1]}
        if rows is not None and len(held):
            loss = self._mean_loss(rows, held)
            run.validation.append(loss)
            readings["validation"] = loss
            alone = len(self.players) == 1  # of several players none is best when its own loss is least
            if alone and math.isfinite(loss) and (run.best is None or loss < run.best):
                run.best, run.best_epoch = loss, run.epoch
                if out is not None:
                    self.save(out / "best.safetensors")
        journal.write(run.step, {"epoch": float(run.epoch), **readings})

    @torch.no_grad()
    def _mean_loss(self, rows: Rows, index: Tensor) -> float:
        model, player = self.shown, self.players[0]
        with _evaluating(model):
            total = torch.zeros((), device=self.device, dtype=torch.float64 if self.device.type == "cpu" else None)
            given = self._given(self.run.step)
            for batch in self._in_order(rows, index):
                values = {**batch, **given}
                loss = getattr(model, player.name)(**{name: values[name] for name in player.arguments})
                total = total + loss * _size(batch)
        return self.team.mean(float(total) / len(index))

    def _in_order(self, rows: Rows, index: Tensor) -> Iterator[dict[str, Tensor]]:
        for batch in batches(rows, list(index.split(self.settings.batch_size)), self.device, self.settings.workers):
            yield {identifier(name): value for name, value in self.prepared(batch).items()}

    @property
    def shown(self) -> Any:
        """The model that is evaluated, saved and drawn from: the averaged one, where an average is kept."""
        return self.model if self.averaged is None else self.averaged.module

    # --- data ---

    def _rows(self, data: Data | None) -> Rows | None:
        if not self.observed:
            return None
        if data is None:
            raise DataError(f"the objective observes {', '.join(self.observed)}: give the data with --data")
        spaces = raw_spaces(self.program.analysis.model.spaces, self.settings)
        rows = rows_of(data, self.observed, spaces, frozenset(self.settings.dequantize))
        if isinstance(rows, ResidentRows):
            bytes_held = sum(v.numel() * v.element_size() for v in rows.values.values())
            return rows.to(self.device) if bytes_held < _RESIDENT else rows
        return rows

    def some_rows(self, number: int) -> dict[str, Tensor]:
        """Rows that the last `fit` held out, or else trained on, as the model sees them."""
        rows, index = self._seen
        if rows is None:
            return {}
        return self.prepared({name: value.to(self.device) for name, value in rows.take(index[:number]).items()})

    def labels(self, data: Data | None, number: int) -> Tensor | None:
        """Of the same rows: an array of the file that says what they are, under a name such as `y` or `label`."""
        if not isinstance(data, str | Path) or Path(data).suffix.lower() != ".npz":
            return None
        with np.load(data, allow_pickle=False) as content:
            name = next((n for n in _LABELS if n in content.files and content[n].ndim == 1), None)
            found = None if name is None else content[name]
        rows, index = self._seen
        if found is None or rows is None or len(found) != len(rows) or found.dtype.kind not in "buif":
            return None
        return torch.as_tensor(found)[index[:number]]

    @torch.no_grad()
    def terms_of(self, rows: dict[str, Tensor]) -> dict[str, float]:
        """Every named term on some rows, which are prepared already."""
        model = self.shown
        values = {**{identifier(n): v for n, v in rows.items()}, **self._given(None)}
        with _evaluating(model):
            found = model.terms(**{name: values[name] for name in self._term_arguments()})
        return {name: float(value.float().mean()) for name, value in found.items()}

    def _split(self, rows: Rows | None) -> tuple[Tensor, Tensor]:
        """Numbers of the rows that are trained on, and of those held out."""
        nothing = torch.empty(0, dtype=torch.long)
        if rows is None:
            return nothing, nothing
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(self.settings.seed))
        held = int(len(rows) * self.settings.validation)
        if len(rows) - held < self.team.size:
            raise DataError(f"{len(rows)} rows are too few to hold {self.settings.validation:.0%} of them out")
        return order[: len(rows) - held], order[len(rows) - held :]

    # --- what comes out ---

    def _term_arguments(self) -> tuple[str, ...]:
        return arguments_of(self.program, "terms") if hasattr(self.program.Model, "terms") else ()

    @torch.no_grad()
    def evaluate(self, data: Data | None = None, *, given: Mapping[str, float] | None = None) -> dict[str, float]:
        """The mean of every named term over the data.

        Args:
            data: as for `fit`.
            given: inputs, instead of those of the settings and of the end of their schedules.

        Raises:
            DataError: the data does not fit.
        """
        rows = self._rows(data)
        wanted = self._term_arguments()
        totals: dict[str, Tensor] = {}
        inputs = {**self._given(None), **dict(given or {})}
        model = self.shown
        with _evaluating(model):
            count = 1 if rows is None else len(rows)
            several = [{}] if rows is None else self._in_order(rows, torch.arange(count))
            for batch in several:
                values = {**batch, **inputs}
                found = model.terms(**{name: values[name] for name in wanted})
                for name, value in found.items():
                    totals[name] = totals.get(name, 0) + value.double().mean() * (_size(batch) or 1)
        return {name: float(value) / count for name, value in totals.items()}

    def save(self, path: str | Path) -> Path:
        """Write the weights that are shown, and how data is prepared; one process of a team writes."""
        path = Path(path)
        if self.team.sharded:
            state = self.team.whole_state(self.model)
            return checkpoint.write(state, path, self.prepared) if self.team.leads else path
        return checkpoint.save(self.shown, path, self.prepared) if self.team.leads else path

    def load(self, path: str | Path) -> None:
        """Read weights that `save` wrote.

        Raises:
            DataError: it is no checkpoint, or of another model; nothing is changed then.
        """
        self.prepared = checkpoint.restore(self.model, Path(path)).to(self.device)
        if self.averaged is not None:
            self.averaged.module.load_state_dict(self.model.state_dict())

    def _save_run(self, out: Path | None) -> str:
        """Everything that going on needs."""
        if out is None:
            return "nothing was saved, as no folder was given"
        path = out / "state.safetensors"
        save_run(self, path)
        return f"the run is saved in {out}, and goes on with --resume"


class _Readings:
    """Losses of an epoch, read from the device once in a while."""

    def __init__(self, trainer: Trainer, journal: Journal, steps: int) -> None:
        self.trainer, self.journal = trainer, journal
        self.waiting: list[dict[str, Tensor]] = []
        self.sizes: list[int] = []
        self.batch: dict[str, Any] = {}
        self.every = min(trainer.settings.log_every, steps)
        self.since = time.monotonic()

    def note(self, losses: dict[str, Tensor], batch: dict[str, Any]) -> None:
        """The losses of a step."""
        self.waiting.append(losses)
        self.sizes.append(_size(batch) or 1)
        self.batch = batch
        if len(self.waiting) >= self.every:
            self.read()

    def read(self) -> None:
        """Bring what waits from the device, check it and show it."""
        if not self.waiting:
            return
        trainer, run = self.trainer, self.trainer.run
        names = list(self.waiting[0])
        table = torch.stack([torch.stack([losses[n].float() for n in names]) for losses in self.waiting]).cpu()
        table = trainer.team.mean_of(table)
        bad = (~torch.isfinite(table)).nonzero()
        if len(bad):
            row, column = bad[0].tolist()
            step = run.step - len(self.waiting) + row
            values = {**self.batch, **trainer._given(step)}
            raise trainer._not_finite(names[column], float(table[row, column]), step, values)
        sizes = torch.tensor(self.sizes, dtype=torch.float64)
        run.sum += float((table[:, 0].double() * sizes).sum())
        run.rows += float(sizes.sum())
        means = {name: float(table[:, i].mean()) for i, name in enumerate(names)}
        means |= self._terms()
        rates = {f"lr_{p.name}": float(p.optimiser.param_groups[0]["lr"]) for p in trainer.players if p.schedule}
        now = time.monotonic()
        self.journal.write(run.step, {**means, **rates, "steps_a_second": len(table) / max(now - self.since, 1e-9)})
        self.journal.show(**{name: f"{value:.3f}" for name, value in means.items()})
        self.waiting, self.sizes, self.since = [], [], now

    @torch.no_grad()
    def _terms(self) -> dict[str, float]:
        """Every named term on the last batch, where there are several; the noise of training is left alone."""
        trainer = self.trainer
        if len(trainer.program.analysis.objectives) < 2:
            return {}
        values = {**self.batch, **trainer._given(trainer.run.step)}
        devices = [trainer.device] if trainer.device.type == "cuda" else []
        with torch.random.fork_rng(devices), _evaluating(trainer.model):
            found = trainer.model.terms(**{name: values[name] for name in trainer._term_arguments()})
        return {name: float(value.float().mean()) for name, value in found.items()}

    def mean(self) -> float:
        """The first line's loss over the rows of the epoch."""
        run = self.trainer.run
        return run.sum / run.rows


def _size(batch: Mapping[str, Any]) -> int:
    """How many data points there are; 0 where nothing is observed."""
    return len(next(iter(batch.values()))) if batch else 0


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """The model as it is used after training, for a while."""
    before = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(before)
