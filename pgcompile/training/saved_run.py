"""Saving and resuming of a run: weights, optimizers, schedules, noise and place in the data."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors

from pgcompile.atomic_write import write_atomically
from pgcompile.diagnostics import DataError
from pgcompile.training.folder import changes
from pgcompile.training.packing import pack, unpack
from pgcompile.training.prepare import Preparation
from pgcompile.training.state import Run, TrainingState

# What a well-formed file of another make leads to, wherever its parts are used.
_MALFORMED = (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError)


def save_run(state: TrainingState, path: Path) -> None:
    """Write a run; only a whole file ever takes the place of the last one.

    Raises:
        DataError: a weight is no number, the disk is full or cannot be written to; the last file is kept.
    """
    saved: dict[str, Any] = {
        "run": asdict(state.run),
        "lines": _lines(state),
        "fingerprint": state.fingerprint,
        "order": _order(state),
        "model": state.team.whole_state(state.model),
        "optimisers": state.team.whole_optimizers(state.model, state.optimizers),
        "schedules": [p.schedule and _numbers(p.schedule.state_dict()) for p in state.players],
        "averaged": state.averaged and state.averaged.state_dict(),
        "scaler": state.scaler and state.scaler.state_dict(),
        "prepared": state.prepared.state(),
        "noise": state.team.noise(),
    }
    if not state.team.leads:
        return
    broken = not_finite(saved["model"])
    if broken is not None:
        raise DataError(
            f"{broken} is not finite after step {state.run.step}: {path} keeps the weights from before; lower the "
            "learning rate, clip the gradient (clip_norm = 1), or look at the data"
        )
    tensors, text = pack(saved)
    try:
        write_atomically(path, save_tensors(tensors, metadata={"format": "pt", "run": text}))
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); the last checkpoint is kept") from None


def not_finite(weights: dict[str, Any]) -> str | None:
    """The name of a tensor with an entry that is no number; None where there is none."""
    return next((n for n, w in weights.items() if w.is_floating_point() and not bool(w.isfinite().all())), None)


def restore_run(state: TrainingState, path: Path, *, allow_changes: bool = False) -> None:
    """Read a run.

    Raises:
        DataError: there is none, it cannot be read, or it is of another program or longer than the settings. The
            state may then be half restored, and is not to be used.
    """
    if not path.is_file():
        raise DataError(f"there is no run to go on with: {path} is missing")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        saved: Any = unpack(tensors, metadata["run"])
    except (SafetensorError, OSError, RecursionError, *_MALFORMED) as error:
        raise DataError(f"{path.name} is not a run of pgcompile: {error}") from None
    try:
        _compare(state, saved, path, allow_changes)
        _put_back(state, saved)
    except _MALFORMED as error:
        reason = str(error).strip().partition("\n")[0][:120]
        raise DataError(f"{path.name} is not a run that can go on: {type(error).__name__}: {reason}") from None


def _compare(state: TrainingState, saved: Any, path: Path, allow_changes: bool) -> None:
    """Whether a run is of this program, with these settings and data."""
    if saved["lines"] != _lines(state):
        raise DataError(f"{path.name} is a run of another program: {saved['lines']}, and not {_lines(state)}")
    for name, value in _order(state).items():
        if value != (before := saved["order"][name]):
            raise DataError(f"the run had {name} {before}, and goes on with that only: give it again")
    own = state.team.whole_state(state.model)
    wrong = [n for n in own if n not in saved["model"] or saved["model"][n].shape != own[n].shape]
    if wrong:
        raise DataError(f"{path.name} is a run of another program: {wrong[0]} does not fit")
    broken = not_finite(saved["model"])
    if broken is not None:
        raise DataError(f"{path.name} cannot go on: {broken} is not finite")
    differ = changes(saved.get("fingerprint") or state.fingerprint, state.fingerprint)
    if differ and not allow_changes:
        shown = "".join(f"\n  {line}" for line in differ[:12])
        raise DataError(
            f"the run was of another program or of other data; --allow-changes goes on with it all the same:{shown}"
        )


def _put_back(state: TrainingState, saved: Any) -> None:
    """Take everything of a run that fits."""
    epochs = state.run.epochs
    state.run = _progress(saved["run"])
    state.run.epochs = epochs
    state.team.load_model(state.model, saved["model"])
    if not state.team.sharded:
        for player, before in zip(state.players, saved["optimisers"], strict=True):
            _check_optimizer(player.optimizer, before)
    state.team.load_optimizers(state.model, state.optimizers, saved["optimisers"])
    for player, schedule in zip(state.players, saved["schedules"], strict=True):
        if player.schedule is not None and schedule is not None:
            _check_kinds(player.schedule.state_dict(), schedule, "schedule")
            player.schedule.load_state_dict(schedule)
    if state.averaged is not None and saved["averaged"] is not None:
        state.averaged.load_state_dict(saved["averaged"])
    if state.scaler is not None and saved["scaler"]:
        state.scaler.load_state_dict(saved["scaler"])
    state.prepared = Preparation.of_state(saved["prepared"]).to(state.device)
    state.team.restore_noise(saved["noise"])


def _progress(saved: Any) -> Run:
    """How far a run is.

    Raises:
        ValueError: a count is none.
    """
    run = Run(**saved)
    for name in ("step", "epoch", "position", "epochs"):
        if type(value := getattr(run, name)) is not int or value < 0:
            raise ValueError(f"{name} is {value!r}")
    for name in ("training", "validation"):
        if not isinstance(losses := getattr(run, name), list) or not all(isinstance(v, int | float) for v in losses):
            raise ValueError(f"{name} is no list of numbers")
    numbers = (run.sum, run.rows, *(v for v in (run.best, run.best_epoch) if v is not None))
    if not all(isinstance(v, int | float) for v in numbers):
        raise ValueError("a loss is no number")
    return run


def _after_a_step(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The state that an optimizer has after one step, on copies of its parameters: what is saved must be like it."""
    groups = [{**g, "params": [p.detach().clone() for p in g["params"]]} for g in optimizer.param_groups]
    trial: Any = type(optimizer)(groups)  # type: ignore[call-arg]  # every class but this one has defaults
    for group in trial.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    trial.step()
    found: dict[str, Any] = trial.state_dict()
    return found


