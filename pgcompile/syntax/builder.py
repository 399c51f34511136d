"""Parser callbacks: children of a grammar rule in, a tree node out. Called by the LALR parser as it reduces.

Every token is kept as a child, so that a node's span reaches from its first to its last one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

from lark import Token, Transformer

from pgcompile.diagnostics import Span
from pgcompile.syntax import tree
from pgcompile.syntax.spelling import canonical_name, superscript
from pgcompile.vocabulary.functionals import canonical_word
from pgcompile.vocabulary.functions import COMPARISONS

COMPARISON_NAMES = {sign: name for name, sign in COMPARISONS.items()}
_SIGNS = {
    **dict.fromkeys(("≤", r"\le", r"\leq"), "<="),
    **dict.fromkeys(("≥", r"\ge", r"\geq"), ">="),
    **dict.fromkeys(("≠", r"\ne", r"\neq"), "!="),
    r"\lt": "<",
    r"\gt": ">",
}


class NameError_(Exception):
    """A name that cannot be made canonical; carries its place."""

    def __init__(self, span: Span, text: str) -> None:
        self.span = span
        self.text = text
        super().__init__(text)


class OperatorError(Exception):
    """Tokens that the grammar accepts but the language gives no meaning; carries a message and a place."""

    def __init__(self, span: Span, message: str, help: str) -> None:
        self.span = span
        self.message = message
        self.help = help
        super().__init__(message)


class PipelineError(OperatorError):
    """A pipeline of layers among the arguments of something else than a layer that holds others."""


@dataclass(frozen=True)
class _Grouped:
    """An expression in brackets: it does not merge with a sum or product around it."""

    expr: tree.Expr
    span: Span


@dataclass(frozen=True)
class _Many:
    """Several nodes on the way to their parent."""

    items: tuple[Any, ...]
    span: Span


def _place(child: Any) -> Span:
    if isinstance(child, Token):
        start = child.start_pos or 0
        return Span(start, child.end_pos or start + len(child))
    return cast(Span, child.span)


def _span(children: list[Any]) -> Span:
    return _place(children[0]).to(_place(children[-1]))


def _open(child: Any) -> Any:
    """The expression inside brackets; anything else as it is."""
    return replace(child.expr, span=child.span) if isinstance(child, _Grouped) else child


def _nodes(children: list[Any]) -> list[Any]:
    """Children that are not tokens, brackets opened."""
    return [_open(c) for c in children if not isinstance(c, Token)]


def _name(token: Token) -> tree.Name:
    name = canonical_name(str(token))
    if name is None:
        raise NameError_(_place(token), str(token))
    return tree.Name(name, span=_place(token))


def _use(token: Token) -> tree.Name:
    """A name where it is used: `f.inv` is the inverse of the flow f, `nn.CELU` a layer of torch."""
    text = str(token)
    if text.startswith("nn."):
        return tree.Name(text, span=_place(token))
    if not text.endswith(".inv"):
        return _name(token)
    name = canonical_name(text.removesuffix(".inv"))
    if name is None:
        raise NameError_(_place(token), text)
    return tree.Name(f"{name}.inv", span=_place(token))


def _names(children: list[Any]) -> list[tree.Name]:
    return [_name(c) for c in children if isinstance(c, Token) and c.type == "NAME"]


def _many(children: list[Any], items: Iterable[Any]) -> _Many:
    return _Many(tuple(items), _span(children))


class Builder(Transformer[Token, Any]):
    """One method a grammar rule."""

    # --- statements ---

    def statement(self, c: list[Any]) -> Any:
        return c[0]

    def space_declaration(self, c: list[Any]) -> tree.SpaceDeclaration:
        return tree.SpaceDeclaration(c[0].items, c[2], span=_span(c))

    def const_declaration(self, c: list[Any]) -> tree.ConstDeclaration:
        return tree.ConstDeclaration(_name(c[1]), _open(c[3]), span=_span(c))

    def tensor_declaration(self, c: list[Any]) -> tree.TensorDeclaration:
        initial = _open(c[5]) if len(c) > 5 else None
        return tree.TensorDeclaration(str(c[0]), c[1].items, c[3], initial, span=_span(c))

    def net_declaration(self, c: list[Any]) -> tree.NetDeclaration:
        inputs = next((x.items for x in c if isinstance(x, _Many)), None)
        return tree.NetDeclaration(_name(c[1]), inputs, c[-1], span=_span(c))

    def extern_net(self, c: list[Any]) -> tree.ExternNet:
        return tree.ExternNet(_name(c[2]), c[4].items, c[7].items, span=_span(c))

    def single_output(self, c: list[Any]) -> _Many:
        return _many(c, [(None, c[0])])

    def named_outputs(self, c: list[Any]) -> _Many:
        return _many(c, [n.items for n in _nodes(c)])

    def named_output(self, c: list[Any]) -> _Many:
        return _many(c, [_name(c[0]), c[2]])

    def extern_factor(self, c: list[Any]) -> Any:
        head = _open(c[1])
        if not isinstance(head, tree.Call):
            raise OperatorError(
                _place(c[1]),
                "`extern` is followed by a factor or a net",
                "write `extern p(x|z)` or `extern net f(x) -> real[3]`",
            )
        return tree.ExternFactor(head, span=_span(c))

    def flow_declaration(self, c: list[Any]) -> tree.FlowDeclaration:
        inputs = next((x.items for x in c[2:-1] if isinstance(x, _Many)), None)
        return tree.FlowDeclaration(_name(c[1]), inputs, c[-1].items, span=_span(c))

    def flow_pipeline(self, c: list[Any]) -> _Many:
        return _many(c, _nodes(c))

    def flow_stage(self, c: list[Any]) -> Any:
        return _open(c[0])

    def repeat(self, c: list[Any]) -> tree.Repeat:
        count = tree.Number(str(c[1]), span=_place(c[1])) if c[1].type == "NUMBER" else _name(c[1])
        return tree.Repeat(count, c[3].items, span=_span(c))

    def index_declaration(self, c: list[Any]) -> tree.Unsupported:
        return tree.Unsupported("sequences", span=_span(c))

    def definition(self, c: list[Any]) -> tree.Definition:
        return tree.Definition(_open(c[0]), _open(c[2]), span=_span(c))

    def proportional(self, c: list[Any]) -> tree.Proportional:
        return tree.Proportional(_open(c[0]), _open(c[2]), span=_span(c))

    def optimise(self, c: list[Any]) -> tree.Optimise:
        direction = "maximize" if c[0].type == "MAXIMIZE" else "minimize"
        wrt = next((x.items for x in c[2:] if isinstance(x, _Many)), None)
        optimiser = c[-1] if isinstance(c[-1], tree.Call) and len(c) > 2 else None
        return tree.Optimise(direction, _open(c[1]), wrt, optimiser, span=_span(c))

    def wrt(self, c: list[Any]) -> _Many:
        return _many(c, _nodes(c))

    def using(self, c: list[Any]) -> tree.Call:
        method = _open(c[1])
        if isinstance(method, tree.Name):
            method = tree.Call(method.id, (), span=method.span, name_span=method.span)
        if not isinstance(method, tree.Call):
            raise OperatorError(_place(c[1]), "`using` is followed by an optimiser", "write `using Adam(lr = 1e-3)`")
        return method

    def structure(self, c: list[Any]) -> tree.Structure:
        return tree.Structure(_open(c[0]), span=_span(c))

    def names(self, c: list[Any]) -> _Many:
        return _many(c, _names(c))

    def space(self, c: list[Any]) -> tree.SpaceExpr:
        return tree.SpaceExpr(_name(c[0]).id, tuple(g.items for g in c[1:]), span=_span(c))

    def space_group(self, c: list[Any]) -> _Many:
        return _many(c, _nodes(c))

    def right_side(self, c: list[Any]) -> Any:
        value = _open(c[0])
        return tree.Where(value, c[1].items, span=_span(c)) if len(c) > 1 else value

    def where(self, c: list[Any]) -> _Many:
        return _many(c, _nodes(c))

    def bind_one(self, c: list[Any]) -> tree.Binding:
        return tree.Binding((_name(c[0]),), _open(c[-1]), span=_span(c))

    def bind_many(self, c: list[Any]) -> tree.Binding:
        return tree.Binding(tuple(_names(c)), _open(c[-1]), span=_span(c))

    def pipeline(self, c: list[Any]) -> tree.Pipeline:
        return tree.Pipeline(tuple(_nodes(c)), span=_span(c))

    # --- expressions ---

    def sum(self, c: list[Any]) -> tree.Expr:
        terms: list[tuple[int, tree.Expr]] = []
        sign = 1
        for child in c:
            if isinstance(child, Token):
                sign = -1 if child.type == "MINUS" else 1
            else:
                node = _open(child)
                if not terms and isinstance(child, tree.Negative) and len(c) > 1:
                    sign, node = -1, child.operand
                terms.append((sign, node))
                sign = 1
        if len(terms) == 1:
            sign, node = terms[0]
            return tree.Negative(node, span=_span(c)) if sign < 0 else node
        return tree.Sum(tuple(terms), span=_span(c))

    def sign(self, c: list[Any]) -> Token:
        return cast(Token, c[0])

    def compare(self, c: list[Any]) -> tree.Call:
        left, sign, right = c
        name = COMPARISON_NAMES[_SIGNS.get(str(sign), str(sign))]
        arguments = tuple(tree.Argument(None, _open(x), span=_place(x)) for x in (left, right))
        return tree.Call(name, arguments, span=_span(c), name_span=_place(sign))

    def text(self, c: list[Any]) -> tree.Text:
        return tree.Text(str(c[0])[1:-1], span=_span(c))

    def times(self, c: list[Any]) -> tree.Product:
        left = c[0].factors if isinstance(c[0], tree.Product) else (_open(c[0]),)
        right = c[2].factors if isinstance(c[2], tree.Product) else (_open(c[2]),)
        return tree.Product((*left, *right), span=_span(c))

    def divide(self, c: list[Any]) -> tree.Quotient | tree.Product:
        top, bottom = _open(c[0]), _open(c[2])
        match bottom:
            case tree.Product((tree.Number() as number, *rest)) if isinstance(top, tree.Number) and _is_term(rest[0]):
                # `1/2 KL[q || p]`: a fraction of numbers stands before the term that it weighs.
                fraction = tree.Quotient(top, number, span=Span(top.span.start, number.span.end))
                return tree.Product((fraction, *rest), span=_span(c))
            case _:
                return tree.Quotient(top, bottom, span=_span(c))

    def matmul(self, c: list[Any]) -> tree.MatMul:
        return tree.MatMul(_open(c[0]), _open(c[2]), span=_span(c))

    def negative(self, c: list[Any]) -> tree.Expr:
        return tree.Negative(_open(c[1]), span=_span(c))

    def juxtaposed(self, c: list[Any]) -> tree.Product:
        return tree.Product(tuple(_nodes(c)), span=_span(c))

    def log(self, c: list[Any]) -> tree.Log:
        return tree.Log(_nodes(c)[0], span=_span(c))

    def integral(self, c: list[Any]) -> tree.Integral:
        variables = []
        for token in c:
            if isinstance(token, Token) and token.type == "DIFFERENTIAL":
                name = canonical_name(str(token)[1:].removeprefix("_") if len(token) > 1 else "")
                if name is None:
                    raise NameError_(_place(token), str(token))
                variables.append(tree.Name(name, span=_place(token)))
        return tree.Integral(_nodes(c)[0], tuple(variables), span=_span(c))

    def sum_over(self, c: list[Any]) -> tree.Integral:
        variables, body = c[1], _nodes(c)[-1]
        if not isinstance(variables, list):
            raise OperatorError(
                _span(c),
                "sums over an index are not part of this version",
                "write the terms out if they are few; a sum over a variable is `sum_k p(x|k) p(k)`",
            )
        return tree.Integral(body, tuple(variables), is_sum=True, span=_span(c))

    def mean_over(self, c: list[Any]) -> tree.Expectation:
        """`mean_{x'} f`, the mean over the rows of the batch, is that over the data."""
        variables, body = c[1], _nodes(c)[-1]
        if not isinstance(variables, list):
            raise OperatorError(_span(c), "a mean is over other rows of the batch", "write mean_{x'} p(x'|z)")
        if isinstance(body, tree.ListLiteral) and len(body.items) == 1:
            body = body.items[0]
        names = tuple(tree.Argument(None, name, span=name.span) for name in variables)
        over = tree.Call("data", names, span=_span(c), name_span=_span(c))
        return tree.Expectation(over, body, span=_span(c))

    def sum_range(self, c: list[Any]) -> Any:
        inside = [x for x in c if not (isinstance(x, Token) and x.type in ("LBRACE", "RBRACE", "COMMA"))]
        alone = all(isinstance(x, Token) and x.type == "NAME" for x in inside)
        return [_name(x) for x in inside] if alone else _many(c, ())

    def power_of(self, c: list[Any]) -> tree.Power:
        return tree.Power(_open(c[0]), _open(c[2]), span=_span(c))

    def exponent(self, c: list[Any]) -> Any:
        return _nodes(c)[0]

    def superscript(self, c: list[Any]) -> tree.Power:
        return tree.Power(_open(c[0]), tree.Number(superscript(str(c[1])), span=_place(c[1])), span=_span(c))

    def index(self, c: list[Any]) -> tree.Index:
        base, *indices = _nodes(c)
        return tree.Index(base, tuple(indices), span=_span(c))

    def rename(self, c: list[Any]) -> tree.Rename:
        base, *pairs = _nodes(c)
        return tree.Rename(base, tuple(p.items for p in pairs), span=_span(c))

    def renaming(self, c: list[Any]) -> _Many:
        return _many(c, [_name(c[0]), _name(c[2])])

    def number(self, c: list[Any]) -> tree.Number:
        return tree.Number(str(c[0]), span=_span(c))

    def name(self, c: list[Any]) -> tree.Name:
        return _use(c[0])

    def call(self, c: list[Any]) -> tree.Call:
        return self._call(c, None)

    def factor(self, c: list[Any]) -> tree.Call:
        given = next(x for x in c if isinstance(x, _Given))
        return self._call([x for x in c if not isinstance(x, _Given)], given.items, span=_span(c))

    def parametrised(self, c: list[Any]) -> tree.Call:
        """`L(theta, phi; x)`: a formula with its parameters before the semicolon."""
        groups = [x for x in c if isinstance(x, _Many)]
        return self._call([c[0], _Many((*groups[0].items, *groups[1].items), _span(groups))], None, span=_span(c))

    def _call(self, c: list[Any], given: tuple[tree.Argument, ...] | None, span: Span | None = None) -> tree.Call:
        args = next((x.items for x in c if isinstance(x, _Many)), ())
        name = _use(c[0])
        chain = next((a.value for a in (*args, *(given or ())) if isinstance(a.value, tree.Pipeline)), None)
        if chain is not None and (name.id != "residual" or given is not None):
            raise PipelineError(chain.span, "`>>` joins the layers of a net", "as in `net f = Linear(64) >> ReLU`")
        return tree.Call(name.id, args, given, span=span or _span(c), name_span=name.span)

    def given(self, c: list[Any]) -> "_Given":
        return _Given(c[1].items, _span(c))

    def arguments(self, c: list[Any]) -> _Many:
        return _many(c, _nodes(c))

    def argument(self, c: list[Any]) -> tree.Argument:
        return tree.Argument(None, _open(c[0]), span=_span(c))

    def piped(self, c: list[Any]) -> tree.Argument:
        pipeline = tree.Pipeline((_open(c[0]), *c[2].stages), span=_span(c))
        return tree.Argument(None, pipeline, span=pipeline.span)

    def keyword(self, c: list[Any]) -> tree.Argument:
        return tree.Argument(_name(c[0]).id, _open(c[2]), span=_span(c))

    def group(self, c: list[Any]) -> _Grouped:
        return _Grouped(_open(c[1]), _span(c))

    def tuple_literal(self, c: list[Any]) -> tree.TupleLiteral:
        return tree.TupleLiteral(tuple(_nodes(c)), span=_span(c))

    def list_literal(self, c: list[Any]) -> tree.ListLiteral:
        return tree.ListLiteral(tuple(_nodes(c)), span=_span(c))

    def fraction(self, c: list[Any]) -> tree.Quotient:
        numerator, denominator = _nodes(c)
        return tree.Quotient(numerator, denominator, span=_span(c))

    def expectation(self, c: list[Any]) -> tree.Expectation:
        options = next((x.items for x in c if isinstance(x, _Options)), ())
        body = _open(c[-2])
        match c[1]:
            case Token(type="LBRACE"):
                over = _open(c[2])
            case Token(type="NAME"):
                name = _name(c[1])
                over = name
                if isinstance(c[2], Token) and c[2].type == "LPAR":
                    given = next((x.items for x in c[3:-3] if isinstance(x, _Given)), None)
                    inner = c[1 : len(c) - 3]
                    over = self._call([x for x in inner if not isinstance(x, _Given)], given, span=_span(inner))
            case _:
                over = None
        return tree.Expectation(over, body, options, span=_span(c))

    def over(self, c: list[Any]) -> tree.Expr:
        return cast(tree.Expr, _open(c[-1]))

    def functional(self, c: list[Any]) -> tree.Functional:
        kind = canonical_word(str(c[0]))
        options = next((x.items for x in c if isinstance(x, _Options)), ())
        sides = [x for x in _nodes(c) if not isinstance(x, _Options)]
        return tree.Functional(kind, sides[0], sides[1] if len(sides) > 1 else None, options, span=_span(c))

    def options(self, c: list[Any]) -> "_Options":
        return _Options(tuple(_nodes(c)), _span(c))

    def option(self, c: list[Any]) -> tree.Option:
        return tree.Option(_name(c[0]).id, _open(c[2]), span=_span(c))


def _is_term(expr: tree.Expr) -> bool:
    """True if an expression is no name or power of one: `1 / 2 s^2` divides by `2 s^2`."""
    return not isinstance(expr.base if isinstance(expr, tree.Power) else expr, tree.Name | tree.Number)


@dataclass(frozen=True)
class _Given:
    items: tuple[tree.Argument, ...]
    span: Span


@dataclass(frozen=True)
class _Options:
    items: tuple[tree.Option, ...]
    span: Span
