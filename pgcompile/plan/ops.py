"""The operations of a plan: one row each, with its arity, shape, axes, folding, noise and the name of its value.

A row's shape and axes rules are what `Builder.make` infers with, and what the checker holds every plan against. Where a
rule is None the maker says, because it depends on more than the arguments (a net's output, the shape of a draw).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from pgcompile.diagnostics import InternalError
from pgcompile.plan.values import Attribute, Axis, Value
from pgcompile.vocabulary.functions import COMPARISONS, FUNCTIONS

Shape = tuple[int, ...]
ShapeRule = Callable[[tuple[Value, ...], tuple[Attribute, ...]], Shape]
AxesRule = Callable[[tuple[Value, ...], tuple[Attribute, ...]], tuple[Axis, ...]]

MANY = -1


@dataclass(frozen=True)
class Operation:
    """One operation.

    Args:
        name: as values have it.
        arity: how many arguments it takes; MANY for one or more, a pair for a range.
        shape: the event shape of its value; None where the maker says.
        axes: the axes of its value, "merge" for those of its arguments; None where the maker says.
        fold: its value of numbers.
        noise: whether it draws.
        hint: what a value of it is called where nobody names it.
        takes_number: whether it can take a bare number of Python in the place of a tensor.
        has_lines: whether its value is computed by a statement; leaves are written where they are used.
        cost: how many kernels of torch it starts.
    """

    name: str
    arity: int | tuple[int, int]
    shape: ShapeRule | None = None
    axes: AxesRule | str | None = "merge"
    fold: Callable[..., float] | None = None
    noise: bool = False
    hint: str | None = None
    takes_number: bool = False
    has_lines: bool = True
    cost: int = 1

    def takes(self, count: int) -> bool:
        """True if it can have so many arguments."""
        if self.arity == MANY:
            return count > 0
        low, high = self.arity if isinstance(self.arity, tuple) else (self.arity, self.arity)
        return low <= count <= high


# --- shape rules ---


def broadcast(a: Shape, b: Shape) -> Shape:
    """The broadcast of two event shapes."""
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    padded = (1,) * (len(longer) - len(shorter)) + shorter
    merged = []
    for m, n in zip(longer, padded, strict=True):
        if m != n and 1 not in (m, n):
            raise InternalError(f"shapes {a} and {b} do not line up")
        merged.append(max(m, n))
    return tuple(merged)


def _same(args: tuple[Value, ...], attributes: tuple[Attribute, ...]) -> Shape:
    return args[0].shape


def _second(args: tuple[Value, ...], attributes: tuple[Attribute, ...]) -> Shape:
    return args[1].shape


def _all(args: tuple[Value, ...], attributes: tuple[Attribute, ...]) -> Shape:
    shape: Shape = ()
    for arg in args:
        shape = broadcast(shape, arg.shape)
    return shape


def _scalar(args: tuple[Value, ...], attributes: tuple[Attribute, ...]) -> Shape:
    return ()


def _without_last(args: tuple[Value, ...], attributes: tuple[Attribute, ...]) -> Shape:
    return args[0].shape[:-1]


def _without_moved(args: tuple[Value, ...], attributes: tuple[Attribute, ...]) -> Shape:
    place = attributes[0]
    assert isinstance(place, int)
    at = args[0].rank + place
    return args[0].shape[:at] + args[0].shape[at + 1 :]


def _reduced(args: tuple[Value, ...], attributes: tuple[Attribute, ...]) -> Shape:
    (dims,) = attributes
    assert isinstance(dims, int)
    return args[0].shape[: args[0].rank - dims]


def _reduced_pair(args: tuple[Value, ...], attributes: tuple[Attribute, ...]) -> Shape:
    (dims,) = attributes
    assert isinstance(dims, int)
    whole = _all(args, attributes)
    return whole[: len(whole) - dims]


def _columns(args: tuple[Value, ...], attributes: tuple[Attribute, ...]) -> Shape:
    (count,) = attributes
    assert isinstance(count, int)
    return (*args[0].shape, *([1] * count))


def _with_width(args: tuple[Value, ...], attributes: tuple[Attribute, ...]) -> Shape:
    (width,) = attributes
    assert isinstance(width, int)
    return (*args[0].shape, width)


# --- axes rules ---


def _dropped(args: tuple[Value, ...], attributes: tuple[Attribute, ...]) -> tuple[Axis, ...]:
    at = attributes[0]
    assert isinstance(at, int)
    return args[0].axes[:at] + args[0].axes[at + 1 :]


def _all_dropped(args: tuple[Value, ...], attributes: tuple[Attribute, ...]) -> tuple[Axis, ...]:
    return tuple(axis for at, axis in enumerate(args[0].axes) if at not in attributes)


def _no_axes(args: tuple[Value, ...], attributes: tuple[Attribute, ...]) -> tuple[Axis, ...]:
    return ()


# --- folding ---


_FUNCTION_HINTS = {"sigmoid": "probs", "detach": "detached"}


def _elementwise(name: str, fold: Callable[[float], float] | None = None, hint: str | None = None) -> Operation:
    return Operation(name, 1, _same, fold=fold, hint=hint)


def _pairwise(name: str, fold: Callable[[float, float], float] | None = None, hint: str | None = None) -> Operation:
    return Operation(name, 2, _all, fold=fold, hint=hint)


def _leaf(name: str) -> Operation:
    return Operation(name, 0, None, None, takes_number=True, has_lines=False)


_ROWS = (
    # Leaves.
    _leaf("constant"),
    _leaf("argument"),
    _leaf("attribute"),
    # Elementwise functions of one value: those of the language, and others.
    *(_elementwise(f.op, f.fold, _FUNCTION_HINTS.get(f.op)) for f in FUNCTIONS.values() if f.shape == "elementwise"),
    _elementwise("rsqrt", lambda x: 1.0 / math.sqrt(x)),
    _elementwise("reciprocal", lambda x: 1.0 / x),
    _elementwise("clamp_min"),
    _elementwise("clamp_max"),
    _elementwise("softmax"),
    _elementwise("log_softmax", hint="log_probs"),
    _elementwise("logsigmoid"),
    _elementwise("exp_minus"),
    _elementwise("at_least_tiny"),
    _elementwise("as_double"),
    _elementwise("is_observed", hint="observed"),
    _elementwise("filled"),
    _elementwise("log_ndtr"),
    _elementwise("as_float"),
    _elementwise("log_abs"),
    Operation("log_softplus", 2, _all, cost=3),
    _elementwise("tril"),
    _elementwise("lower_cholesky"),
    _elementwise("positive_definite"),
    Operation("neg", 1, _same, fold=lambda x: -x, takes_number=True),
    Operation("as_tensor", 1, _same, takes_number=True),
    Operation("as_index", 1, _same),
    # Elementwise functions of two values.
    Operation("add", 2, _all, fold=lambda a, b: a + b, hint="total", takes_number=True),
    Operation("sub", 2, _all, fold=lambda a, b: a - b, hint="difference", takes_number=True),
    Operation("mul", 2, _all, fold=lambda a, b: a * b, hint="product", takes_number=True),
    Operation("div", 2, _all, fold=lambda a, b: a / b, hint="ratio", takes_number=True),
    _pairwise("pow", lambda a, b: a**b),
    _pairwise("maximum", max),
    _pairwise("minimum", min),
    _pairwise("xlogy"),
    _pairwise("xlog1py"),
    _pairwise("logaddexp"),
    Operation("inside", 3, _all),
    _pairwise("point"),
    *(_pairwise(name) for name in COMPARISONS),
    _elementwise("as_number"),
    _elementwise("nonzero"),
    Operation("where", 3, _all),
    _elementwise("sort"),
    _elementwise("cumsum"),
    Operation("bernoulli_log_prob", 2, _reduced_pair, hint="log_prob", cost=3),
    Operation("bernoulli_cross_entropy", 2, _reduced_pair, hint="cross_entropy", cost=2),
    # Reductions of event dimensions.
    Operation("sum", 1, _reduced, hint="total"),
    Operation("amin", 1, _reduced),
    Operation("mean", 1, _reduced),
    Operation("sum_keep", 1, lambda args, _: (*args[0].shape[:-1], 1)),
    Operation("logsumexp", 1, _without_last),
    Operation("argmax", 1, _without_last),
    Operation("argmin", 1, _without_last),
    Operation("norm", 1, _scalar),
    # Reductions of axes and of the batch.
    Operation("sum_axis", 1, _same, _dropped),
    Operation("mean_axis", 1, _same, _dropped, hint="average"),
    Operation("mean_axis_keep", 1, _same),
    Operation("from_here", 1, _same, hint="to_come"),
    Operation("logsumexp_axes", 1, _same, _all_dropped),
    Operation("softmax_axis", 1, _scalar),
    Operation("batch_mean", 1, _scalar),
    Operation("batch_sum", 1, _scalar),
    Operation("tensor_mean", 1, _scalar, takes_number=True),
    Operation("tensor_total", 2, _scalar, takes_number=True),
    Operation("divide_by_batch", 2, _scalar),
    Operation("binary_cross_entropy_sum", 2, _scalar, _no_axes, hint="cross_entropy"),
    Operation("cross_entropy_sum", 2, _scalar, _no_axes, hint="cross_entropy"),
    Operation("cross_entropy_mean", 2, _scalar, _no_axes, hint="cross_entropy"),
    # Shapes.
    Operation("unsqueeze", 1, _columns, hint="column"),
    Operation("unsqueeze_row", 1, lambda args, _: (1, *args[0].shape)),
    Operation("unsqueeze_axes", 1, _same, hint="lined"),
    Operation("unsqueeze_inside", 1, _same),
    Operation("squeeze", 1, _without_last),
    Operation("expand", (1, 2), None, None, hint="full"),
    Operation("expand_as", 2),
    Operation("expand_axes", 1, _same, None, hint="full"),
    Operation("expand_lead", 2, _same, None),
    Operation("lead_shape", MANY, _scalar, None),
    Operation("full_like", 1, None),
    Operation("flatten_batch", 1, _same, hint="flat"),
    Operation("unflatten_batch", 2, _same),
    Operation("as_rows", 1, None, _no_axes),
    Operation("cat", MANY, None, hint="joined"),
    Operation("chunk", 1, None, hint="parts"),
    Operation("item", 1, None, cost=0),
    Operation("select", 1, None),
    Operation("index", 2, None),
    Operation("gather", 2, _second, hint="picked"),
    Operation("one_hot", 1, _with_width),
    # Axes of values.
    Operation("states", (1, 2), None, None),
    Operation("grid", 1, None, None, hint="values"),
    Operation("expand_table", (1, 2), None, None, hint="rows"),
    Operation("lift_table", (1, 2), None, None, hint="lifted"),
    Operation("move_to_axis", 1, _without_moved, None),
    Operation("axes_to_last", 1, None, None),
    Operation("axis_inside", 1, _same, None),
    Operation("over_batch", 2, _same, None),
    Operation("other_rows", 2, _same, None),
    Operation("shuffle", 2, _same, cost=3, hint="shuffled"),
    Operation("along", 1, _same, None, cost=0),
    Operation("places", 1, None, None),
    Operation("moved", MANY, None, None, hint="before"),
    Operation("place_count", 0, None, None, takes_number=True, has_lines=False),
    Operation("one_place", 1, _same, None),
    Operation("over_sequence", 1, None, hint="out"),
    Operation("after_past", 1, None, hint="out"),
    Operation("data_weight", 1, None, None, takes_number=True, hint="weight", cost=0),
    Operation("inside_places", 1, None, None, hint="inside"),
    Operation("last_places", 1, None, None, hint="at_end"),
    Operation("first_place", 1, None, None, hint="is_first"),
    # Matrices.
    Operation("linear", (2, 3), None),
    Operation("matmul", 2, None),
    Operation("matrix_vector", 2, lambda args, _: args[0].shape[:-1]),
    Operation("vector_matrix", 2, lambda args, _: args[1].shape[1:]),
    Operation("transpose", 1, lambda args, _: args[0].shape[::-1]),
    _elementwise("inverse"),
    _elementwise("cholesky", hint="tril"),
    _elementwise("cholesky_of_inverse", hint="tril"),
    Operation("diag_matrix", 1, lambda args, _: (*args[0].shape, args[0].shape[-1])),
    Operation("diagonal", 1, _without_last),
    Operation("eye", 1, None, hint="identity"),
    Operation("log_det", 1, _scalar),
    Operation("solve", 2, _second),
    Operation("einsum", MANY, None),
    Operation("reshape", 1, None),
    Operation("permute", 1, None),
    Operation("stack", MANY, None, hint="stacked"),
    Operation("solve_vector", 2, _second, hint="whitened"),
    Operation("solve_matrix", 2, _second),
    # Nets, flows and functions of the runtime library.
    Operation("module", MANY, None, hint="out"),
    Operation("body", 1, None, hint="raw"),
    Operation("add_product", 3, None, hint="total"),
    Operation("layer", 1, None, hint="out"),
    Operation("columns", 1, None, hint="weight", cost=0),
    Operation("over_cells", MANY, None, None, hint="states", cost=4),
    Operation("cell_step", MANY, None, hint="state", cost=8),
    Operation("cell", MANY, None),
    Operation("flow", (1, 2), None),
    Operation("special", MANY, None, None, hint="value"),
    Operation("gradient_penalty", 1, _scalar),
    Operation("extern_log_prob", MANY, _scalar),
    Operation("region", (0, 1000), None, None, hint="loop", cost=0),  # its body costs
    Operation("gradient", MANY, None, None, hint="slope"),
    Operation("jacobian", MANY, None, None, hint="slopes"),
    Operation("placeholder", 0, None, None, has_lines=False),
    Operation("procedure", (0, 1000), None, None, hint="shared"),
    # Draws.
    Operation("randn_like", 1, None, noise=True, hint="noise"),
    Operation("rand_like", 1, None, noise=True, hint="uniform"),
    Operation("exponential_like", 1, None, noise=True, hint="exponential"),
    Operation("standard_gamma", 1, None, noise=True),
    Operation("bernoulli", 1, None, noise=True),
    Operation("poisson", 1, None, noise=True),
    Operation("binomial", 2, None, noise=True),
    Operation("category", 1, None, noise=True),
    Operation("von_mises", 2, None, noise=True),
    Operation("sphere_lack", 1, None, noise=True),
    Operation("multinomial", 1, None, noise=True),
    Operation("counts", 2, None, noise=True),
    Operation("extern_draw", (0, 1000), None, None, noise=True),
)
OPERATIONS: dict[str, Operation] = {row.name: row for row in _ROWS}
LEAVES = frozenset(row.name for row in _ROWS if not row.has_lines)
NOISE = frozenset(row.name for row in _ROWS if row.noise)

# The plan operation of each head of noise in a family's formula, where it takes its parameters directly.
DRAWS = {
    "StandardGamma": "standard_gamma",
    "BernoulliDraw": "bernoulli",
    "PoissonDraw": "poisson",
    "BinomialDraw": "binomial",
    "VonMisesDraw": "von_mises",
}
# Noise that knows no parameter.
STANDARD_NOISE = {"StandardNormal": "randn", "StandardUniform": "rand", "StandardExponential": "exponential"}


def operation(name: str) -> Operation:
    """The row of an operation."""
    found = OPERATIONS.get(name)
    if found is None:
        raise InternalError(f"no row of OPERATIONS for {name}")
    return found


def is_tensor(value: Value) -> bool:
    """True if a value is one tensor, not a shape and not the results of a net with several."""
    match value.op:
        case "lead_shape" | "chunk" | "region":
            return False
        case "procedure":
            return value.attributes[1] == 1
        case "cell":
            return len(value.args) == 2
        case "module":
            return len(value.attributes) == 1
        case _:
            return True
