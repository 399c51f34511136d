"""Forms of values that may underflow or overflow: a head that ends in softplus, exp, sigmoid or softmax keeps its log.

softplus(x) and sigmoid(x) are 0 in single precision for x below -104, and their logarithms are x there; exp(x) is
infinite above 89. A quotient, a logarithm or a gamma function of such a value is made without it, or of the smallest
positive number in its place.
"""

from typing import TYPE_CHECKING

from pgcompile.plan.values import Value

if TYPE_CHECKING:
    from pgcompile.plan.builder import Builder

_SHAPED = frozenset(("unsqueeze", "unsqueeze_axes", "unsqueeze_inside", "squeeze", "gather", "index", "item", "select"))
"""Operations that move entries of their first argument, or take some, and leave them as they are."""
_HEADS = frozenset(("exp", "softplus", "sigmoid", "softmax"))


def unary_form(build: "Builder", op: str, x: Value) -> Value | None:
    """A function of one value that may underflow, made without it; None where it is to be made as it stands."""
    match op:
        case "log":
            return log_form(build, x)
        case "log1p":
            return log1p_form(build, x)
        case "lgamma" if is_head(x):
            # log Gamma(x) = log Gamma(1 + x) - log x, of which only the second is infinite at 0.
            log = build.unary("log", x)
            return build.binary("sub", build.unary("lgamma", build.binary("add", x, build.constant(1.0))), log)
        case _:
            return None


def binary_form(build: "Builder", op: str, a: Value, b: Value) -> Value | None:
    """The same of two values."""
    match op:
        case "xlogy" | "xlog1py":
            form = log_form(build, b) if op == "xlogy" else log1p_form(build, b)
            return None if form is None else build.binary("mul", a, form)  # finite, so that 0 times it is 0
        case "div" if b.op == "exp" and a.op == "exp":
            return build.unary("exp", build.binary("sub", a.args[0], b.args[0]))
        case "div" if _without_detach(b).op == "exp":
            turned = build.make("exp_minus", _without_detach(b).args)
            return build.binary("mul", a, build.unary("detach", turned) if b.op == "detach" else turned)
        case "div" if _without_detach(b).op == "softplus":
            return build.make("div", build.align(a, build.make("at_least_tiny", (b,))))
        case _:
            return None


def _without_detach(x: Value) -> Value:
    return x.args[0] if x.op == "detach" else x


def is_head(x: Value) -> bool:
    """True if a value ends in a function whose logarithm is known without it."""
    return x.op in _HEADS or (x.op in _SHAPED and is_head(x.args[0]))


def log_form(build: "Builder", x: Value) -> Value | None:
    """log x, made without x where x may underflow; None where no such form is known."""
    match x.op:
        case "exp":
            return x.args[0]
        case "softplus":
            raw = build.name(x.args[0], "raw", materialize=True)
            return build.name(build.make("log_softplus", (raw, x)), "log_scale", materialize=True)
        case "sigmoid":
            return build.make("logsigmoid", x.args)
        case "softmax":
            return build.make("log_softmax", x.args)
        case "detach":
            inside = log_form(build, x.args[0])
            return None if inside is None else build.unary("detach", inside)
        case "sqrt" | "square":
            inside = log_form(build, x.args[0])
            factor = build.constant(0.5 if x.op == "sqrt" else 2.0)
            return None if inside is None else build.binary("mul", factor, inside)
        case "sub" if x.args[0].constant == 1:
            return _log_of_complement(build, x.args[1])
        case "mul" if x.args[0].constant is not None and x.args[0].constant > 0:
            inside = log_form(build, x.args[1])
            return None if inside is None else build.binary("add", build.unary("log", x.args[0]), inside)
        case op if op in _SHAPED and is_head(x.args[0]):
            inside = log_form(build, x.args[0])
            assert inside is not None
            return build.make(op, (inside, *x.args[1:]), x.attributes, shape=x.shape, batched=x.batched, axes=x.axes)
        case _:
            return None


def log1p_form(build: "Builder", x: Value) -> Value | None:
    """log(1 + x) where x is minus a sigmoid, or the square of a quotient by a head.

    log(1 - sigmoid(h)) = log sigmoid(-h), and log(1 + v) = softplus(log v).
    """
    if x.op == "neg" and (form := _log_of_complement(build, x.args[0])) is not None:
        return form
    log = _log_of_square(build, x)
    return None if log is None else build.unary("softplus", log)


def _log_of_complement(build: "Builder", x: Value) -> Value | None:
    """log(1 - x) of a sigmoid x, also of some of its entries."""
    if x.op == "sigmoid":
        return build.make("logsigmoid", (build.unary("neg", x.args[0]),))
    if x.op not in (*_SHAPED, "detach"):
        return None
    inside = _log_of_complement(build, x.args[0])
    if inside is None:
        return None
    return build.make(x.op, (inside, *x.args[1:]), x.attributes, shape=x.shape, batched=x.batched, axes=x.axes)


def _log_of_square(build: "Builder", x: Value) -> Value | None:
    """log of `(a / b)^2`, perhaps over or times something positive, where b is a head."""
    if x.op in ("mul", "div"):
        first, second = x.args
        if x.op == "mul" and first.constant is not None:
            first, second = second, first
        log = _log_of_square(build, first)
        if log is None or (second.constant is None and x.op == "mul"):
            return None
        return build.binary("add" if x.op == "mul" else "sub", log, build.unary("log", second))
    if x.op != "square":
        return None
    ratio = x.args[0]
    if ratio.op == "mul" and _without_detach(ratio.args[1]).op == "exp_minus":
        top, log_bottom = ratio.args[0], _without_detach(ratio.args[1]).args[0]
        log_bottom = build.unary("detach", log_bottom) if ratio.args[1].op == "detach" else log_bottom
    elif ratio.op == "div" and ratio.args[1].op == "at_least_tiny":
        bottom = log_form(build, ratio.args[1].args[0])
        assert bottom is not None
        top, log_bottom = ratio.args[0], bottom
    else:
        return None
    log_top = build.make("log_abs", (top,))
    return build.binary("mul", build.constant(2.0), build.binary("sub", log_top, log_bottom))
