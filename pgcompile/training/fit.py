"""A first trainer: minibatches, a validation split, a progress bar, a checkpoint and pictures."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pgcompile.model.values import OptimiseLine
from pgcompile.objective.review import learnables_of
from pgcompile.program import Program
from pgcompile.training import checkpoint
from pgcompile.training.data import DataError, load
from pgcompile.training.pictures import image_shape, save_curves, save_grid
from pgcompile.training.plane import save_plane
from pgcompile.writing import write_atomically

STEPS_WITHOUT_DATA = 100  # of an epoch, where there is nothing to pass over


@dataclass(frozen=True)
class Settings:
    """How to train.

    Args:
        epochs: passes over the data.
        batch_size: examples a step.
        validation: share of the rows held out, the last ones of a seeded shuffle.
        seed: of the initial weights, the split, the order and the noise.
        device: `cpu`, `cuda`, `mps`, or `auto` for the best there is.
        inputs: values of the program's `input`s.
    """

    epochs: int = 50
    batch_size: int = 128
    validation: float = 0.1
    seed: int = 0
    device: str = "auto"
    inputs: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What a run gave: losses by epoch, and the files it wrote."""

    training: list[float]
    validation: list[float]
    terms: dict[str, float]
    files: list[Path]

    def summary(self) -> str:
        """A few lines for the terminal."""
        lines = [f"final loss: {self.training[-1]:.3f} training"]
        if self.validation:
            lines[0] += f", {self.validation[-1]:.3f} validation"
        lines += [f"  {name}: {value:.3f}" for name, value in self.terms.items()]
        return "\n".join([*lines, *(f"wrote {path}" for path in self.files)])


def fit(program: Program, data: Path | None, out: Path, settings: Settings, *, progress: bool = False) -> Result:
    """Train a program on a data file.

    Args:
        program: with one or more `maximize`/`minimize` lines.
        data: `.npz` or `.npy`; None where the objective observes nothing, as when a flow is fitted to a density.
        out: folder for `model.safetensors`, the emitted module, `losses.json`, `loss.png` and `samples.png`.
        settings: how.
        progress: whether to show a progress bar.

    Raises:
        DataError: the data does not fit, an input is missing, or the loss stopped being a number.
    """
    model_values = program.analysis.model
    lines = model_values.optimise
    if not lines:
        raise DataError("the program says nothing to optimise: add `maximize elbo using Adam(lr = 1e-3)`")
    if program.Model.__init__.__code__.co_argcount > 1:
        raise DataError("the program has extern parts: build its Model in Python and train it there")
    torch.manual_seed(settings.seed)
    device = _device(settings.device)
    model = program.Model().to(device)
    wanted, inputs = _arguments(program, settings)
    if wanted and data is None:
        raise DataError(f"the objective observes {', '.join(wanted)}: give the data with --data")
    rows = load(data, wanted, model_values) if data is not None and wanted else {}
    train, held = _split({name: value.to(device) for name, value in rows.items()}, settings)
    steps = [_Step(program, model, line, alone=len(lines) == 1) for line in lines]
    curves: dict[str, list[float]] = {"training": [], "validation": []}
    bar = tqdm(range(settings.epochs), desc=f"training {program.class_name}", unit="epoch", disable=not progress)
    for _ in bar:
        loss = _epoch(model, steps, train, inputs, settings.batch_size)
        curves["training"].append(loss)
        if held:
            curves["validation"].append(_evaluate(model, steps[0], held, inputs, settings.batch_size))
        shown = {"loss": f"{loss:.3f}"}
        if held:
            shown["validation"] = f"{curves['validation'][-1]:.3f}"
        bar.set_postfix(shown)
        if not math.isfinite(loss):
            raise DataError(
                f"the loss became {loss} in epoch {len(curves['training'])}: lower the learning rate or check the data"
            )
    return _finish(program, model, out, curves, held or train, inputs)


class _Step:
    """One optimisation line: its loss, its parameters, its optimiser."""

    def __init__(self, program: Program, model: nn.Module, line: OptimiseLine, *, alone: bool) -> None:
        self.loss = getattr(model, "loss" if alone else f"loss_{line.objective}")
        names = [n for n, _ in model.named_parameters()] if line.wrt is None else _owned(program, model, line)
        chosen = [p for n, p in model.named_parameters() if n in names]
        if not chosen:
            raise DataError(f"{line.direction} {line.objective} has nothing to learn")
        options: dict[str, Any] = dict(line.options)
        self.optimiser: torch.optim.Optimizer = getattr(torch.optim, line.optimiser)(chosen, **options)

    def __call__(self, batch: dict[str, Any]) -> Tensor:
        self.optimiser.zero_grad(set_to_none=True)
        loss: Tensor = self.loss(**batch)
        loss.backward()
        self.optimiser.step()
        return loss.detach()


def _owned(program: Program, model: nn.Module, line: OptimiseLine) -> list[str]:
    """Parameters of the nets, params and distributions that a `wrt` names."""
    values = program.analysis.model
    owners = set(line.wrt or ())
    for factor in values.factors:
        if factor.name in owners or factor.label in owners:
            owners |= learnables_of(factor, values)
    prefixes = {*owners, *(f"free_{name}" for name in owners), *(f"{name}_net" for name in owners)}
    return [name for name, _ in model.named_parameters() if name.split(".")[0] in prefixes]


