"""`pgc train`: a program and data to a folder with the trained model, its losses and pictures."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pgcompile.atomic_write import write_atomically
from pgcompile.model.data_spaces import data_spaces
from pgcompile.program import Program
from pgcompile.training.folder import check_folder
from pgcompile.training.pictures import image_shape, save_curves, save_grid, save_pairs, save_scatter
from pgcompile.training.plane import save_plane
from pgcompile.training.posteriors import posterior_of, reconstruct
from pgcompile.training.rows import Data
from pgcompile.training.sequence_draws import save_sequences
from pgcompile.training.settings import Settings
from pgcompile.training.trainer import Fitted, Trainer

SHOWN = 512  # rows that pictures are made from


@dataclass(frozen=True)
class Result:
    """Result of a run: losses by epoch, the terms at its end, and the files it wrote."""

    training: list[float]
    validation: list[float]
    terms: dict[str, float]
    files: list[Path]
    shown: int = 0
    """Number of rows that the terms are means over: those held out, or else the first ones."""

    def summary(self) -> str:
        """A few lines for the terminal."""
        lines = [f"final loss: {self.training[-1]:.3f} training"] if self.training else ["no step was left to take"]
        if self.validation:
            lines[0] += f", {self.validation[-1]:.3f} validation"
        if self.terms:
            which = "held out" if self.validation else "of the data"
            lines.append(f"with the final weights, on {self.shown} rows {which}:" if self.shown else "at the end:")
        lines += [f"  {name}: {value:.3f}" for name, value in self.terms.items()]
        return "\n".join([*lines, *(f"wrote {path}" for path in self.files)])


def fit(
    program: Program,
    data: Data | None,
    out: Path,
    settings: Settings,
    *,
    progress: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    allow_changes: bool = False,
    extern: dict[str, Any] | None = None,
) -> Result:
    """Train a program on a data file.

    Args:
        program: with one or more `maximize`/`minimize` lines.
        data: see `Trainer.fit`; None where the objective observes nothing, as when a flow is fitted to a density.
        out: folder for `model.safetensors`, `best.safetensors` (by the validation loss), `state.safetensors` (the run,
            for `resume`), the emitted module, `log.jsonl`, `losses.json` and pictures.
        settings: how.
        progress: whether to show a progress bar.
        resume: go on with the run in `out`.
        overwrite: replace a run that is in `out`.
        allow_changes: go on although the program or the data is another than before.
        extern: the program's extern parts.

    Raises:
        DataError: the data does not fit, an input is missing, the loss stopped being a number, or `out` holds a run.
        Interrupted: Ctrl-C or SIGTERM came; the run was saved before.
    """
    torch.manual_seed(settings.seed)
    trainer = Trainer(program.made(extern), settings)
    if trainer.team.leads:
        check_folder(out, resume=resume, overwrite=overwrite)
    fitted = trainer.fit(data, out=out, resume=resume, allow_changes=allow_changes, progress=progress)
    return _finish(program, trainer, data, out, fitted)


@torch.no_grad()
def _finish(program: Program, trainer: Trainer, data: Data | None, out: Path, fitted: Fitted) -> Result:
    """Write what the run made."""
    curves = {"training": finite(fitted.training), "validation": finite(fitted.validation)}
    files = [trainer.save(out / "model.safetensors")]
    if not trainer.team.leads:
        return Result(fitted.training, fitted.validation, {}, [])
    files += [path for path in (out / "best.safetensors",) if fitted.best is not None]
    files += [
        program.write(out / "model.py"),
        write_atomically(out / "losses.json", json.dumps(curves, indent=1).encode()),
    ]
    if fitted.training:
        drawn = {"training": fitted.training, "validation": fitted.validation}
        files.append(save_curves({name: values for name, values in drawn.items() if values}, out / "loss.png"))
    if trainer.team.sharded:
        return Result(fitted.training, fitted.validation, {}, files)
    model = trainer.shown
    model.eval()
    rows = trainer.some_rows(SHOWN)
    terms = trainer.terms_of(rows)
    for picture in (
        save_samples(program, model, out / "samples.png", rows),
        save_reconstructions(program, model, out / "reconstructions.png", rows),
        save_latents(program, model, out / "latents.png", rows, trainer.labels(data, SHOWN)),
    ):
        files += [picture] if picture else []
    shown = len(next(iter(rows.values()))) if rows else 0
    return Result(fitted.training, fitted.validation, terms, files, shown)


def finite(losses: list[float]) -> list[float | None]:
    """Losses for JSON, which has no word for what is no number."""
    return [loss if math.isfinite(loss) else None for loss in losses]


def save_reconstructions(
    program: Program, model: Any, path: Path, rows: dict[str, Tensor], number: int = 32
) -> Path | None:
    """Images, and below each the mean of what its latent decodes to; None where there are none."""
    if program.analysis.model.indices.carried:
        return None  # those of sequences stand beside the samples
    few = {name: value[:number] for name, value in rows.items()}
    found = reconstruct(program, model, few)
    if found is None:
        return None
    for name, value in found.items():
        size = image_shape(data_spaces(program.analysis.model)[name].shape)
        if size is not None:
            return save_pairs(few[name].float().cpu().numpy(), value.float().cpu().numpy(), size, path)
    return None


def save_latents(
    program: Program, model: Any, path: Path, rows: dict[str, Tensor], labels: Tensor | None
) -> Path | None:
    """Means of the first real latent as points of the plane, along its two widest directions."""
    latents = posterior_of(program, model, rows)
    for value in (latents or {}).values():
        if value.dim() == 2 and min(value.shape) >= 2 and value.is_floating_point():
            points = value.float().cpu()
            if points.shape[-1] > 2:
                centred = points - points.mean(0)
                points = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T
            return save_scatter(points.numpy(), None, path, colours=None if labels is None else labels.cpu().numpy())
    return None


def save_samples(program: Program, model: Any, path: Path, rows: dict[str, Tensor], number: int = 64) -> Path | None:
    """A picture of samples: sequences, a grid of images, or points of the plane over the density; else None."""
    if program.analysis.model.indices.carried:
        return save_sequences(program, model, path, rows)
    return _grid(program, model, path, rows, number) or save_plane(program, model, path, rows)


def _grid(program: Program, model: Any, path: Path, rows: dict[str, Tensor], number: int) -> Path | None:
    """A grid of sampled images of the first generated variable that can be shown as one."""
    part = program.generative
    if part is None or not hasattr(model, "sample") or program.analysis.model.indices.ranges:
        return None  # places of an index are no images
    spaces = data_spaces(program.analysis.model)
    given = {name: rows[name][:number] for name in part.parent_names if name in rows}
    if len(given) < len(part.parents):
        return None
    for name in part.target_names:
        size = image_shape(spaces[name].shape)
        observed = name in rows
        if size is not None and (observed or not rows):
            sampler = getattr(model, "sample_mean", model.sample)
            drawn = model.sample(() if given else (number,), given)
            latent = {k: v for k, v in drawn.items() if k != name}
            shown = sampler((), latent)[name] if len(latent) == len(drawn) - 1 and latent else drawn[name]
            return save_grid(shown.float().cpu().numpy(), size, path)
    return None
