"""Sequences of a trained model beside those of the data, as a picture."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pgcompile.program import Program
from pgcompile.syntax.places import python_name
from pgcompile.training.timelines import DRAWS, Timeline, save_timelines, timeline_of

SHOWN = 6
"""Sequences of a picture."""
LONGEST = 2000
"""The most places that are drawn, each in its turn."""


@dataclass(frozen=True)
class Sequence:
    """A generated variable over the places of one index.

    Args:
        name: in Python, as data have it.
        index: its index.
        size: the number of places, where the program says it.
        lengths: the name of the lengths of padded sequences.
        shown: how a place is shown.
    """

    name: str
    index: str
    size: int | None
    lengths: str | None
    shown: Timeline


def sequence_of(program: Program, known: set[str]) -> Sequence | None:
    """The first generated sequence that can be shown, one of the data before others; None where there is none.

    Args:
        program: the program.
        known: names of the data.
    """
    part, model = program.generative, program.analysis.model
    if part is None or any(known.of_data for known in model.indices.ranges.values()):
        return None
    found = []
    for template in part.target_names:
        indices = model.indices.of(template)
        if len(indices) != 1 or template in model.indices.lags:
            continue
        space, own = model.spaces[template], model.indices.ranges[indices[0]]
        shown = timeline_of(space.shape, space.kind)
        if shown is not None:
            found.append(Sequence(python_name(template), own.name, own.size, own.lengths, shown))
    return min(found, key=lambda sequence: sequence.name not in known, default=None)


@torch.no_grad()
def save_sequences(program: Program, model: Any, path: Path, rows: dict[str, Tensor]) -> Path | None:
    """Data, what the model gives back of them, and draws side by side; None where no variable can be shown.

    What is given back are means, given latents drawn from q with the data known: where the sampler can continue data.

    Args:
        program: the program.
        model: a trained model of it.
        path: a PNG file.
        rows: observed variables, by name.
    """
    sequence = sequence_of(program, {*rows})
    if sequence is None or not hasattr(model, "sample"):
        return None
    few = {name: value[:SHOWN] for name, value in rows.items()}
    given = {name: few[name] for name in _conditions(program) if name in few}
    if len(given) < len(_conditions(program)):
        return None
    data = few.get(sequence.name)
    count = sequence.size if data is None else data.shape[1]
    if count is None:
        return None
    parts = {}
    if data is not None:
        parts["data"] = data
        back = _given_back(program, model, sequence.name, {**given, sequence.name: data})
        if back is not None:
            parts["reconstruction"] = back
    lengths = [name for name in inspect.signature(model.sample).parameters if name not in ("shape", "given")]
    count = count if given else min(count, LONGEST)  # what is given has its own number of places
    drawn = model.sample(() if given else (SHOWN,), given, **dict.fromkeys(lengths, count))
    parts[DRAWS] = drawn[sequence.name]
    ends = None if sequence.lengths is None else few.get(sequence.lengths)
    arrays = {caption: value.float().cpu().numpy() for caption, value in parts.items()}
    return save_timelines(arrays, sequence.shown, sequence.index, path, None if ends is None else ends.cpu().numpy())


def save_drawn_sequences(program: Program, drawn: dict[str, np.ndarray], path: Path) -> Path | None:
    """Draws of `sample` as a picture; None where no variable is a sequence that can be shown."""
    if program.generative is None:
        return None
    sequence = sequence_of(program, {*drawn} & _last(program))
    if sequence is None or sequence.name not in drawn:
        return None
    return save_timelines({DRAWS: drawn[sequence.name][:SHOWN]}, sequence.shown, sequence.index, path)


def _last(program: Program) -> set[str]:
    """The variable that everything else stands above."""
    assert program.generative is not None
    return {python_name(name) for name in program.generative.target_names[-1:]}


def _conditions(program: Program) -> list[str]:
    """What the sampler must be given, by name."""
    model = program.analysis.model
    assert program.generative is not None
    names = [model.indices.lags[n].of if n in model.indices.lags else n for n in program.generative.parent_names]
    given = [n for n in names if n not in model.deterministic and n not in program.generative.target_names]
    return list(dict.fromkeys(python_name(n) for n in given if n in model.variables))


def _given_back(program: Program, model: Any, name: str, given: dict[str, Tensor]) -> Tensor | None:
    """Means given latents that are drawn with the data known; None where the model cannot draw these, or has none."""
    assert program.generative is not None
    latents = {python_name(n) for n in program.generative.target_names} - {*given}
    if not latents or not hasattr(model, "sample_mean"):
        return None
    try:
        drawn = model.sample((), given)
        held = {n: value for n, value in drawn.items() if n in latents or (n in given and n != name)}
        found: Tensor = model.sample_mean((), held)[name]
    except (ValueError, NotImplementedError):  # it has no q of a place that looks at the data of that place alone
        return None
    return found
