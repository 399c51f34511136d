"""Functions that expressions may call, with what is known of their results."""

from dataclasses import dataclass

from pgcompile.vocabulary.spaces import contains


@dataclass(frozen=True)
class Function:
    """One function.

    Args:
        name: as it is written.
        op: the plan operation that computes it.
        shape: `elementwise`, `reduce` (over all event dimensions), `last` (over the last one), `keep`
            (along the last one), `binary`, `cat`, `one_hot`, `clamp`; of matrices `square`, `transpose`, `diag`
            (a vector as a diagonal matrix), `outer`; of a net that is one Linear layer `weight` and `bias`.
        lands: kind of the result; None where it follows from the argument's kind.
        differentiable: whether gradients pass.
    """

    name: str
    op: str
    shape: str = "elementwise"
    lands: str | None = "real"
    differentiable: bool = True


_FUNCTIONS = (
    Function("exp", "exp", lands="positive"),
    Function("log", "log"),
    Function("log1p", "log1p"),
    Function("expm1", "expm1"),
    Function("softplus", "softplus", lands="positive"),
    Function("sigmoid", "sigmoid", lands="unit_interval"),
    Function("logit", "logit"),
    Function("tanh", "tanh"),
    Function("sin", "sin"),
    Function("cos", "cos"),
    Function("tan", "tan"),
    Function("erf", "erf"),
    Function("relu", "relu", lands="nonnegative"),
    Function("sqrt", "sqrt", lands=None),
    Function("abs", "abs", lands="nonnegative"),
    Function("square", "square", lands=None),
    Function("round", "round", differentiable=False),
    Function("floor", "floor", differentiable=False),
    Function("sign", "sign", differentiable=False),
    Function("clamp", "clamp", "clamp", lands=None),
    Function("min", "minimum", "binary", lands=None),
    Function("max", "maximum", "binary", lands=None),
    Function("sum", "sum", "reduce", lands=None),
    Function("mean", "mean", "reduce", lands=None),
    Function("softmax", "softmax", "keep", lands="simplex"),
    Function("log_softmax", "log_softmax", "keep"),
    Function("logsumexp", "logsumexp", "last"),
    Function("cat", "cat", "cat", lands=None),
    # A category has no gradient to lose.
    Function("one_hot", "one_hot", "one_hot", lands="one_hot"),
    Function("detach", "detach", lands=None),
    Function("transpose", "transpose", "transpose"),
    Function("inverse", "inverse", "square"),
    Function("cholesky", "cholesky", "square", lands="lower_cholesky"),
    Function("diag", "diag_matrix", "diag"),
    Function("outer", "outer", "outer"),
    Function("weight", "weight", "weight"),
    Function("bias", "bias", "bias"),
)
FUNCTIONS: dict[str, Function] = {function.name: function for function in _FUNCTIONS}


def lands_in(function: Function, kinds: list[str]) -> str:
    """Kind of space of the function's value, from the kinds of its arguments."""
    if function.lands is not None:
        return function.lands
    first = kinds[0]
    if function.name in ("min", "max"):
        for kind in ("boolean", "unit_interval"):
            if all(contains(kind, other) for other in kinds):
                return kind
    match function.name:
        case "sqrt":
            return "positive" if contains("positive", first) else "nonnegative"
        case "square":
            return "positive" if contains("positive", first) else "nonnegative"
        case "sum" | "mean":
            return next((k for k in ("positive", "nonnegative") if contains(k, first)), "real")
        case "detach":
            return first
        case "max":
            return next((k for k in ("positive", "nonnegative") if any(contains(k, x) for x in kinds)), "real")
        case _:
            return next((k for k in ("positive", "nonnegative") if all(contains(k, x) for x in kinds)), "real")
