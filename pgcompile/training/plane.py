"""Pictures of two-dimensional variables: samples and data over the density that the model gives."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pgcompile.model.data_spaces import data_names, data_spaces
from pgcompile.model.kinds import kind_of
from pgcompile.program import Program
from pgcompile.training.pictures import Density, save_scatter

_POINTS = 2000


def save_plane(program: Program, model: Any, path: Path, rows: dict[str, Tensor]) -> Path | None:
    """Samples of a variable of the plane over its data and its density; None where there is no such variable.

    Args:
        program: the program.
        model: its module.
        path: a PNG file.
        rows: the data, by variable.
    """
    spaces = data_spaces(program.analysis.model)
    names = [n for n in data_names(program.analysis.model) if n in spaces and spaces[n].shape == (2,)]
    for name in sorted(names, key=lambda n: n not in rows):
        drawn = _drawn(program, model, name, rows)
        if drawn is not None:
            points = rows[name].float().cpu().numpy() if name in rows else None
            return save_scatter(drawn.float().cpu().numpy(), points, path, _density(program, model, name, drawn))
    return None


def _drawn(program: Program, model: Any, name: str, rows: dict[str, Tensor]) -> Tensor | None:
    """Samples of the model, or of an approximation to it that has no parents."""
    part = program.generative
    count = len(rows[name]) if name in rows else _POINTS
    if part is not None and name in part.target_names and not part.parents and hasattr(model, "sample"):
        drawn: Tensor = model.sample((count,))[name]
        return drawn
    for factor in program.analysis.model.factors:
        if factor.targets == (name,) and not factor.parents and kind_of(factor).parametrised:
            sampled: Tensor = model.factor(factor.label)().sample((count,))
            return sampled
    return None


def _density(program: Program, model: Any, name: str, drawn: Tensor) -> Density | None:
    """The density on a grid around the samples, scaled to its largest value; None where the model has none."""
    factors = program.analysis.model.factors
    labels = [f.label for f in factors if not kind_of(f).normalised]
    labels += [named.label for named in program.analysis.model.named]
    labels += [f.label for f in factors if kind_of(f).parametrised]
    wanted = [label for label in labels if label.split("(")[-1] == f"{name})"]
    known = [label for label in wanted if label in program.scored or any(f.label == label for f in factors)]
    if not known:
        return None
    low, high = drawn.quantile(0.005, dim=0), drawn.quantile(0.995, dim=0)
    margin = 0.25 * (high - low)
    x, y = (torch.linspace(float(a), float(b), 200) for a, b in zip(low - margin, high + margin, strict=True))
    points = torch.cartesian_prod(x, y).to(drawn)
    values = model.log_prob_of(known[0], **{name: points}).reshape(200, 200)
    return Density(x.numpy(), y.numpy(), (values - values.max()).exp().T.float().cpu().numpy())
