"""The source of each plan operation: a table from operations to templates.

A template is a string or a small function. In a string, `{0}` is the source of the first argument, `{0.atom}` the same
in brackets where it binds looser than a method call, `{0.factor}` where it binds looser than a product; `{all}` is
every argument, `{a[0]}` the first attribute of the operation, `{name}` the attribute of the class that it names, and
`{method}` the factor's method.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from pgcompile.diagnostics import InternalError
from pgcompile.plan.values import Attribute, Value
from pgcompile.vocabulary.functions import COMPARISONS, FUNCTIONS

ADD, MULTIPLY, UNARY, ATOM = 1, 2, 3, 4


@dataclass(frozen=True)
class Text:
    """Source text and how tightly it binds."""

    text: str
    strength: int = ATOM

    def at(self, strength: int) -> str:
        """The text, in brackets where it binds looser than asked."""
        return self.text if self.strength >= strength else f"({self.text})"

    @property
    def atom(self) -> str:
        """The text as the operand of a method call or a subscript."""
        return self.at(ATOM)

    @property
    def unary(self) -> str:
        """The text as the operand of a minus sign."""
        return self.at(UNARY)

    @property
    def factor(self) -> str:
        """The text as the left operand of a product or a comparison."""
        return self.at(MULTIPLY)

    @property
    def summand(self) -> str:
        """The text as the left operand of a sum."""
        return self.at(ADD)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Template:
    """The text of an operation, with places for its arguments and attributes.

    Args:
        text: the text, in the notation of this module's docstring.
        strength: how tightly the result binds.
        uses: the function of the runtime library that it calls.
    """

    text: str
    strength: int = ATOM
    uses: str | None = None


Rename = Callable[[str], str]
Printer = Callable[[Value, list[Text], Rename], Text | Template]


class Writer:
    """Writes one operation; tells which functions of the runtime library it calls.

    Args:
        rename: Python name of a variable or attribute of the program.
        use: called with the name of every library function.
        method_name: Python name of a factor's method.
    """

    def __init__(self, rename: Rename, use: Callable[[str], None], method_name: Rename = str) -> None:
        self.rename = rename
        self.use = use
        self.method_name = method_name

    def write(self, value: Value, args: list[Text]) -> Text:
        """Source of a value from the sources of its arguments."""
        found = TEMPLATES.get(value.op)
        if found is None:
            raise InternalError(f"no source for the operation {value.op}")
        template = found if isinstance(found, Template) else found(value, args, self.rename)
        if isinstance(template, Text):
            return template
        if template.uses is not None:
            self.use(template.uses)
        named = value.attributes[0] if value.attributes else None
        name = self.rename(named) if isinstance(named, str) and "{name}" in template.text else ""
        method = self.method_name(named) if isinstance(named, str) and "{method}" in template.text else ""
        everything = ", ".join(arg.text for arg in args)
        text = template.text.format(*args, a=value.attributes, all=everything, name=name, method=method)
        return Text(text, template.strength)


# --- templates that need a computation ---


def _constant(value: Value, args: list[Text], rename: Rename) -> Text:
    number, *text = value.attributes
    assert isinstance(number, float)
    if not text:
        return Text(number_text(number), ATOM if number >= 0 else UNARY)
    size = str(text[0])
    strength = ADD if " + " in size else MULTIPLY if " * " in size else ATOM
    if number >= 0:
        return Text(size, strength)
    return Text(f"-{size}" if strength >= MULTIPLY else f"-({size})", min(strength, UNARY))


def _pow(value: Value, args: list[Text], rename: Rename) -> Template:
    return Template("torch.pow({0}, {1})" if value.args[0].constant is not None else "{0.atom}.pow({1})")


def _clamp(bound: str) -> Printer:
    def clamp(value: Value, args: list[Text], rename: Rename) -> Text:
        return Text(f"{args[0].atom}.clamp({bound}={number_text(_float(value.attributes[0]))})")

    return clamp


def _divide_by_batch(value: Value, args: list[Text], rename: Rename) -> Text:
    size = f"{batch_shape(args[1].atom, _int(value.attributes[0]))}.numel()"
    return Text(f"{args[0].factor} / {size}", MULTIPLY)


def _tensor_total(value: Value, args: list[Text], rename: Rename) -> Text:
    shape = batch_shape(args[1].atom, _int(value.attributes[0]))
    return Text(f"torch.as_tensor({args[0]}).expand({shape}).sum()")


def _flow(value: Value, args: list[Text], rename: Rename) -> Template:
    return Template("self.{name}.inverse({all})" if value.attributes[1] else "self.{name}({all})")


def _special(value: Value, args: list[Text], rename: Rename) -> Template:
    name, *more = (str(a) for a in value.attributes)
    return _called(name, args, more)


def _zero(value: Value) -> str:
    """A zero of the values' own precision: of two numbers torch makes a single, and keeps it beside a double number."""
    like = next((place for place, arg in enumerate(value.args) if arg.constant is None), 0)
    return f"{{{like}.atom}}.new_zeros(())"


