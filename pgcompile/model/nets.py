"""Nets: pipelines of layers and functions with their sizes, and nets that Python supplies."""

from dataclasses import dataclass, field

from pgcompile.diagnostics import NOWHERE, Span
from pgcompile.model.typed import Typed, TypedMany
from pgcompile.syntax import tree
from pgcompile.vocabulary.layers import Layer, Value
from pgcompile.vocabulary.spaces import Space


@dataclass(frozen=True)
class LayerUse:
    """A layer with its constructor arguments, sizes filled in.

    Args:
        layer: its row.
        arguments: of its constructor.
        inner: the layers that it is made of, if it holds others.
    """

    layer: Layer
    arguments: tuple[tuple[str | None, Value], ...]
    inner: "tuple[LayerUse, ...]" = ()

    @property
    def batch_rank(self) -> int | None:
        """The number of batch dimensions that it takes, None for any number."""
        return self.layer.batch_rank or next((u.batch_rank for u in self.inner if u.batch_rank is not None), None)


@dataclass(frozen=True)
class ModuleSegment:
    """Consecutive layers: one module of the emitted class, under the attribute `attribute`."""

    attribute: str
    layers: tuple[LayerUse, ...]
    input_shape: tuple[int, ...]
    output: Space

    @property
    def batch_rank(self) -> int | None:
        """The number of batch dimensions that it takes, None for any number."""
        return next((use.batch_rank for use in self.layers if use.batch_rank is not None), None)

    @property
    def cell_states(self) -> int:
        """States of a recurrent cell, 0 for other modules."""
        return self.layers[0].layer.cell_states if self.layers else 0


@dataclass(frozen=True)
class FunctionSegment:
    """An elementwise function in a pipeline, such as `Linear(3) >> exp`."""

    function: str


@dataclass(frozen=True)
class NetSegment:
    """Another net in a pipeline."""

    net: str


@dataclass(frozen=True)
class ExprSegment:
    """An expression over the net's inputs, first in its pipeline."""

    expr: tree.Expr


Segment = ModuleSegment | FunctionSegment | NetSegment | ExprSegment
Shapes = tuple[tuple[int, ...], ...]


@dataclass
class Net:
    """A net: declared once, its sizes settled by its first call.

    `segments` and `output` are None until the net is called; it is `copied` where couplings make its layers anew.
    """

    name: str
    inputs: tuple[str, ...] | None
    stages: tuple[tree.Expr, ...]
    span: Span
    input_spaces: tuple[Space, ...] | None = None
    segments: tuple[Segment, ...] | None = None
    output: Typed | TypedMany | None = None
    first_call: Span = NOWHERE
    copied: bool = False
    others: dict[Shapes, tuple[Segment, ...]] = field(default_factory=dict)
    """Its segments for inputs of other shapes that its layers take too, such as more points of a set."""

    def segments_for(self, shapes: Shapes) -> tuple[Segment, ...] | None:
        """The segments for inputs of some shapes."""
        return self.others.get(shapes, self.segments)


def same_layers(a: tuple[Segment, ...], b: tuple[Segment, ...]) -> bool:
    """True if two sizings of a net have the same layers, whatever shapes stand between them."""
    return [_without_shapes(s) for s in a] == [_without_shapes(s) for s in b]


def _without_shapes(segment: Segment) -> object:
    return (segment.attribute, segment.layers) if isinstance(segment, ModuleSegment) else segment


@dataclass(frozen=True)
class ExternNetwork:
    """A net supplied from Python, with its declared results."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[tuple[str | None, Space], ...]
    span: Span
