"""Flows: pipelines of transforms with their sizes, from data to the base."""

from dataclasses import dataclass
from typing import Any

from pgcompile.diagnostics import NOWHERE, Span
from pgcompile.model.nets import LayerUse
from pgcompile.syntax import tree


@dataclass(frozen=True)
class CouplingNet:
    """The net of a coupling: layers that it makes for itself, or a net that Python supplies.

    Args:
        name: of the net in the program.
        layers: made anew for each coupling; None for a net that Python supplies.
        inputs: event shape of what it takes.
    """

    name: str
    layers: tuple[LayerUse, ...] | None
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class TransformUse:
    """A transform with its constructor arguments, sizes filled in."""

    word: str
    arguments: tuple[tuple[str | None, Any], ...]


@dataclass(frozen=True)
class RepeatUse:
    """Transforms that are made several times over, each time with weights of their own."""

    count: int
    body: "tuple[FlowStep, ...]"


@dataclass(frozen=True)
class CouplingsUse:
    """Couplings that keep in turn the same two halves, made `count` times over: the halves are never joined."""

    count: int
    couplings: tuple[TransformUse, ...]


@dataclass(frozen=True)
class SplitUse:
    """Half of the channels leave for the base; the others go on."""

    shape: tuple[int, ...]
    body: "tuple[FlowStep, ...]"
    out_shape: tuple[int, ...]


@dataclass(frozen=True)
class FlowReference:
    """Another flow in a pipeline, with the weights that it has there."""

    name: str
    inverted: bool


FlowStep = TransformUse | RepeatUse | CouplingsUse | SplitUse | FlowReference


def referenced_flows(steps: "tuple[FlowStep, ...]") -> list[str]:
    """The flows that steps are made from."""
    found: list[str] = []
    for step in steps:
        if isinstance(step, FlowReference):
            found.append(step.name)
        elif isinstance(step, RepeatUse | SplitUse):
            found += referenced_flows(step.body)
    return found


def supplied_nets(steps: "tuple[FlowStep, ...]") -> list[CouplingNet]:
    """The nets of couplings that Python supplies."""
    found: list[CouplingNet] = []
    for step in steps:
        match step:
            case RepeatUse(body=body) | SplitUse(body=body):
                found += supplied_nets(body)
            case CouplingsUse(couplings=couplings):
                found += supplied_nets(couplings)
            case TransformUse(arguments=arguments):
                found += [v for _, v in arguments if isinstance(v, CouplingNet) and v.layers is None]
    return found


@dataclass(frozen=True)
class SizedFlow:
    """The transforms of a flow for an event shape, from data to the base."""

    steps: tuple[FlowStep, ...]
    shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    context: int
    kind: str | None
    """Kind of space of the data, None for any."""
    out_kind: str | None
    """Kind of space of the base, None for that of the data."""


@dataclass
class FlowNet:
    """A flow: declared once, its sizes settled by its first use; `sized` is None until then."""

    name: str
    inputs: tuple[str, ...]
    stages: "tuple[tree.Expr | tree.Repeat, ...]"
    span: Span
    sized: SizedFlow | None = None
    first_use: Span = NOWHERE