def _inside(value: Value, args: list[Text], rename: Rename) -> Template:
    outside = "({0.factor} < {1.factor}) | ({0.factor} > {2.factor})"
    return Template(f"torch.where({outside}, -torch.inf, {_zero(value)})")


def _point(value: Value, args: list[Text], rename: Rename) -> Template:
    return Template(f"torch.where({{0.factor}} == {{1.factor}}, {_zero(value)}, -torch.inf)")


def _drawn(function: str) -> Printer:
    def draw(value: Value, args: list[Text], rename: Rename) -> Template:
        return _called(function, args, [str(a) for a in value.attributes])

    return draw


def _called(function: str, args: list[Text], more: list[str]) -> Template:
    """A call of a library function with attributes after the arguments."""
    after = "".join(f", {part}" for part in more)
    return Template(f"{function}({{all}}{_escaped(after if args else after[2:])})", uses=function)


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _body(value: Value, args: list[Text], rename: Rename) -> Text:
    """A net without its last layer."""
    name, count = str(value.attributes[0]), _int(value.attributes[1])
    return Text(f"self.{rename(name)}[{0 if count == 1 else ':-1'}]({args[0]})")


def _full_like(value: Value, args: list[Text], rename: Rename) -> Text:
    return Text(f"torch.full_like({args[0]}, {number_text(_float(value.attributes[0]))})")


def _over_last(function: str) -> Printer:
    """A reduction over the last dimensions, as many as the attribute says."""

    def reduce(value: Value, args: list[Text], rename: Rename) -> Text:
        return Text(f"{args[0].atom}.{function}({_dims(value.attributes[0])})")

    return reduce


def _norm(value: Value, args: list[Text], rename: Rename) -> Text:
    return Text(f"torch.linalg.vector_norm({args[0]}, dim={_dims(value.attributes[0])})")


def _batch_of(value: Value, args: list[Text]) -> str:
    """Source of the batch shape, read from the second argument where there is one."""
    return batch_shape(args[1].atom, value.args[1].rank) if len(args) > 1 else "()"


_ROOM = 64  # a longer call of torch's cross-entropy does not fit on a line with its name


def _bernoulli_cross_entropy(value: Value, args: list[Text], rename: Rename) -> Text | Template:
    """The cross-entropy of torch for each element where that fits on a line, else the library's, which broadcasts."""
    (rank,) = value.attributes
    logits, x = value.args
    alike = (logits.shape, logits.axes, logits.batched) == (x.shape, x.axes, x.batched)
    text = f'F.binary_cross_entropy_with_logits({args[0]}, {args[1]}, reduction="none")'
    if alike and rank == 0 and len(text) <= _ROOM:
        return Text(text)
    return _bernoulli("bernoulli_cross_entropy")(value, args, rename)


def _bernoulli(function: str) -> Printer:
    def written(value: Value, args: list[Text], rename: Rename) -> Template:
        rank = "" if value.attributes == (1,) else ", {a[0]}"
        return Template(f"{function}({{0}}, {{1}}{rank})", uses=function)

    return written


def _spread_table(value: Value, args: list[Text], rename: Rename) -> Template:
    return Template(f"expand_rows({{0}}, {_escaped(_batch_of(value, args))})", uses="expand_rows")


