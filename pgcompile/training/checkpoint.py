"""Checkpoints: safetensors, written atomically, checked before anything is loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from pgcompile.atomic_write import write_atomically
from pgcompile.diagnostics import DataError
from pgcompile.program import Program
from pgcompile.training.prepare import PREFIX, Preparation
from pgcompile.training.state import TrainingState


def save(model: nn.Module, path: Path, prepared: Preparation | None = None) -> Path:
    """Write the model's parameters and buffers; what is shared is written once, under its first name.

    Args:
        model: the model.
        path: the file.
        prepared: what is done to data before the model sees it, kept beside the weights.
    """
    shared = _first_names(model)
    own = model.state_dict()
    return write({name: own[name] for name in dict.fromkeys(shared.values())}, path, prepared)


def save_shown(state: TrainingState, path: Path) -> Path:
    """Write the weights of a training that are shown, and how data is prepared; one process of a team writes."""
    team = state.team
    if team.sharded:
        whole = team.whole_state(state.model)
        return write(whole, path, state.prepared) if team.leads else path
    return save(state.shown, path, state.prepared) if team.leads else path


def write(state: dict[str, Tensor], path: Path, prepared: Preparation | None = None) -> Path:
    """Write tensors by name."""
    state = {name: tensor.detach().contiguous().cpu() for name, tensor in state.items()}
    if prepared is not None:
        state |= {name: tensor.contiguous().cpu() for name, tensor in prepared.state().items()}
    return write_atomically(path, save_tensors(state, metadata={"format": "pt"}))


def trained(program: Program, path: Path, extern: Mapping[str, Any] | None = None) -> tuple[Any, Preparation]:
    """The module of a program with the weights of a checkpoint, for use; and what was done to its data.

    Raises:
        DataError: as `restore`, or an extern part is missing.
    """
    model = program.made(extern)
    prepared = restore(model, path)
    return model.eval(), prepared


def restore(model: nn.Module, path: Path) -> Preparation:
    """Load a checkpoint.

    Returns:
        What was done to data before the model saw it.

    Raises:
        DataError: it is no checkpoint, or of another model; the model is then unchanged.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    try:
        state: dict[str, Any] = load_tensors(path.read_bytes())
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path.name} is not a checkpoint: {error}") from None
    if any(name.startswith("state.model.") for name in state):
        raise DataError(f"{path.name} is a whole run, for --resume; its weights are in model.safetensors")
    prepared = Preparation.of_state(state)
    state = {name: tensor for name, tensor in state.items() if not name.startswith(PREFIX)}
    own = model.state_dict()
    for name, first in _first_names(model).items():
        if first in state:
            state.setdefault(name, state[first])
    wrong = [n for n in own if n not in state or state[n].shape != own[n].shape] + [n for n in state if n not in own]
    if wrong:
        raise DataError(f"{path.name} is of another model: {wrong[0]} does not fit {type(model).__name__}")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:  # a constant of a flow is another one
        reason = " ".join(str(error).split(":", 1)[-1].split())
        raise DataError(f"{path.name} is of another model: {reason}") from None
    return prepared


def _first_names(model: nn.Module) -> dict[str, str]:
    """For each tensor of the state, the first name under which it stands: flows may share transforms."""
    seen: dict[int, str] = {}
    return {name: seen.setdefault(id(value), name) for name, value in model.state_dict(keep_vars=True).items()}
