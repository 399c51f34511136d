"""Logarithms of values that may underflow: of a head that ends in softplus, sigmoid or softmax, the log form is kept.

softplus(x) and sigmoid(x) are 0 in single precision for x below -104, and their logarithms are x there.
"""

from typing import TYPE_CHECKING

from pgcompile.plan.values import Value

if TYPE_CHECKING:
    from pgcompile.plan.builder import Builder

_SHAPED = frozenset(("unsqueeze", "unsqueeze_axes", "unsqueeze_inside", "squeeze", "gather", "index", "item", "select"))
"""Operations that move entries of their first argument, or take some, and leave them as they are."""


def log_form(build: "Builder", x: Value) -> Value | None:
    """log x, made without x where x may underflow; None where no such form is known."""
    match x.op:
        case "softplus":
            raw = build.name(x.args[0], "raw", materialize=True)
            return build.name(build.make("log_softplus", (raw, x)), "log_scale", materialize=True)
        case "sigmoid":
            return build.make("logsigmoid", x.args)
        case "softmax":
            return build.make("log_softmax", x.args)
        case "sqrt":
            inside = log_form(build, x.args[0])
            return None if inside is None else build.binary("mul", build.constant(0.5), inside)
        case "mul" if x.args[0].constant is not None and x.args[0].constant > 0:
            inside = log_form(build, x.args[1])
            return None if inside is None else build.binary("add", build.unary("log", x.args[0]), inside)
        case op if op in _SHAPED and _has_log_form(x.args[0]):
            inside = log_form(build, x.args[0])
            assert inside is not None
            return build.make(op, (inside, *x.args[1:]), x.attributes, shape=x.shape, batched=x.batched, axes=x.axes)
        case _:
            return None


def _has_log_form(x: Value) -> bool:
    return x.op in ("softplus", "sigmoid", "softmax") or (x.op in _SHAPED and _has_log_form(x.args[0]))


def log1p_form(build: "Builder", x: Value) -> Value | None:
    """log(1 + x) where x is minus a sigmoid: log(1 - sigmoid(h)) = log sigmoid(-h)."""
    if x.op != "neg" or x.args[0].op != "sigmoid":
        return None
    return build.make("logsigmoid", (build.unary("neg", x.args[0].args[0]),))