def _lift_table(value: Value, args: list[Text], rename: Rename) -> Text:
    ones = f"*(1 for _ in {_batch_of(value, args)})"
    several = value.args[0].rank > 1 or len(args) > 1
    sizes = ", ".join(["-1", ones, *(str(n) for n in value.shape)]) if several else "-1"
    return Text(f"{args[0].atom}.reshape({sizes})")


def _axis_inside(value: Value, args: list[Text], rename: Rename) -> Text:
    at, rank = value.attributes
    return Text(f"{args[0].atom}.movedim({at}, {-1 - _int(rank)})")


def _places(value: Value, args: list[Text], rename: Rename) -> Text:
    """The dimensions of indices moved before the batch."""
    rank, *at = (_int(a) for a in value.attributes)
    own = [-rank - len(at) + i for i in range(len(at))]
    return Text(
        f"{args[0].atom}.movedim({own[0] if len(own) == 1 else tuple(own)}, {at[0] if len(at) == 1 else tuple(at)})"
    )


def _one_place(value: Value, args: list[Text], rename: Rename) -> Text:
    """A sequence at one place."""
    position, at = (_int(a) for a in value.attributes)
    return Text(f"{args[0].atom}[{position}]" if at == 0 else f"{args[0].atom}.select({at}, {position})")


def _from_here(value: Value, args: list[Text], rename: Rename) -> Text:
    """The sum over each place and what comes after it, or before it in a sequence from the end."""
    at, backwards = (_int(a) for a in value.attributes)
    text = f"{args[0].atom}.cumsum({at})" if backwards else f"{args[0].atom}.flip({at}).cumsum({at}).flip({at})"
    return Text(text)


def _moved(value: Value, args: list[Text], rename: Rename) -> Template | Text:
    """A sequence at other places, with starts outside the range."""
    offset, at = (_int(a) for a in value.attributes)
    if abs(offset) == 1 and at == 0:
        start = f"{args[1].atom}.unsqueeze(0)"
        if offset < 0:
            return Text(f"torch.cat(({start}, {args[0].atom}[:-1]))")
        return Text(f"torch.cat(({args[0].atom}[1:], {start}))")
    starts = ", ".join(arg.text for arg in args[1:])
    return Template(f"moved_places({_escaped(args[0].text)}, {offset}, {at}, {_escaped(starts)})", uses="moved_places")


def _unsqueeze_inside(value: Value, args: list[Text], rename: Rename) -> Text:
    return Text(f"{args[0].atom}.unsqueeze({-1 - _int(value.attributes[0])})")


def _grid(value: Value, args: list[Text], rename: Rename) -> Template:
    """Every value of one of several variables that take all their values together, along a dimension each."""
    kind, size, others, place = value.attributes
    assert isinstance(others, tuple)
    across = f"({', '.join(map(str, others))}{',' * (len(others) == 1)})"
    moved = f".movedim(0, {place})" if place else ""
    if kind == "one_hot":
        return Template(f"one_hot_states({{0}}, {size}, {across}){moved}", uses="one_hot_states")
    index = ", index=True" if kind == "index" else ""
    return Template(f"every_state({{0}}, {size}, (), {across}{index}){moved}", uses="every_state")


def _states(value: Value, args: list[Text], rename: Rename) -> Template:
    kind, _, shape = value.attributes
    assert isinstance(shape, tuple)
    batch = _escaped(_batch_of(value, args))
    if kind == "one_hot" and len(shape) > 1:
        *rows, width = shape
        digits = f"every_state({{0}}, {width}, {tuple(rows)}, {batch}, index=True)"
        return Template(f"F.one_hot({digits}, {width}).to({{0}}.dtype)", uses="every_state")
    if kind == "one_hot":
        return Template(f"one_hot_states({{0}}, {shape[0]}, {batch})", uses="one_hot_states")
    index = ", index=True" if kind == "category" else ""
    return Template(f"every_state({{0}}, {{a[1]}}, {{a[2]}}, {batch}{index})", uses="every_state")


def _unsqueeze(value: Value, args: list[Text], rename: Rename) -> Text:
    return Text(args[0].atom + ".unsqueeze(-1)" * _int(value.attributes[0]))


