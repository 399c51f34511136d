"""The state of a run, written so that it can go on: weights, optimisers, schedules, noise and place in the data."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors

from pgcompile.atomic_write import write_atomically
from pgcompile.diagnostics import DataError
from pgcompile.training.packing import pack, unpack
from pgcompile.training.prepare import Preparation

if TYPE_CHECKING:
    from pgcompile.training.trainer import Trainer


@dataclass
class Run:
    """How far a run is.

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


def save_run(trainer: "Trainer", path: Path) -> None:
    """Write a run; only a whole file ever takes the place of the last one.

    Raises:
        DataError: the disk is full or cannot be written to; the last file is kept.
    """
    state = {
        "run": asdict(trainer.run),
        "lines": _lines(trainer),
        "order": _order(trainer),
        "model": trainer.team.whole_state(trainer.model),
        "optimisers": trainer.team.whole_optimisers(trainer),
        "schedules": [p.schedule and _numbers(p.schedule.state_dict()) for p in trainer.players],
        "averaged": trainer.averaged and trainer.averaged.state_dict(),
        "scaler": trainer.scaler and trainer.scaler.state_dict(),
        "prepared": trainer.prepared.state(),
        "noise": trainer.team.noise(),
    }
    if not trainer.team.leads:
        return
    tensors, text = pack(state)
    try:
        write_atomically(path, save_tensors(tensors, metadata={"format": "pt", "run": text}))
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); the last checkpoint is kept") from None


def restore_run(trainer: "Trainer", path: Path) -> None:
    """Read a run.

    Raises:
        DataError: there is none, it cannot be read, or it is of another program or longer than the settings.
    """
    if not path.is_file():
        raise DataError(f"there is no run to go on with: {path} is missing")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state: Any = unpack(tensors, metadata["run"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise DataError(f"{path.name} is not a run of pgcompile: {error}") from None
    if state["lines"] != _lines(trainer):
        raise DataError(f"{path.name} is a run of another program: {state['lines']}, and not {_lines(trainer)}")
    for name, value in state["order"].items():
        if value != _order(trainer)[name]:
            raise DataError(f"the run had {name} {value}, and goes on with that only: give it again")
    own = trainer.team.whole_state(trainer.model)
    wrong = [n for n in own if n not in state["model"] or state["model"][n].shape != own[n].shape]
    if wrong:
        raise DataError(f"{path.name} is a run of another program: {wrong[0]} does not fit")
    epochs = trainer.run.epochs
    trainer.run = Run(**state["run"])
    trainer.run.epochs = epochs
    trainer.team.load_model(trainer.model, state["model"])
    trainer.team.load_optimisers(trainer, state["optimisers"])
    for player, schedule in zip(trainer.players, state["schedules"], strict=True):
        if player.schedule is not None and schedule is not None:
            player.schedule.load_state_dict(schedule)
    if trainer.averaged is not None and state["averaged"] is not None:
        trainer.averaged.load_state_dict(state["averaged"])
    if trainer.scaler is not None and state["scaler"]:
        trainer.scaler.load_state_dict(state["scaler"])
    trainer.prepared = Preparation.of_state(state["prepared"]).to(trainer.device)
    trainer.team.restore_noise(state["noise"])


def _lines(trainer: "Trainer") -> list[str]:
    """What is optimised, to know a run again."""
    return [f"{p.line.direction} {p.line.objective} using {p.line.optimiser}" for p in trainer.players]


def _order(trainer: "Trainer") -> dict[str, float]:
    """What the order of the rows comes from."""
    settings = trainer.settings
    return {"batch-size": settings.batch_size, "seed": settings.seed, "validation": settings.validation}


def _numbers(state: dict[str, Any]) -> dict[str, Any]:
    """A schedule's state without its functions, which the program gives."""
    return {name: value for name, value in state.items() if name != "lr_lambdas"} | {"lr_lambdas": [None]}
