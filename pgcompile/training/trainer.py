"""`Trainer`: a compiled model, trained as its own lines say."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pgcompile.diagnostics import DataError
from pgcompile.model.data_spaces import totals_of
from pgcompile.model.names import identifier
from pgcompile.program import Program
from pgcompile.training import checkpoint
from pgcompile.training.coupled import check_rows, least_rows, split_rows
from pgcompile.training.device import matmul_precision
from pgcompile.training.distributed import Team
from pgcompile.training.epochs import train_epochs
from pgcompile.training.evaluation import by_identifier, evaluating, mean_terms, prepared_batches
from pgcompile.training.feed import Feed, rows_for
from pgcompile.training.folder import clear_folder, fingerprint, locked
from pgcompile.training.interrupts import interrupts
from pgcompile.training.journal import Journal
from pgcompile.training.optimizer_steps import Player, with_schedules
from pgcompile.training.prepare import Preparation, preparation
from pgcompile.training.rows import Data
from pgcompile.training.saved_run import restore_run
from pgcompile.training.settings import Settings
from pgcompile.training.starting import start
from pgcompile.training.state import Run
from pgcompile.training.updates import take_step


@dataclass(frozen=True)
class Fitted:
    """Result of training: losses by epoch, and the best epoch by the validation loss, counted from one."""

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

    Examples:
        >>> import pgcompile as pgc, torch
        >>> program = pgc.compile(
        ...     "x : real\\nparam m : real\\np(x) = Normal(m, 1)\\nfit = log p(x)\\nmaximize fit using SGD(lr = 0.1)"
        ... )
        >>> trainer = pgc.Trainer(program.Model(), batch_size=64, device="cpu")
        >>> x = 3 + torch.randn(256, generator=torch.Generator().manual_seed(0))
        >>> fitted = trainer.fit({"x": x}, epochs=20)
        >>> len(fitted.training)
        20
        >>> abs(trainer.model.m.item() - 3) < 0.2
        True
        >>> sorted(trainer.evaluate({"x": x}))
        ['fit']
    """

    def __init__(self, model: nn.Module, settings: Settings | None = None, **changes: Any) -> None:
        program = getattr(type(model), "pgc_program", None)
        if not isinstance(program, Program):
            raise TypeError(
                f"{type(model).__name__} is not made by `pgc.compile(...).Model()`; an emitted file trains by its own "
                "`train_step`, or by the script of `pgc compile --train`"
            )
        try:
            chosen = replace(settings or Settings(), **changes)
        except TypeError as error:
            raise TypeError(str(error).replace("Settings.__init__()", "Trainer")) from None
        self.state = start(program, model, chosen)
        self._feed: Feed | None = None  # of the last fit

    @property
    def model(self) -> Any:
        """The model that is trained."""
        return self.state.model

    @property
    def shown(self) -> Any:
        """The model that is evaluated, saved and drawn from: the averaged one, where an average is kept."""
        return self.state.shown

    @property
    def team(self) -> Team:
        """The processes that train together."""
        return self.state.team

    @property
    def players(self) -> list[Player]:
        """An optimizer step for each line of the program."""
        return self.state.players

    @property
    def prepared(self) -> Preparation:
        """Normalisation and dequantisation of the data."""
        return self.state.prepared

    @property
    def run(self) -> Run:
        """Progress of the run."""
        return self.state.run

    # --- training ---

    def step(self, **batch: Any) -> dict[str, Tensor]:
        """One update of every line on one batch.

        Args:
            **batch: observed variables, rows first, and inputs.

        Returns:
            The loss of each line before its update, still on the device.

        Raises:
            DataError: a name is missing or unknown, or there are no rows. Values are not looked at, as that would wait
                for the device: `fit` checks its data.

        Examples:
            >>> import pgcompile as pgc, torch
            >>> program = pgc.compile("x : real\\nparam m : real\\np(x) = Normal(m, 1)\\nfit = log p(x)\\nmaximize fit")
            >>> trainer = pgc.Trainer(program.Model(), device="cpu")
            >>> losses = trainer.step(x=torch.randn(16))
            >>> sorted(losses)
            ['loss']
        """
        state = self.state
        state.model.train()
        known = {name for player in state.players for name in player.arguments}
        unknown = sorted(set(batch) - known)
        if unknown:
            raise DataError(f"a step takes {', '.join(sorted(known)) or 'nothing'}, and not {unknown[0]}")
        values = {**state.inputs_at(state.run.step), **{name: self._tensor(value) for name, value in batch.items()}}
        missing = sorted(known - set(values) - {*map(identifier, totals_of(state.program.analysis.model))})
        if missing:
            raise DataError(f"a step needs {missing[0]}")
        for name in map(identifier, state.observed):
            if values[name].shape[:1] == (0,):
                raise DataError(f"{name} has no rows")
        return take_step(state, values)

    def _tensor(self, value: Any) -> Tensor:
        """A value on the device, fractions in the precision of the weights."""
        tensor = torch.as_tensor(value, device=self.state.device)
        weights = next(p for p in self.model.parameters() if p.is_floating_point())
        return tensor.to(weights.dtype) if tensor.is_floating_point() else tensor

    def fit(
        self,
        data: Data | None = None,
        *,
        epochs: int | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        allow_changes: bool = False,
        progress: bool = False,
    ) -> Fitted:
        """Train on data.

        Args:
            data: a file or folder, arrays or tensors by variable, or a `Dataset`; None where nothing is observed.
            epochs: passes over it, instead of those of the settings.
            out: folder for the log and for checkpoints, or None for neither.
            resume: go on with the run in `out`, which ends with the numbers of an uninterrupted one.
            allow_changes: go on although the program or the data is another than before.
            progress: whether to show a bar.

        Returns:
            The losses by epoch.

        Raises:
            DataError: the data does not fit, a loss stopped being a number, or there is no run to go on with.
            Interrupted: Ctrl-C or SIGTERM came; the run was saved before.
        """
        folder = None if out is None else Path(out)
        state = self.state
        settings = state.settings if epochs is None else replace(state.settings, epochs=epochs)
        if resume and folder is None:
            raise DataError("a run that goes on has a folder: give out")
        feed = self._feed = Feed(state, rows_for(state, data))
        state.count_rows(len(feed.train))
        alone = locked(folder) if folder is not None and state.team.leads else nullcontext()
        with alone, matmul_precision(settings), interrupts() as request:
            if folder is not None and state.team.leads:
                clear_folder(folder, resume=resume)
            self._start_run(feed, settings, folder if resume else None, allow_changes=allow_changes)
            journal = Journal(
                folder if state.team.leads else None,
                f"training {state.program.class_name}",
                feed.steps * settings.epochs,
                state.run.step,
                progress=progress and state.team.leads,
                tensorboard=settings.tensorboard,
            )
            try:
                train_epochs(state, feed, folder, journal, request)
            except torch.OutOfMemoryError:
                raise DataError(
                    f"{state.device} has not enough memory for batches of {settings.batch_size}: make them smaller, or "
                    "take them in parts (accumulate)"
                ) from None
            finally:
                journal.close()
        return Fitted(state.run.training, state.run.validation, state.run.best_epoch)

    def _start_run(self, feed: Feed, settings: Settings, resumed: Path | None, *, allow_changes: bool) -> None:
        """A new run, or the one that is saved in the folder `resumed`."""
        state = self.state
        if resumed is None:
            torch.manual_seed(settings.seed + state.team.rank)
            state.run = Run()
            state.prepared = preparation(settings, feed.rows, feed.train).to(state.device)
        state.run.epochs = settings.epochs
        state.fingerprint = fingerprint(state.program.formatted, feed.rows)
        with_schedules(state.players, state.model, feed.steps * settings.epochs)
        if resumed is not None:
            restore_run(state, resumed / "state.safetensors", allow_changes=allow_changes)

    # --- results ---

    def some_rows(self, number: int) -> dict[str, Tensor]:
        """Rows that the last `fit` held out, or else trained on, as the model sees them."""
        return {} if self._feed is None else self._feed.some(number)

    def labels(self, data: Data | None, number: int) -> Tensor | None:
        """Labels of the same rows: an array of the `.npz` file under a name such as `y` or `label`."""
        return None if self._feed is None else self._feed.labels(data, number)

    @torch.no_grad()
    def terms_of(self, rows: dict[str, Tensor]) -> dict[str, float]:
        """Every named term on some rows, which are prepared already."""
        model = self.shown
        values = {**by_identifier(rows), **self.state.inputs_at(None)}
        with evaluating(model):
            found = self.state.terms(model, values)
        return {name: float(value.float().mean()) for name, value in found.items()}

    def evaluate(self, data: Data | None = None, *, given: Mapping[str, float] | None = None) -> dict[str, float]:
        """The mean of every named term over the data.

        Args:
            data: as for `fit`.
            given: inputs, instead of those of the settings and of the end of their schedules.

        Returns:
            The means, by the names of the terms.

        Raises:
            DataError: the data does not fit.
        """
        state, model = self.state, self.shown
        rows = rows_for(state, data)
        totals = state.totals(len(rows)) if rows is not None else {}
        inputs = {**state.inputs_at(None), **totals, **dict(given or {})}

        def terms(batch: dict[str, Tensor]) -> Mapping[str, Tensor]:
            return state.terms(model, {**by_identifier(batch), **inputs})

        with evaluating(model):
            if rows is None:
                return mean_terms([{}], terms)
            check_rows(state.program, len(rows), "row")
            chunks = split_rows(torch.arange(len(rows)), state.settings.batch_size, least_rows(state.program))
            several = prepared_batches(rows, chunks, state.prepared, state.device, state.settings.workers)
            return mean_terms(several, terms)

    # --- checkpoints ---

    def save(self, path: str | Path) -> Path:
        """Write the weights that are shown, and how data is prepared; one process of a team writes."""
        return checkpoint.save_shown(self.state, Path(path))

    def load(self, path: str | Path) -> None:
        """Read weights that `save` wrote.

        Raises:
            DataError: it is no checkpoint, or of another model; nothing is changed then.
        """
        state = self.state
        state.prepared = checkpoint.restore(state.model, Path(path)).to(state.device)
        if state.averaged is not None:
            state.averaged.module.load_state_dict(state.model.state_dict())