def _unsqueeze_axes(value: Value, args: list[Text], rename: Rename) -> Text:
    return Text(args[0].atom + "".join(f".unsqueeze({_int(at)})" for at in value.attributes))


def _expand_axes(value: Value, args: list[Text], rename: Rename) -> Text:
    sizes = ", ".join(str(size) for size in value.attributes)
    return Text(f"{args[0].atom}.expand({sizes}, *{args[0].atom}.shape)")


def _is_observed(value: Value, args: list[Text], rename: Rename) -> Text:
    """1 where data has a value; an index lacks it where it is negative, a number where it is not one."""
    seen = f"({args[0].text} >= 0)" if value.attributes[0] else f"(~{args[0].atom}.isnan())"
    return Text(f"{seen}.to(self.{rename('_like')}.dtype)")


def _filled(value: Value, args: list[Text], rename: Rename) -> Text:
    """The data with a value in the place of those it lacks."""
    index, number = value.attributes
    if index:
        return Text(f"{args[0].atom}.clamp_min(0)")
    return Text(f"torch.where({args[0].text}.isnan(), {number}, {args[0].text})")


def _lead_shape(value: Value, args: list[Text], rename: Rename) -> Text:
    shapes = [batch_shape(arg.atom, _int(rank)) for arg, rank in zip(args, value.attributes, strict=True)]
    return Text(f"torch.broadcast_shapes({', '.join(shapes)})")


def _expand_lead(value: Value, args: list[Text], rename: Rename) -> Text:
    """Expanded to the leading dimensions of another value, or to those that `lead_shape` says."""
    like = value.args[1]
    lead = args[1].text if like.op == "lead_shape" else batch_shape(args[1].atom, like.rank)
    return Text(f"{args[0].atom}.expand(*{lead}{', -1' * value.rank})")


def _expand(value: Value, args: list[Text], rename: Rename) -> Text:
    axes, shape = value.attributes
    assert isinstance(axes, tuple)
    assert isinstance(shape, tuple)
    rows = f"{_batch_of(value, args)}.numel()"  # an axis of no size of its own is as long as the batch
    sizes = [str(size or rows) for size in axes]
    if len(args) > 1:
        sizes.append("*" + _batch_of(value, args))
    elif value.batched:
        sizes.append("*shape")
    sizes += [str(size) for size in shape]
    inside = sizes[0][1:] if len(sizes) == 1 and sizes[0].startswith("*") else ", ".join(sizes)
    return Text(f"{args[0].atom}.expand({inside})") if sizes else args[0]


def _flatten_batch(value: Value, args: list[Text], rename: Rename) -> Text:
    return Text(f"{args[0].atom}.reshape(-1{''.join(f', {size}' for size in value.shape)})")


def _unflatten_batch(value: Value, args: list[Text], rename: Rename) -> Text:
    sizes = "".join(f", {size}" for size in value.shape)
    return Text(f"{args[0].atom}.reshape(*{batch_shape(args[1].atom, _int(value.attributes[0]))}{sizes})")


def _select(value: Value, args: list[Text], rename: Rename) -> Text:
    rank, *at = (_int(a) for a in value.attributes)
    return Text(f"{args[0].atom}[..., {', '.join(map(str, at))}{', :' * (rank - len(at))}]")


def _axes_to_last(value: Value, args: list[Text], rename: Rename) -> Text:
    at = [_int(a) for a in value.attributes]
    last = range(-len(at), 0)
    places = (at[0], -1) if len(at) == 1 else (tuple(at), tuple(last))
    return Text(f"{args[0].atom}.movedim({places[0]}, {places[1]})")


def _logsumexp(value: Value, args: list[Text], rename: Rename) -> Text:
    at = [str(_int(a)) for a in value.attributes]
    return Text(f"{args[0].atom}.logsumexp({at[0] if len(at) == 1 else '(' + ', '.join(at) + ')'})")


def _cell(value: Value, args: list[Text], rename: Rename) -> Template:
    return Template("self.{name}({0}, {1})" if len(args) == 2 else "self.{name}({0}, ({1}, {2}))")