def _check_optimizer(optimizer: torch.optim.Optimizer, saved: Any) -> None:
    """Whether the state of an optimizer is like its own: torch looks at the next step, or writes past the end.

    Raises:
        ValueError: it is not.
    """
    own = _after_a_step(optimizer)
    # A parameter that no step has reached yet has no state.
    own["state"] = {key: value for key, value in own["state"].items() if key in saved["state"]}
    _check_kinds(own, saved, "optimizer")


def _check_kinds(own: Any, saved: Any, name: str) -> None:
    """Whether every part of a state is of the kind that stands there now.

    Raises:
        ValueError: one is not.
    """
    match own:
        case dict():
            like = isinstance(saved, dict) and own.keys() == saved.keys()
            parts = [(value, saved[key], key) for key, value in own.items()] if like else []
        case list() | tuple():
            like = isinstance(saved, list | tuple) and len(own) == len(saved)
            parts = [(value, saved[i], i) for i, value in enumerate(own)] if like else []
        case torch.Tensor():
            like, parts = isinstance(saved, torch.Tensor) and saved.shape == own.shape, []
        case bool() | str():
            like, parts = type(saved) is type(own), []
        case _:
            like, parts = saved is None or (isinstance(saved, int | float) and not isinstance(saved, bool)), []
    if not like:
        raise ValueError(f"{name} is {saved!r:.60}")
    for value, found, key in parts:
        _check_kinds(value, found, f"{name}.{key}")


def _lines(state: TrainingState) -> list[str]:
    """The optimised lines, by which a run is recognised."""
    return [f"{p.line.direction} {p.line.objective} using {p.line.optimiser}" for p in state.players]


def _order(state: TrainingState) -> dict[str, float]:
    """The settings that determine the order of the rows."""
    settings = state.settings
    return {"batch-size": settings.batch_size, "seed": settings.seed, "validation": settings.validation}


def _numbers(state: dict[str, Any]) -> dict[str, Any]:
    """A schedule's state without its functions, which the program gives."""
    return {name: [None] if name == "lr_lambdas" else value for name, value in state.items()}
