"""Builds a plan. Equal computations become one value, numbers are folded, scalars are lined up with vectors."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pgcompile.diagnostics import InternalError
from pgcompile.plan.logarithms import binary_form, unary_form
from pgcompile.plan.ops import LEAVES, Operation, operation
from pgcompile.plan.origin import Origin, merged
from pgcompile.plan.simplify import simplified, with_its_sign
from pgcompile.plan.values import Attribute, Axis, Value

# log(exp(x)) is x: a scale kept as its logarithm is not exponentiated and logged again.
_INVERSES = {("log", "exp"), ("exp", "log"), ("logit", "sigmoid"), ("neg", "neg")}


@dataclass
class Builder:
    """The values of one method of the emitted class.

    Args:
        sampler: whether the batch shape is the method's argument `shape`.
        device: makes a value that says device and precision, where no other value does.
        table: makes a constant of the class from its entries and shape.
    """

    sampler: bool = False
    device: Callable[[], Value] | None = None
    table: Callable[[tuple[float, ...], tuple[int, ...]], Value] | None = None
    values: list[Value] = field(default_factory=list)
    _known: dict[tuple[object, ...], Value] = field(default_factory=dict)
    _section: str | None = None
    _origins: tuple[Origin, ...] = ()
    _whole: tuple[Origin, ...] = ()

    # --- creation ---

    def make(
        self,
        op: str,
        args: tuple[Value, ...] = (),
        attributes: tuple[Attribute, ...] = (),
        *,
        shape: tuple[int, ...] | None = None,
        batched: bool | None = None,
        axes: tuple[Axis, ...] | None = None,
        fresh: object = None,
    ) -> Value:
        """The value of an operation, the same for equal computations; the axes of its arguments are lined up.

        Args:
            op: a name of `OPERATIONS`.
            args: what it is computed from.
            attributes: static arguments.
            shape: event shape; by default as the operation's row infers it.
            batched: whether it has the batch dimensions; by default where an argument has.
            axes: its axes; by default as the operation's row infers them.
            fresh: sets values apart that must not be shared, such as two draws.

        Raises:
            InternalError: the operation is not in the table, or cannot have these arguments.
        """
        row = operation(op)
        if not row.takes(len(args)):
            raise InternalError(f"{op} takes no {len(args)} arguments")
        if not row.takes_number:
            args = tuple(self.as_tensor(arg) for arg in args)
        if axes is None and len(args) > 1 and not callable(row.axes):
            merged = merge_axes(args)
            args = tuple(self.insert_axes(arg, merged) for arg in args)
        shape = _inferred_shape(row, args, attributes) if shape is None else shape
        axes = _inferred_axes(row, args, attributes) if axes is None else axes
        key = (op, tuple(id(a) for a in args), attributes, shape, axes, fresh)
        if key in self._known:
            self._stamp(self._known[key])
            return self._known[key]
        is_batched = any(a.batched for a in args) if batched is None else batched
        value = Value(op, args, attributes, shape, is_batched, axes, len(self.values), self._section)
        value.maybe_batched = not value.batched and (op == "argument" or any(arg.maybe_batched for arg in args))
        if op == "argument":
            value.maybe_scalar = not value.batched
        elif row.takes_number and row.fold is not None:
            some = any(arg.maybe_scalar for arg in args)
            value.maybe_scalar = some and all(arg.maybe_scalar or arg.op == "constant" for arg in args)
        if row.noise and isinstance(fresh, tuple):
            value.source = fresh
        self.values.append(value)
        self._known[key] = value
        self._stamp(value)
        return value

    def _stamp(self, value: Value) -> None:
        """Add the origins of the present section; leaves belong to nobody."""
        if value.op not in LEAVES:
            value.origins = merged(value.origins, self._origins, self._whole)

    def as_tensor(self, value: Value) -> Value:
        """An `input` may be given as a bare number, which has no methods."""
        if not value.maybe_scalar:
            return value
        made = self.make("as_tensor", (value,), shape=value.shape)
        return self.name(made, f"{value.attributes[0]}_tensor") if value.op == "argument" else made

    @contextmanager
    def section(self, comment: str, *origins: Origin) -> Iterator[None]:
        """Values made inside belong to this formula, unless an outer section already claimed them.

        Args:
            comment: the formula, as the comment over their lines.
            origins: where it stands in the program; without, that of the section around.
        """
        before = self._section, self._origins
        self._section, self._origins = comment, origins or self._origins
        try:
            yield
        finally:
            self._section, self._origins = before

    @contextmanager
    def within(self, *origins: Origin) -> Iterator[None]:
        """Values made inside belong to these places too, such as the objective that is lowered; the nearest first."""
        before, self._whole = self._whole, (*origins, *self._whole)
        try:
            yield
        finally:
            self._whole = before

    def name(self, value: Value, *hints: str, materialize: bool = False) -> Value:
        """Propose names for a value; `materialize` gives it a line of its own."""
        if value.op in LEAVES:
            return value
        if value.op == "neg" and value.args[0].op == "add" and materialize:
            value = with_its_sign(self, value, *hints)
        value.hints.extend(h for h in hints if h not in value.hints)
        value.materialize = value.materialize or materialize
        return value

    # --- leaves ---

    def constant(self, number: float, text: str | None = None) -> Value:
        """A number; `text` is how its size is written, where that tells more than its digits."""
        attributes = (float(number),) if text is None else (float(number), text)
        return self.make("constant", (), attributes, shape=(), batched=False, axes=())

    def negated(self, constant: Value) -> Value:
        """Minus a number, written in the same way."""
        number, *text = constant.attributes
        assert isinstance(number, float)
        return self.make("constant", (), (-number, *text), shape=(), batched=False, axes=())

    def tensor(self, value: Value) -> Value:
        """A tensor, for functions that take no bare number."""
        if value.constant is None:
            return value
        assert self.device is not None
        zero = self.device()
        return zero if value.constant == 0.0 else self.make("full_like", (zero,), (value.constant,), shape=())

    def argument(self, name: str, shape: tuple[int, ...], *, batched: bool = True) -> Value:
        """An argument of the method."""
        return self.make("argument", (), (name,), shape=shape, batched=batched, axes=())

    def attribute(self, name: str, shape: tuple[int, ...], numbers: tuple[float, ...] | None = None) -> Value:
        """A parameter or buffer of the class; `numbers` are its entries, where they are known for good."""
        value = self.make("attribute", (), (name,), shape=shape, batched=False, axes=())
        value.numbers = numbers
        return value

    # --- elementwise ---

    def unary(self, op: str, x: Value) -> Value:
        """An elementwise function of one value."""
        if x.constant is not None:
            if op == "neg":
                return self.negated(x)
            folded = _fold(operation(op), x.constant)
            if folded is not None:
                return self.constant(folded, _log_text(x.constant) if op == "log" else None)
        if op == "detach" and x.constant is not None:
            return x
        if op in ("square", "abs") and x.op == "neg":
            return self.unary(op, x.args[0])
        if op == "square" and x.op == "norm":
            return self.sum_last(self.unary("square", x.args[0]), x.args[0].rank)  # no root to square
        if (op, x.op) in _INVERSES:
            return x.args[0]
        form = unary_form(self, op, x)
        if form is not None:
            return form
        if op == "neg" and x.op == "sub":
            return self.binary("sub", x.args[1], x.args[0])
        if x.op == "move_to_axis" and op != "detach":
            # Computed before its entries are laid along an axis, it serves those who do not lay them so too.
            inner = self.unary(op, x.args[0])
            return self.make("move_to_axis", (inner,), x.attributes, batched=x.batched, axes=x.axes)
        return self.make(op, (x,))

    def binary(self, op: str, a: Value, b: Value) -> Value:
        """An elementwise function of two values; a scalar is lined up with a vector."""
        if a.constant is not None and b.constant is not None:
            folded = _fold(operation(op), a.constant, b.constant)
            if folded is not None:
                return self.constant(folded)
        if op == "sub" and a is b and a.rank == 0:  # a number would not say how many entries it has
            return self.constant(0.0)
        simple = simplified(self, op, a, b)
        if simple is not None:
            return simple
        form = binary_form(self, op, a, b)
        if form is not None:
            return form
        a, b = self.align(a, b)
        return self.make(op, (a, b))

    def align(self, a: Value, b: Value) -> tuple[Value, Value]:
        """Two values whose dimensions line up: fewer event dimensions get ones, missing inner draw axes too."""
        rank = max(a.rank, b.rank)
        a, b = self.raise_rank(a, rank), self.raise_rank(b, rank)
        axes = merge_axes((a, b))
        return self.insert_axes(a, axes), self.insert_axes(b, axes)

    def raise_rank(self, x: Value, rank: int) -> Value:
        """With ones appended to the event shape, where leading dimensions would otherwise be mistaken for it."""
        missing = rank - x.rank
        if missing <= 0 or (x.rank == 0 and not x.batched and not x.axes and not x.maybe_batched):
            return x
        return self.make("unsqueeze", (x,), (missing,), shape=(*x.shape, *([1] * missing)))

    def insert_axes(self, x: Value, axes: tuple[Axis, ...]) -> Value:
        """With a one for every axis of `axes` that stands inside one of its own and that it lacks."""
        if not x.axes or axes in (x.axes, x.aligned_to):
            return x
        if x.aligned_to:
            x = x.args[0]
        first = axes.index(x.axes[0])
        missing = tuple(i - first for i, axis in enumerate(axes) if axis not in x.axes and i > first)
        if not missing:
            return x
        spread = self.make("unsqueeze_axes", (x,), missing, shape=x.shape)
        spread.aligned_to = axes
        return spread

    def align_all(self, values: list[Value]) -> list[Value]:
        """Values whose dimensions all line up."""
        rank = max(value.rank for value in values)
        raised = [self.raise_rank(value, rank) for value in values]
        axes = merge_axes(tuple(raised))
        return [self.insert_axes(value, axes) for value in raised]

    # --- reductions ---

    def sum_last(self, x: Value, dims: int = 1) -> Value:
        """Sum over the last event dimensions."""
        return self._reduce("sum", x, dims)

    def _reduce(self, op: str, x: Value, dims: int) -> Value:
        if dims == 0:
            return x
        return self.make(op, (x,), (dims,), shape=x.shape[: x.rank - dims])

    def mean_last(self, x: Value, dims: int) -> Value:
        """Mean over the last event dimensions."""
        return self._reduce("mean", x, dims)

    def sum_to_scalar(self, x: Value, shape: tuple[int, ...]) -> Value:
        """Sum a quantity over an event shape, counting the entries that `x` shares between elements."""
        if x.rank == 0:
            return self.binary("mul", self.constant(math.prod(shape)), x)
        if x.rank != len(shape):
            raise InternalError(f"a quantity of shape {x.shape} is no field over {shape}")
        shared = math.prod(n for n, m in zip(shape, x.shape, strict=True) if m == 1 and n != 1)
        return self.binary("mul", self.constant(shared), self._reduce("sum", x, len(shape)))

    # --- draws ---

    def is_full(self, value: Value, shape: tuple[int, ...], axes: tuple[Axis, ...]) -> bool:
        """True if a value has every dimension of a draw: its axes, the batch if there is one, the event shape."""
        whole = value.shape == shape and value.axes == axes
        return value.constant is None and whole and (value.batched or not self.needs_batch)

    @property
    def batch_source(self) -> Value | None:
        """An argument from which the batch shape can be read."""
        return next((v for v in self.values if v.op == "argument" and v.batched), None)

    @property
    def needs_batch(self) -> bool:
        """True if draws have batch dimensions."""
        return self.sampler or self.batch_source is not None


def merge_axes(values: tuple[Value, ...]) -> tuple[Axis, ...]:
    """All draw axes of some values, the innermost (latest) expectation first."""
    return in_order(axis for value in values for axis in value.axes)


def in_order(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """Axes as they stand in a shape, the innermost first."""
    return tuple(sorted(dict.fromkeys(axes), key=lambda axis: axis.order, reverse=True))


def _log_text(number: float) -> str | None:
    """The size of a logarithm as it is written: of a whole number, or of one over it."""
    whole = number if number > 1 else 1 / number
    return f"math.log({round(whole)})" if whole > 1 and whole == round(whole) else None


def _fold(row: Operation, *numbers: float) -> float | None:
    """The value of an operation of numbers, where it has one that is finite."""
    if row.fold is None:
        return None
    try:
        result = row.fold(*numbers)
    except (ValueError, OverflowError, ZeroDivisionError):
        return None
    return result if math.isfinite(result) else None


def _inferred_shape(row: Operation, args: tuple[Value, ...], attributes: tuple[Attribute, ...]) -> tuple[int, ...]:
    if row.shape is None:
        raise InternalError(f"the shape of {row.name} must be given")
    return row.shape(args, attributes)


def _inferred_axes(row: Operation, args: tuple[Value, ...], attributes: tuple[Attribute, ...]) -> tuple[Axis, ...]:
    return row.axes(args, attributes) if callable(row.axes) else merge_axes(args)