def _cell_step(value: Value, args: list[Text], rename: Rename) -> Template:
    step = str(value.attributes[1])
    return Template(f"{step}({{all}}, self.{{name}})", uses=step)


def _over_cells(value: Value, args: list[Text], rename: Rename) -> Template:
    ending = ", backwards=True" if value.attributes[1] else ""
    return Template(f"over_cells(self.{{name}}, {{all}}{ending})", uses="over_cells")


def _columns(value: Value, args: list[Text], rename: Rename) -> Text:
    start, stop = (_int(a) for a in value.attributes)
    end = "" if stop == value.args[0].shape[-1] else stop
    return Text(f"{args[0].atom}[:, {start or ''}:{end}]")


def _extern_log_prob(value: Value, args: list[Text], rename: Rename) -> Template:
    parents = ", ".join(f"{{{i}}}" for i in range(1, len(args)))
    return Template(f"self.{{method}}({parents}).log_prob({{0}})")


def _extern_draw(value: Value, args: list[Text], rename: Rename) -> Template:
    _, sizes, rooted = value.attributes
    assert isinstance(sizes, tuple)
    shape = "shape" if rooted else f"({''.join(f'{size}, ' for size in sizes)})" if sizes else "()"
    return Template(f"draw_from(self.{{method}}({{all}}), {shape})", uses="draw_from")


def _cat(value: Value, args: list[Text], rename: Rename) -> Template:
    return Template("torch.cat(({all}), {a[0]})" if value.attributes else "torch.cat(({all}), -1)")


def _reshape(value: Value, args: list[Text], rename: Rename) -> Text:
    rank = value.args[0].rank
    shape = ", ".join(map(str, value.shape))
    whole = (
        args[0].atom if rank == 1 else f"{args[0].atom}.flatten(-{rank})" if rank else f"{args[0].atom}.unsqueeze(-1)"
    )
    if value.rank == 1:
        return Text(whole)
    return Text(f"{whole}.unflatten(-1, ({shape}))") if value.rank else Text(f"{whole}.squeeze(-1)")


def _solve(value: Value, args: list[Text], rename: Rename) -> Template:
    if value.args[1].rank == 2:
        return Template("torch.linalg.solve({0}, {1})")
    return Template("torch.linalg.solve({0}, {1.atom}.unsqueeze(-1)).squeeze(-1)")


def _method(name: str) -> Template:
    return Template(f"{{0.atom}}.{name}()")


def _function(name: str) -> Template:
    return Template(f"{name}({{all}})")


_METHODS = (
    *(function.op for function in FUNCTIONS.values() if function.shape == "elementwise"),
    *("rsqrt", "reciprocal", "lgamma", "digamma"),
)
_FLAT = "torch.atleast_2d({0}).flatten(0, -2), {1.atom}.flatten()"

