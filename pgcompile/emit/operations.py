"""How each plan operation is written in PyTorch."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from pgcompile.diagnostics import InternalError
from pgcompile.plan.values import Attribute, Value

ADD, MULTIPLY, UNARY, ATOM = 1, 2, 3, 4

_METHODS = frozenset(
    "exp log log1p expm1 sigmoid tanh sin cos tan sqrt rsqrt abs square reciprocal lgamma digamma round floor sign erf "
    "logit relu detach".split()
)
_FUNCTIONS = {
    "maximum": "torch.maximum",
    "minimum": "torch.minimum",
    "xlogy": "torch.xlogy",
    "logaddexp": "torch.logaddexp",
    "xlog1py": "torch.special.xlog1py",
    "softplus": "F.softplus",
    "bernoulli": "torch.bernoulli",
    "poisson": "torch.poisson",
    "cholesky": "torch.linalg.cholesky",
    "randn_like": "torch.randn_like",
    "rand_like": "torch.rand_like",
    "linear": "F.linear",
}
_SPECIAL = {
    "category": "draw_category",
    "von_mises": "draw_von_mises",
    "standard_gamma": "standard_gamma",
    "binomial": "draw_binomial",
    "multinomial": "draw_multinomial",
    "lower_cholesky": "lower_cholesky",
    "positive_definite": "positive_definite",
}
_INFIX = {
    "add": ("+", ADD),
    "sub": ("-", ADD),
    "mul": ("*", MULTIPLY),
    "div": ("/", MULTIPLY),
    "matmul": ("@", MULTIPLY),
}


@dataclass(frozen=True)
class Text:
    """Source text and how tightly it binds."""

    text: str
    strength: int = ATOM

    def at(self, strength: int) -> str:
        """The text, in brackets where it binds looser than asked."""
        return self.text if self.strength >= strength else f"({self.text})"


class Writer:
    """Writes one operation; remembers which special functions it used.

    Args:
        rename: Python name of a variable or attribute of the program.
        use: called with the name of every special function.
    """

    def __init__(self, rename: Callable[[str], str], use: Callable[[str], None]) -> None:
        self.rename = rename
        self.use = use

    def write(self, value: Value, args: list[Text]) -> Text:
        """Source of a value from the sources of its arguments."""
        op = value.op
        if op in _METHODS:
            return Text(f"{args[0].at(ATOM)}.{op}()")
        if op in _FUNCTIONS:
            return Text(f"{_FUNCTIONS[op]}({', '.join(a.text for a in args)})")
        if op in _INFIX:
            return self._infix(op, args)
        if op in _SPECIAL:
            self.use(_SPECIAL[op])
            more = [str(a) for a in value.attributes]
            return Text(f"{_SPECIAL[op]}({', '.join([a.text for a in args] + more)})")
        handler = getattr(self, f"_{op}", None)
        if handler is None:
            raise InternalError(f"no source for the operation {op}")
        written: Text = handler(value, args)
        return written

    def _infix(self, op: str, args: list[Text]) -> Text:
        sign, strength = _INFIX[op]
        right = strength if op == "add" else strength + 1
        return Text(f"{args[0].at(strength)} {sign} {args[1].at(right)}", strength)

    # --- leaves ---

    def _constant(self, value: Value, args: list[Text]) -> Text:
        number = float(value.attributes[0])  # type: ignore[arg-type]
        return Text(number_text(number), ATOM if number >= 0 else UNARY)

    def _argument(self, value: Value, args: list[Text]) -> Text:
        return Text(self.rename(str(value.attributes[0])))

    def _attribute(self, value: Value, args: list[Text]) -> Text:
        return Text(f"self.{self.rename(str(value.attributes[0]))}")

    # --- elementwise ---

    def _neg(self, value: Value, args: list[Text]) -> Text:
        return Text(f"-{args[0].at(UNARY)}", UNARY)

    def _pow(self, value: Value, args: list[Text]) -> Text:
        if value.args[0].constant is not None:
            return Text(f"torch.pow({args[0].text}, {args[1].text})")
        return Text(f"{args[0].at(ATOM)}.pow({args[1].text})")

    def _as_tensor(self, value: Value, args: list[Text]) -> Text:
        return Text(f"torch.as_tensor({args[0].text})")

    def _clamp_min(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.clamp(min={number_text(_float(value.attributes[0]))})")

    def _clamp_max(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.clamp(max={number_text(_float(value.attributes[0]))})")

    def _binary_cross_entropy(self, value: Value, args: list[Text]) -> Text:
        return Text(f'F.binary_cross_entropy_with_logits({args[0].text}, {args[1].text}, reduction="none")')

    def _binary_cross_entropy_sum(self, value: Value, args: list[Text]) -> Text:
        return Text(f'F.binary_cross_entropy_with_logits({args[0].text}, {args[1].text}, reduction="sum")')

    def _cross_entropy_sum(self, value: Value, args: list[Text]) -> Text:
        return Text(f'F.cross_entropy({self._flat(value, args)}, reduction="sum")')

    def _cross_entropy_mean(self, value: Value, args: list[Text]) -> Text:
        return Text(f"F.cross_entropy({self._flat(value, args)})")

    def _flat(self, value: Value, args: list[Text]) -> str:
        return f"torch.atleast_2d({args[0].text}).flatten(0, -2), {args[1].at(ATOM)}.flatten()"

    def _divide_by_batch(self, value: Value, args: list[Text]) -> Text:
        size = f"{batch_shape(args[1].at(ATOM), _int(value.attributes[0]))}.numel()"
        return Text(f"{args[0].at(MULTIPLY)} / {size}", MULTIPLY)

    def _tensor_mean(self, value: Value, args: list[Text]) -> Text:
        return Text(f"torch.as_tensor({args[0].text}).mean()")

    def _tensor_total(self, value: Value, args: list[Text]) -> Text:
        shape = batch_shape(args[1].at(ATOM), _int(value.attributes[0]))
        return Text(f"torch.as_tensor({args[0].text}).expand({shape}).sum()")

    def _flow(self, value: Value, args: list[Text]) -> Text:
        call = f"self.{self.rename(str(value.attributes[0]))}{'.inverse' if value.attributes[1] else ''}"
        return Text(f"{call}({', '.join(a.text for a in args)})")

    def _special(self, value: Value, args: list[Text]) -> Text:
        name, *more = (str(a) for a in value.attributes)
        self.use(name)
        return Text(f"{name}({', '.join([a.text for a in args] + more)})")

    def _gradient_penalty(self, value: Value, args: list[Text]) -> Text:
        module, rank = value.attributes
        self.use("gradient_penalty")
        return Text(f"gradient_penalty(self.{self.rename(str(module))}, {args[0].text}, {rank})")

    def _inside(self, value: Value, args: list[Text]) -> Text:
        x, low, high = (a.at(MULTIPLY) for a in args)
        return Text(f"torch.where(({x} < {low}) | ({x} > {high}), -torch.inf, 0.0)")

    def _exponential_like(self, value: Value, args: list[Text]) -> Text:
        return Text(f"-torch.log1p(-torch.rand_like({args[0].text}))", UNARY)

    def _full_like(self, value: Value, args: list[Text]) -> Text:
        return Text(f"torch.full_like({args[0].text}, {number_text(_float(value.attributes[0]))})")

    # --- reductions ---

    def _sum(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.sum({_dims(value.attributes[0])})")

    def _mean(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.mean({_dims(value.attributes[0])})")

    def _sum_keep(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.sum(-1, keepdim=True)")

    def _logsumexp_axis(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.logsumexp({value.attributes[0]})")

    def _softmax_axis(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.softmax({value.attributes[0]})")

    def _over_batch(self, value: Value, args: list[Text]) -> Text:
        self.use("over_batch")
        return Text(f"over_batch({args[0].text}, {value.attributes[0]})")

    def _move_to_axis(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.movedim({value.attributes[0]}, {value.attributes[1]})")

    def _spread_table(self, value: Value, args: list[Text]) -> Text:
        batch = batch_shape(args[1].at(ATOM), value.args[1].rank) if len(args) > 1 else "()"
        self.use("expand_rows")
        return Text(f"expand_rows({args[0].text}, {batch})")

    def _lift_table(self, value: Value, args: list[Text]) -> Text:
        rank = value.args[0].rank - 1
        batch = batch_shape(args[1].at(ATOM), value.args[1].rank) if len(args) > 1 else "()"
        ones = f"*(1 for _ in {batch})"
        sizes = ", ".join(["-1", ones, *(str(n) for n in value.shape)]) if rank or len(args) > 1 else "-1"
        return Text(f"{args[0].at(ATOM)}.reshape({sizes})")

    def _axis_to_last(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.movedim({value.attributes[0]}, -1)")

    def _axis_inside(self, value: Value, args: list[Text]) -> Text:
        at, rank = value.attributes
        return Text(f"{args[0].at(ATOM)}.movedim({at}, {-1 - _int(rank)})")

    def _unsqueeze_inside(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.unsqueeze({-1 - _int(value.attributes[0])})")

    def _as_rows(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.reshape(-1, {value.attributes[0]})")

    def _norm(self, value: Value, args: list[Text]) -> Text:
        return Text(f"torch.linalg.vector_norm({args[0].text}, dim={_dims(value.attributes[0])})")

    def _sum_axis(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.sum({value.attributes[0]})")

    def _mean_axis_keep(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.mean({value.attributes[0]}, keepdim=True)")

    def _states(self, value: Value, args: list[Text]) -> Text:
        kind, base, shape = value.attributes
        assert isinstance(shape, tuple)
        batch = batch_shape(args[1].at(ATOM), value.args[1].rank) if len(args) > 1 else "()"
        name = "one_hot_states" if kind == "one_hot" else "every_state"
        self.use(name)
        if kind == "one_hot":
            return Text(f"{name}({args[0].text}, {shape[0]}, {batch})")
        index = ", index=True" if kind == "category" else ""
        return Text(f"{name}({args[0].text}, {base}, {shape}, {batch}{index})")

    def _mean_axis(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.mean({value.attributes[0]})")

    def _batch_mean(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.mean()")

    def _batch_sum(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.sum()")

    def _logsumexp(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.logsumexp(-1)")

    def _log_softmax(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.log_softmax(-1)")

    def _softmax(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.softmax(-1)")

    def _argmax(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.argmax(-1)")

    # --- shapes ---

    def _unsqueeze(self, value: Value, args: list[Text]) -> Text:
        count = _int(value.attributes[0])
        return Text(f"{args[0].at(ATOM)}{'.unsqueeze(-1)' * count}")

    def _unsqueeze_axes(self, value: Value, args: list[Text]) -> Text:
        return Text(args[0].at(ATOM) + "".join(f".unsqueeze({_int(at)})" for at in value.attributes))

    def _squeeze(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.squeeze({value.attributes[0]})")

    def _expand_as(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.expand_as({args[1].text})")

    def _expand_axes(self, value: Value, args: list[Text]) -> Text:
        sizes = ", ".join(str(size) for size in value.attributes)
        return Text(f"{args[0].at(ATOM)}.expand({sizes}, *{args[0].at(ATOM)}.shape)")

    def _expand_but_last(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.expand(*{args[1].at(ATOM)}.shape[:-1], -1)")

    def _lead_shape(self, value: Value, args: list[Text]) -> Text:
        return Text(f"torch.broadcast_shapes({', '.join(f'{a.at(ATOM)}.shape[:-1]' for a in args)})")

    def _expand_lead(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.expand(*{args[1].text}, -1)")

    def _expand(self, value: Value, args: list[Text]) -> Text:
        axes, shape = value.attributes
        assert isinstance(axes, tuple)
        assert isinstance(shape, tuple)
        sizes = [str(size) for size in axes]
        if len(args) > 1:
            sizes.append("*" + batch_shape(args[1].at(ATOM), value.args[1].rank))
        elif value.batched:
            sizes.append("*shape")
        sizes += [str(size) for size in shape]
        inside = sizes[0][1:] if len(sizes) == 1 and sizes[0].startswith("*") else ", ".join(sizes)
        return Text(f"{args[0].at(ATOM)}.expand({inside})") if sizes else args[0]

    def _flatten_batch(self, value: Value, args: list[Text]) -> Text:
        sizes = "".join(f", {size}" for size in value.shape)
        return Text(f"{args[0].at(ATOM)}.reshape(-1{sizes})")

    def _unflatten_batch(self, value: Value, args: list[Text]) -> Text:
        sizes = "".join(f", {size}" for size in value.shape)
        return Text(f"{args[0].at(ATOM)}.reshape(*{batch_shape(args[1].at(ATOM), _int(value.attributes[0]))}{sizes})")

    def _chunk(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.chunk({value.attributes[0]}, -1)")

    def _item(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}[{value.attributes[0]}]")

    def _cat(self, value: Value, args: list[Text]) -> Text:
        return Text(f"torch.cat(({', '.join(a.text for a in args)}), -1)")

    def _select(self, value: Value, args: list[Text]) -> Text:
        rank, *at = (_int(a) for a in value.attributes)
        rest = ", :" * (rank - len(at))
        return Text(f"{args[0].at(ATOM)}[..., {', '.join(map(str, at))}{rest}]")

    def _index(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}[{args[1].text}]")

    def _gather(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.gather(-1, {args[1].text})")

    def _one_hot(self, value: Value, args: list[Text]) -> Text:
        return Text(f"F.one_hot({args[0].text}, {value.attributes[0]}).to(self._zero.dtype)")

    # --- matrices ---

    def _transpose(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.mT")

    def _inverse(self, value: Value, args: list[Text]) -> Text:
        return Text(f"torch.linalg.inv({args[0].text})")

    def _diag_matrix(self, value: Value, args: list[Text]) -> Text:
        return Text(f"torch.diag_embed({args[0].text})")

    def _unsqueeze_row(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.unsqueeze(-2)")

    def _diagonal(self, value: Value, args: list[Text]) -> Text:
        return Text(f"{args[0].at(ATOM)}.diagonal(dim1=-2, dim2=-1)")

    def _cholesky_of_inverse(self, value: Value, args: list[Text]) -> Text:
        self.use("cholesky_of_inverse")
        return Text(f"cholesky_of_inverse({args[0].text})")

    def _solve_vector(self, value: Value, args: list[Text]) -> Text:
        self.use("solve_vector")
        return Text(f"solve_vector({args[0].text}, {args[1].text})")

    def _solve_matrix(self, value: Value, args: list[Text]) -> Text:
        return Text(f"torch.linalg.solve_triangular({args[0].text}, {args[1].text}, upper=False)")

    def _matrix_vector(self, value: Value, args: list[Text]) -> Text:
        return Text(f"({args[0].at(MULTIPLY)} @ {args[1].at(ATOM)}.unsqueeze(-1)).squeeze(-1)")

    def _vector_matrix(self, value: Value, args: list[Text]) -> Text:
        return Text(f"({args[0].at(ATOM)}.unsqueeze(-2) @ {args[1].at(ATOM)}).squeeze(-2)")

    # --- modules ---

    def _module(self, value: Value, args: list[Text]) -> Text:
        return Text(f"self.{self.rename(str(value.attributes[0]))}({', '.join(a.text for a in args)})")

    def _cell(self, value: Value, args: list[Text]) -> Text:
        x, *states = (a.text for a in args)
        hidden = states[0] if len(states) == 1 else f"({', '.join(states)})"
        return Text(f"self.{self.rename(str(value.attributes[0]))}({x}, {hidden})")

    def _extern_log_prob(self, value: Value, args: list[Text]) -> Text:
        name = str(value.attributes[0])
        return Text(f"self.{name}({', '.join(a.text for a in args[1:])}).log_prob({args[0].text})")

    def _extern_draw(self, value: Value, args: list[Text]) -> Text:
        name, sizes, rooted = value.attributes
        assert isinstance(sizes, tuple)
        self.use("draw_from")
        shape = "shape" if rooted else f"({''.join(f'{size}, ' for size in sizes)})" if sizes else "()"
        return Text(f"draw_from(self.{name}({', '.join(a.text for a in args)}), {shape})")


def batch_shape(text: str, rank: int) -> str:
    """Source of the batch shape of a tensor with `rank` event dimensions."""
    return f"{text}.shape[:-{rank}]" if rank else f"{text}.shape"


def number_text(number: float) -> str:
    """A number as Python writes it; a whole one keeps its `.0`."""
    if math.isinf(number):
        return "torch.inf" if number > 0 else "-torch.inf"
    return repr(float(number))


def _dims(count: Attribute) -> str:
    dims = [str(-d) for d in range(_int(count), 0, -1)]
    return dims[0] if len(dims) == 1 else f"({', '.join(dims)})"


def _int(attribute: Attribute) -> int:
    assert isinstance(attribute, int)
    return attribute


def _float(attribute: Attribute) -> float:
    assert isinstance(attribute, int | float)
    return float(attribute)