def _arguments(program: Program, settings: Settings) -> tuple[list[str], dict[str, float]]:
    """Variables that must come from the data, and the inputs given by hand."""
    import inspect

    tensors = program.analysis.model.tensors
    known = {t.name for t in tensors.values() if t.kind == "input"}
    unknown = set(settings.inputs) - known
    if unknown:
        raise DataError(f"the program has no input {min(unknown)}; it has {', '.join(sorted(known)) or 'none'}")
    names: dict[str, None] = {}
    for name, method in inspect.getmembers(program.Model, inspect.isfunction):
        if name == "loss" or name.startswith("loss_"):
            names |= dict.fromkeys(list(inspect.signature(method).parameters)[1:])
    from pgcompile.plan.names import identifier

    inputs = {}
    for name in sorted(known):
        if identifier(name) in names:
            if name not in settings.inputs:
                raise DataError(f"the objective needs the input {name}: give it with --input {name}=1")
            inputs[identifier(name)] = settings.inputs[name]
    return [v for v in program.analysis.model.variables if identifier(v) in names], inputs


def _device(name: str) -> torch.device:
    if name != "auto":
        try:
            device = torch.device(name)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise DataError(f"the device {name} cannot be used: {str(error).splitlines()[0]}") from None
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _split(rows: dict[str, Tensor], settings: Settings) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    if not rows:
        return {}, {}
    total = len(next(iter(rows.values())))
    generator = torch.Generator().manual_seed(settings.seed)
    order = torch.randperm(total, generator=generator)
    held = int(total * settings.validation)
    if total - held < 1:
        raise DataError(f"{total} rows are too few to hold {settings.validation:.0%} of them out")
    train = {name: value[order[: total - held].to(value.device)] for name, value in rows.items()}
    rest = {name: value[order[total - held :].to(value.device)] for name, value in rows.items()}
    return train, rest if held else {}


def _batches(rows: dict[str, Tensor], size: int, *, shuffle: bool) -> Iterator[dict[str, Tensor]]:
    if not rows:
        yield from ({} for _ in range(STEPS_WITHOUT_DATA if shuffle else 1))
        return
    first = next(iter(rows.values()))
    order = (
        torch.randperm(len(first), device=first.device) if shuffle else torch.arange(len(first), device=first.device)
    )
    from pgcompile.plan.names import identifier

    for index in order.split(size):
        yield {identifier(name): value[index] for name, value in rows.items()}


def _epoch(model: nn.Module, steps: list[_Step], rows: dict[str, Tensor], inputs: dict[str, float], size: int) -> float:
    """One pass; losses stay on the device until its end."""
    model.train()
    losses = []
    for batch in _batches(rows, size, shuffle=True):
        taken = [step({**batch, **inputs}) for step in steps]
        losses.append(taken[0] * _size(batch))
    return float(torch.stack(losses).sum()) / _size(rows, len(losses))


def _size(rows: dict[str, Tensor], otherwise: int = 1) -> int:
    """How many data points there are."""
    return len(next(iter(rows.values()))) if rows else otherwise


@torch.no_grad()
def _evaluate(model: nn.Module, step: _Step, rows: dict[str, Tensor], inputs: dict[str, float], size: int) -> float:
    model.eval()
    losses = [
        step.loss(**batch, **inputs) * len(next(iter(batch.values()))) for batch in _batches(rows, size, shuffle=False)
    ]
    return float(torch.stack(losses).sum()) / len(next(iter(rows.values())))


@torch.no_grad()
def _finish(
    program: Program,
    model: Any,
    out: Path,
    curves: dict[str, list[float]],
    rows: dict[str, Tensor],
    inputs: dict[str, float],
) -> Result:
    """Write what the run made."""
    import inspect

    model.eval()
    wanted = list(inspect.signature(model.terms).parameters)
    values = {**next(_batches(rows, _size(rows), shuffle=False)), **inputs}
    terms = {k: float(v.mean()) for k, v in model.terms(**{k: v for k, v in values.items() if k in wanted}).items()}
    files = [
        checkpoint.save(model, out / "model.safetensors"),
        program.write(out / "model.py"),
        write_atomically(out / "losses.json", json.dumps(curves, indent=1).encode()),
        save_curves({name: values for name, values in curves.items() if values}, out / "loss.png"),
    ]
    picture = save_samples(program, model, out / "samples.png", rows)
    return Result(curves["training"], curves["validation"], terms, files + ([picture] if picture else []))


def save_samples(program: Program, model: Any, path: Path, rows: dict[str, Tensor], number: int = 64) -> Path | None:
    """A picture of samples: a grid of images, or points of the plane over the density; None where neither is one."""
    return _grid(program, model, path, rows, number) or save_plane(program, model, path, rows)


def _grid(program: Program, model: Any, path: Path, rows: dict[str, Tensor], number: int) -> Path | None:
    """A grid of sampled images of the first generated variable that can be shown as one."""
    part = program.generative
    if part is None or not hasattr(model, "sample"):
        return None
    spaces = program.analysis.model.spaces
    given = {name: rows[name][:number] for name in part.parents if name in rows}
    if len(given) < len(part.parents):
        return None
    for name in part.targets:
        size = image_shape(spaces[name].shape)
        observed = name in rows
        if size is not None and (observed or not rows):
            sampler = getattr(model, "sample_mean", model.sample)
            drawn = model.sample(() if given else (number,), given)
            latent = {k: v for k, v in drawn.items() if k != name}
            shown = sampler((), latent)[name] if len(latent) == len(drawn) - 1 and latent else drawn[name]
            return save_grid(shown.float().cpu().numpy(), size, path)
    return None