TEMPLATES: dict[str, Template | Printer] = {
    # leaves
    "constant": _constant,
    "argument": Template("{name}"),
    "attribute": Template("self.{name}"),
    # elementwise
    **{name: _method(name) for name in _METHODS},
    "add": Template("{0.summand} + {1.summand}", ADD),
    "sub": Template("{0.summand} - {1.factor}", ADD),
    "mul": Template("{0.factor} * {1.unary}", MULTIPLY),
    "div": Template("{0.factor} / {1.unary}", MULTIPLY),
    "matmul": Template("{0.factor} @ {1.unary}", MULTIPLY),
    "neg": Template("-{0.unary}", UNARY),
    "pow": _pow,
    "maximum": _function("torch.maximum"),
    "minimum": _function("torch.minimum"),
    "xlogy": _function("torch.xlogy"),
    "xlog1py": _function("torch.special.xlog1py"),
    "logaddexp": _function("torch.logaddexp"),
    "softplus": _function("F.softplus"),
    "logsigmoid": _function("F.logsigmoid"),
    "exp_minus": Template("exp_minus({0})", uses="exp_minus"),
    "log_abs": Template("log_abs({0})", uses="log_abs"),
    "at_least_tiny": Template("{0.atom}.clamp_min(torch.finfo({0}.dtype).tiny)"),
    "log_softplus": Template("torch.where({0} < -30.0, {0}, {1.atom}.clamp_min(1e-30).log())"),
    "as_tensor": Template("torch.as_tensor({0})"),
    "as_index": Template("{0.atom}.long()"),
    "clamp_min": _clamp("min"),
    "clamp_max": _clamp("max"),
    "full_like": _full_like,
    "inside": _inside,
    "point": _point,
    **{name: Template(f"{{0.factor}} {sign} {{1.factor}}", 0) for name, sign in COMPARISONS.items()},
    "as_double": Template("{0.atom}.double()"),
    "log_ndtr": Template("torch.special.log_ndtr({0})"),
    "is_observed": _is_observed,
    "filled": _filled,
    "as_float": Template("{0.atom}.to(self._like.dtype)"),
    "as_number": Template("({0}).to(self._like.dtype)"),
    "nonzero": Template("{0.factor} != 0", 0),
    "where": _function("torch.where"),
    "sort": Template("{0.atom}.sort(-1).values"),
    "cumsum": Template("{0.atom}.cumsum(-1)"),
    "special": _special,
    # draws
    "bernoulli": _function("torch.bernoulli"),
    "poisson": _function("torch.poisson"),
    "randn_like": _function("torch.randn_like"),
    "rand_like": _function("torch.rand_like"),
    "exponential_like": Template("-torch.log1p(-torch.rand_like({0}))", UNARY),
    "category": _drawn("draw_category"),
    "von_mises": _drawn("draw_von_mises"),
    "sphere_lack": _drawn("draw_sphere_lack"),
    "standard_gamma": _drawn("standard_gamma"),
    "binomial": _drawn("draw_binomial"),
    "multinomial": _drawn("draw_multinomial"),
    "counts": _drawn("draw_counts"),
    # losses
    "bernoulli_log_prob": _bernoulli("bernoulli_log_prob"),
    "bernoulli_cross_entropy": _bernoulli_cross_entropy,
    "along": lambda value, args, rename: args[0],
    "binary_cross_entropy_sum": Template('F.binary_cross_entropy_with_logits({0}, {1}, reduction="sum")'),
    "cross_entropy_sum": Template(f'F.cross_entropy({_FLAT}, reduction="sum")'),
    "cross_entropy_mean": Template(f"F.cross_entropy({_FLAT})"),
    # reductions
    "sum": _over_last("sum"),
    "amin": _over_last("amin"),
    "mean": _over_last("mean"),
    "norm": _norm,
    "sum_keep": Template("{0.atom}.sum(-1, keepdim=True)"),
    "sum_axis": Template("{0.atom}.sum({a[0]})"),
    "mean_axis": Template("{0.atom}.mean({a[0]})"),
    "mean_axis_keep": Template("{0.atom}.mean({a[0]}, keepdim=True)"),
    "from_here": _from_here,
    "logsumexp_axes": _logsumexp,
    "softmax_axis": Template("{0.atom}.softmax({a[0]})"),
    "logsumexp": Template("{0.atom}.logsumexp(-1)"),
    "log_softmax": Template("{0.atom}.log_softmax(-1)"),
    "softmax": Template("{0.atom}.softmax(-1)"),
    "argmax": Template("{0.atom}.argmax(-1)"),
    "argmin": Template("{0.atom}.argmin(-1)"),
    "batch_mean": _method("mean"),
    "batch_sum": _method("sum"),
    "divide_by_batch": _divide_by_batch,
    "tensor_mean": Template("torch.as_tensor({0}).mean()"),
    "tensor_total": _tensor_total,
    # axes and tables
    "over_batch": Template("over_batch({0}, {a[0]})", uses="over_batch"),
    "other_rows": Template("other_rows({0}, {a[0]}, {a[1]}, {a[2]})", uses="other_rows"),
    "shuffle": Template("shuffled({0}, {1}, {a[0]}, {a[1]})", uses="shuffled"),
    "move_to_axis": Template("{0.atom}.movedim({a[0]}, {a[1]})"),
    "axes_to_last": _axes_to_last,
    "axis_inside": _axis_inside,
    "places": _places,
    "moved": _moved,
    "place_count": Template("{a[0]}"),
    "one_place": _one_place,
    "over_sequence": Template("over_sequence(self.{name}, {0}, {a[1]}, {a[2]})", uses="over_sequence"),
    "after_past": Template("after_past(self.{name}, {0}, {a[1]}, {a[2]})", uses="after_past"),
    "data_weight": Template('data_weight("{0}", {0}, {a[0]})', uses="data_weight"),
    "last_places": Template("last_places({a[0]}, {0})", uses="last_places"),
    "inside_places": Template("inside_places({a[0]}, {0})", uses="inside_places"),
    "first_place": Template("first_place({0})", uses="first_place"),
    "unsqueeze_inside": _unsqueeze_inside,
    "expand_table": _spread_table,
    "lift_table": _lift_table,
    "states": _states,
    "grid": _grid,
    # shapes
    "as_rows": Template("{0.atom}.reshape(-1, {a[0]})"),
    "unsqueeze": _unsqueeze,
    "unsqueeze_axes": _unsqueeze_axes,
    "unsqueeze_row": Template("{0.atom}.unsqueeze(-2)"),
    "squeeze": Template("{0.atom}.squeeze({a[0]})"),
    "expand": _expand,
    "expand_as": Template("{0.atom}.expand_as({1})"),
    "expand_axes": _expand_axes,
    "lead_shape": _lead_shape,
    "expand_lead": _expand_lead,
    "flatten_batch": _flatten_batch,
    "unflatten_batch": _unflatten_batch,
    "chunk": Template("{0.atom}.chunk({a[0]}, -1)"),
    "item": Template("{0.atom}[{a[0]}]"),
    "cat": _cat,
    "stack": Template("torch.stack(({all}), {a[0]})"),
    "reshape": _reshape,
    "permute": Template("{0.atom}.movedim({a[0]}, {a[1]})"),
    "einsum": Template('torch.einsum("{a[0]}", {all})'),
    "select": _select,
    "index": Template("{0.atom}[{1}]"),
    "gather": Template("{0.atom}.gather(-1, {1})"),
    "one_hot": Template("F.one_hot({0}, {a[0]}).to(self._like.dtype)"),
    # matrices
    "linear": _function("F.linear"),
    "transpose": Template("{0.atom}.mT"),
    "inverse": Template("torch.linalg.inv({0})"),
    "cholesky": _function("torch.linalg.cholesky"),
    "cholesky_of_inverse": Template("cholesky_of_inverse({0})", uses="cholesky_of_inverse"),
    "tril": Template("{0.atom}.tril()"),
    "lower_cholesky": _drawn("lower_cholesky"),
    "positive_definite": _drawn("positive_definite"),
    "diag_matrix": Template("torch.diag_embed({0})"),
    "eye": Template("torch.eye({a[0]}).to({0})"),
    "log_det": Template("torch.linalg.slogdet({0}).logabsdet"),
    "solve": _solve,
    "diagonal": Template("{0.atom}.diagonal(dim1=-2, dim2=-1)"),
    "solve_vector": Template("solve_vector({0}, {1})", uses="solve_vector"),
    "solve_matrix": Template("torch.linalg.solve_triangular({0}, {1}, upper=False)"),
    "matrix_vector": Template("({0.factor} @ {1.atom}.unsqueeze(-1)).squeeze(-1)"),
    "vector_matrix": Template("({0.atom}.unsqueeze(-2) @ {1.atom}).squeeze(-2)"),
    # modules
    "module": Template("self.{name}({all})"),
    "body": _body,
    "layer": Template("self.{name}[{a[1]}]({0})"),
    "columns": _columns,
    "over_cells": _over_cells,
    "add_product": Template("add_product({0}, {1}, {2})", uses="add_product"),
    "cell_step": _cell_step,
    "procedure": Template("self.{name}({all})"),
    "cell": _cell,
    "flow": _flow,
    "gradient_penalty": Template("gradient_penalty(self.{name}, {0}, {a[1]})", uses="gradient_penalty"),
    "extern_log_prob": _extern_log_prob,
    "extern_draw": _extern_draw,
}
"""Templates by operation: adding an operation to the plan adds a row here."""


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
