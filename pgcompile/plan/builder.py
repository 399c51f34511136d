"""Builds a plan. Equal computations become one value, numbers are folded, scalars are lined up with vectors."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pgcompile.diagnostics import InternalError
from pgcompile.plan.ops import Operation, operation
from pgcompile.plan.origin import Origin, merged
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
        """The value of an operation, the same for equal computations.

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
        shape = _inferred_shape(row, args, attributes) if shape is None else shape
        axes = _inferred_axes(row, args, attributes) if axes is None else axes
        key = (op, tuple(id(a) for a in args), attributes, shape, axes, fresh)
        if key in self._known:
            self._stamp(self._known[key])
            return self._known[key]
        is_batched = any(a.batched for a in args) if batched is None else batched
        value = Value(op, args, attributes, shape, is_batched, axes, len(self.values), self._section)
        value.per_point = not value.batched and (op == "argument" or any(arg.per_point for arg in args))
        if op == "argument":
            value.may_be_number = not value.batched
        elif row.takes_number and row.fold is not None:
            some = any(arg.may_be_number for arg in args)
            value.may_be_number = some and all(arg.may_be_number or arg.op == "constant" for arg in args)
        if row.noise and isinstance(fresh, tuple):
            value.source = fresh
        self.values.append(value)
        self._known[key] = value
        self._stamp(value)
        return value

    def _stamp(self, value: Value) -> None:
        """Add the origins of the present section; leaves belong to nobody."""
        if value.op not in ("constant", "argument", "attribute"):
            value.origins = merged(value.origins, self._origins, self._whole)

    def as_tensor(self, value: Value) -> Value:
        """An `input` may be given as a bare number, which has no methods."""
        if not value.may_be_number:
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
        """Values made inside belong to these places too, such as the objective that is lowered."""
        before, self._whole = self._whole, origins
        try:
            yield
        finally:
            self._whole = before

    def name(self, value: Value, *hints: str, keep: bool = False) -> Value:
        """Propose names for a value; `keep` gives it a line of its own."""
        if value.op in ("constant", "argument", "attribute"):
            return value
        if value.op == "neg" and value.args[0].op == "add" and keep:
            value = self._with_its_sign(value, *hints)
        value.hints.extend(h for h in hints if h not in value.hints)
        value.keep = value.keep or keep
        return value

    def _with_its_sign(self, value: Value, *hints: str) -> Value:
        """`-(a + b)` as `-a - b` where that costs no operation: a named value keeps the sign of its name.

        A minus sign moves outwards through sums. Where one of them is a number, or is multiplied by one, it is taken
        there; elsewhere the name goes to the sum.
        """
        first, second = value.args[0].args
        for one, other in ((second, first), (first, second)):
            if one.constant is not None or (one.op == "mul" and one.args[0].constant is not None):
                flipped = self._flipped(one)
                a, b = self.align(flipped, other)
                return self.make("sub", (a, b))
        self.name(value.args[0], *(f"minus_{hint}" for hint in hints), keep=True)
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
        if (op, x.op) in _INVERSES:
            return x.args[0]
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
        if op == "sub" and a is b:
            return self.constant(0.0)
        simple = self._simplified(op, a, b)
        if simple is not None:
            return simple
        a, b = self.align(a, b)
        return self.make(op, (a, b))

    def _simplified(self, op: str, a: Value, b: Value) -> Value | None:
        match op, a.constant, b.constant:
            case ("add", 0.0, _):
                return b
            case ("add" | "sub", _, 0.0):
                return a
            case ("sub", 0.0, _):
                return self.unary("neg", b)
            case ("mul", 1.0, _):
                return b
            case ("mul" | "div" | "pow", _, 1.0):
                return a
            case ("mul", -1.0, _):
                return self.unary("neg", b)
            case ("mul" | "div", _, -1.0):
                return self.unary("neg", a)
            case ("maximum" | "minimum", None, float(bound)):
                return self.make("clamp_min" if op == "maximum" else "clamp_max", (a,), (bound,), shape=a.shape)
            case ("maximum" | "minimum", float(), None):
                return self.binary(op, b, a)
            case ("pow", _, 2.0):
                return self.unary("square", a)
            case _:
                pass
        if (op, a.op) in (("sub", "add"), ("div", "mul")) and b in a.args and a.args[0] is not a.args[1]:
            # The noise that a draw was made from: (loc + scale * noise - loc) / scale.
            (rest,) = (arg for arg in a.args if arg is not b)
            if rest.constant is None and (rest.shape, rest.axes, rest.batched) == (a.shape, a.axes, a.batched):
                return rest
        if op == "mul" and a.constant is not None and b.op == "neg":
            return self.binary("mul", self.negated(a), b.args[0])
        if op == "mul" and a.constant is not None and b.op == "mul" and b.args[0].constant is not None:
            return self.binary("mul", self.constant(a.constant * b.args[0].constant), b.args[1])
        if op in ("add", "sub") and _is_negative(b):
            return self.binary("sub" if op == "add" else "add", a, self._flipped(b))
        if op == "add" and _is_negative(a):
            return self.binary("sub", b, self._flipped(a))
        if op == "sub" and a.op == "neg":
            return self.unary("neg", self.binary("add", a.args[0], b))
        if op == "add" and a.op == "neg" and b.op == "neg":
            return self.unary("neg", self.binary("add", a.args[0], b.args[0]))
        if op == "add" and b.op == "neg":
            return self.binary("sub", a, b.args[0])
        if op == "add" and a.op == "neg":
            return self.binary("sub", b, a.args[0])
        if op == "sub" and b.op == "neg":
            return self.binary("add", a, b.args[0])
        if op == "mul" and b.constant is not None and a.constant is None:
            return self.binary("mul", b, a)
        return None

    def _flipped(self, value: Value) -> Value:
        """Minus a value whose sign stands in a number."""
        if value.constant is not None:
            return self.negated(value)
        return self.binary("mul", self.negated(value.args[0]), value.args[1])

    def align(self, a: Value, b: Value) -> tuple[Value, Value]:
        """Two values whose dimensions line up: fewer event dimensions get ones, missing inner draw axes too."""
        rank = max(a.rank, b.rank)
        a, b = self.raise_rank(a, rank), self.raise_rank(b, rank)
        axes = merge_axes((a, b))
        return self.spread_axes(a, axes), self.spread_axes(b, axes)

    def raise_rank(self, x: Value, rank: int) -> Value:
        """With ones appended to the event shape, where leading dimensions would otherwise be mistaken for it."""
        missing = rank - x.rank
        if missing <= 0 or (x.rank == 0 and not x.batched and not x.axes and not x.per_point):
            return x
        return self.make("unsqueeze", (x,), (missing,), shape=(*x.shape, *([1] * missing)))

    def spread_axes(self, x: Value, axes: tuple[Axis, ...]) -> Value:
        """With a one for every axis of `axes` that stands inside one of its own and that it lacks."""
        if not x.axes or axes in (x.axes, x.spread):
            return x
        if x.spread:
            x = x.args[0]
        first = axes.index(x.axes[0])
        missing = tuple(i - first for i, axis in enumerate(axes) if axis not in x.axes and i > first)
        if not missing:
            return x
        spread = self.make("unsqueeze_axes", (x,), missing, shape=x.shape)
        spread.spread = axes
        return spread

    def align_all(self, values: list[Value]) -> list[Value]:
        """Values whose dimensions all line up."""
        rank = max(value.rank for value in values)
        raised = [self.raise_rank(value, rank) for value in values]
        axes = merge_axes(tuple(raised))
        return [self.spread_axes(value, axes) for value in raised]

    def align_axes(self, a: Value, b: Value) -> tuple[Value, Value]:
        """Two values whose draw axes line up; their event dimensions are left alone."""
        axes = merge_axes((a, b))
        return self.spread_axes(a, axes), self.spread_axes(b, axes)

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
        """Whether a value has every dimension of a draw: its axes, the batch if there is one, the event shape."""
        whole = value.shape == shape and value.axes == axes
        return value.constant is None and whole and (value.batched or not self.needs_batch)

    def expand_full(self, value: Value, shape: tuple[int, ...], axes: tuple[Axis, ...], like: Value | None) -> Value:
        """A value repeated over the dimensions of a draw that it lacks.

        Args:
            value: what to repeat.
            shape: event shape of the draw.
            axes: its draw axes.
            like: a value that has all these dimensions, if there is one.
        """
        if self.is_full(value, shape, axes):
            return value
        if value.constant is not None:
            whole = like if like is not None else self._template(shape, axes)
            if value.constant == 0.0 and like is None:
                return whole  # the template is made of zeros
            return self.make("full_like", (whole,), (value.constant,), shape=shape)
        value = self.spread_axes(self.raise_rank(value, len(shape)), axes)
        if self.is_full(value, shape, axes):
            return value
        if like is not None and like is not value:
            return self.make("expand_as", (value, like), shape=shape)
        if value.shape == shape and (value.batched or not self.needs_batch) and not value.axes:
            sizes = tuple(axis.size for axis in axes)
            return self.make("expand_axes", (value,), sizes, shape=shape, axes=axes)
        return self._expand(value, shape, axes)

    def _template(self, shape: tuple[int, ...], axes: tuple[Axis, ...]) -> Value:
        """An expanded scalar with the dimensions of a draw, to make other tensors like."""
        assert self.device is not None
        return self._expand(self.device(), shape, axes)

    def _expand(self, value: Value, shape: tuple[int, ...], axes: tuple[Axis, ...]) -> Value:
        source = self.batch_source
        sources = (source,) if source is not None and not self.sampler else ()
        sizes = (tuple(axis.size for axis in axes), shape)
        return self.make("expand", (value, *sources), sizes, shape=shape, batched=self.needs_batch, axes=axes)

    def noise(
        self, kind: str, shape: tuple[int, ...], axes: tuple[Axis, ...], candidates: list[Value], fresh: object
    ) -> Value:
        """Standard noise with the dimensions of a draw, made like one of the candidates where one has them."""
        like = next((v for v in candidates if self.is_full(v, shape, axes)), None)
        if like is None:
            near = next((v for v in candidates if self._lacks_axes_only(v, shape)), None)
            like = self.expand_full(near, shape, axes, None) if near is not None else self._template(shape, axes)
        return self.make(f"{kind}_like", (like,), shape=shape, fresh=fresh)

    def spread_lead(self, values: list[Value]) -> list[Value]:
        """Values expanded to one another's draw axes and batch: all their dimensions but the last are then equal."""
        axes = merge_axes(tuple(values))
        batched = any(value.batched for value in values)
        if all((value.axes, value.batched) == (axes, batched) for value in values):
            return values
        lined = [self.spread_axes(value, axes) for value in values]
        full = next((v for v in values if (v.axes, v.batched) == (axes, batched)), None)
        if full is None:
            lead = self.make("lead_shape", tuple(lined), shape=(), batched=batched, axes=axes)
            op, like = "expand_lead", self.name(lead, "lead", keep=True)
        else:
            op, like = "expand_but_last", full
        return [
            value
            if (value.axes, value.batched) == (axes, batched)
            else self.make(op, (line, like), shape=value.shape, batched=batched, axes=axes)
            for value, line in zip(values, lined, strict=True)
        ]

    def states(self, kind: str, categories: int, shape: tuple[int, ...], axis: Axis) -> Value:
        """Every value of a finite variable, along an axis of its own.

        Args:
            kind: `boolean`, `category` or `one_hot`.
            categories: of an index.
            shape: event shape of the variable.
            axis: the axis, as long as there are values.
        """
        assert self.device is not None
        source = self.batch_source
        sources = (source,) if source is not None else ()
        base = categories if kind == "category" else 2
        return self.make(
            "states",
            (self.device(), *sources),
            (kind, base, shape),
            shape=shape,
            batched=self.needs_batch,
            axes=(axis,),
        )

    def _lacks_axes_only(self, value: Value, shape: tuple[int, ...]) -> bool:
        return (
            value.constant is None
            and value.shape == shape
            and not value.axes
            and (value.batched or not self.needs_batch)
        )

    @property
    def batch_source(self) -> Value | None:
        """An argument from which the batch shape can be read."""
        return next((v for v in self.values if v.op == "argument" and v.batched), None)

    @property
    def needs_batch(self) -> bool:
        """Whether draws have batch dimensions."""
        return self.sampler or self.batch_source is not None


def _is_negative(value: Value) -> bool:
    """Whether a value is a negative number, or a negative number times something."""
    number = value.args[0].constant if value.op == "mul" else value.constant
    return number is not None and number < 0


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
