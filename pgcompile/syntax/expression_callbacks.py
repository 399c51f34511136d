"""Parser callbacks of expressions: children of a grammar rule in, a tree node out."""

from typing import Any, cast

from lark import Token, Transformer

from pgcompile.diagnostics import Span
from pgcompile.syntax import tree
from pgcompile.syntax.children import (
    Given,
    Grouped,
    Many,
    NameError_,
    OperatorError,
    Options,
    PipelineError,
    Range,
    many,
    name_of,
    nodes_in,
    opened,
    place_of,
    span_over,
    used_name,
)
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


class Expressions(Transformer[Token, Any]):
    """Callbacks of expressions, one a rule of the grammar."""

    def sum(self, c: list[Any]) -> tree.Expr:
        terms: list[tuple[int, tree.Expr]] = []
        sign = 1
        for child in c:
            if isinstance(child, Token):
                sign = -1 if child.type == "MINUS" else 1
            else:
                node = opened(child)
                if not terms and isinstance(child, tree.Negative) and len(c) > 1:
                    sign, node = -1, child.operand
                terms.append((sign, node))
                sign = 1
        if len(terms) == 1:
            sign, node = terms[0]
            return tree.Negative(node, span=span_over(c)) if sign < 0 else node
        return tree.Sum(tuple(terms), span=span_over(c))

    def sign(self, c: list[Any]) -> Token:
        return cast(Token, c[0])

    def compare(self, c: list[Any]) -> tree.Call:
        left, sign, right = c
        name = COMPARISON_NAMES[_SIGNS.get(str(sign), str(sign))]
        arguments = tuple(tree.Argument(None, opened(x), span=place_of(x)) for x in (left, right))
        return tree.Call(name, arguments, span=span_over(c), name_span=place_of(sign))

    def text(self, c: list[Any]) -> tree.Text:
        return tree.Text(str(c[0])[1:-1], span=span_over(c))

    def times(self, c: list[Any]) -> tree.Product:
        left = c[0].factors if isinstance(c[0], tree.Product) else (opened(c[0]),)
        right = c[2].factors if isinstance(c[2], tree.Product) else (opened(c[2]),)
        return tree.Product((*left, *right), span=span_over(c))

    def divide(self, c: list[Any]) -> tree.Quotient | tree.Product:
        top, bottom = opened(c[0]), opened(c[2])
        match bottom:
            case tree.Product((tree.Number() as number, *rest)) if _weighs(top, rest[0]):
                # `1/2 KL[q || p]`, `1/2 kl`: a fraction of numbers weighs what stands behind it.
                fraction = tree.Quotient(top, number, span=Span(top.span.start, number.span.end))
                return tree.Product((fraction, *rest), span=span_over(c))
            case _:
                return tree.Quotient(top, bottom, span=span_over(c))

    def matmul(self, c: list[Any]) -> tree.MatMul:
        return tree.MatMul(opened(c[0]), opened(c[2]), span=span_over(c))

    def negative(self, c: list[Any]) -> tree.Expr:
        return tree.Negative(opened(c[1]), span=span_over(c))

    def juxtaposed(self, c: list[Any]) -> tree.Product:
        return tree.Product(tuple(nodes_in(c)), span=span_over(c))

    def log(self, c: list[Any]) -> tree.Log:
        return tree.Log(nodes_in(c)[0], span=span_over(c))

    def integral(self, c: list[Any]) -> tree.Integral:
        variables = []
        for token in c:
            if isinstance(token, Token) and token.type == "DIFFERENTIAL":
                name = canonical_name(str(token)[1:].removeprefix("_") if len(token) > 1 else "")
                if name is None:
                    raise NameError_(place_of(token), str(token))
                variables.append(tree.Name(name, span=place_of(token)))
        return tree.Integral(nodes_in(c)[0], tuple(variables), span=span_over(c))

    def sum_over(self, c: list[Any]) -> tree.Integral | tree.OverIndex:
        variables, body = c[1], nodes_in(c)[-1]
        if not isinstance(variables, list):
            return self._over_index("sum", c)
        return tree.Integral(body, tuple(variables), is_sum=True, span=span_over(c))

    def prod_over(self, c: list[Any]) -> tree.OverIndex:
        return self._over_index("prod", c)

    def _over_index(self, kind: str, c: list[Any]) -> tree.OverIndex:
        """`sum_{t=1}^{T} body`, or `prod_t body`."""
        within = c[1] if isinstance(c[1], Range) else Range(c[1][0])
        if isinstance(c[1], list) and len(c[1]) != 1:
            raise OperatorError(span_over(c), f"`{kind}` is over one index at a time", f"write {kind}_t {kind}_n ...")
        return tree.OverIndex(kind, within.name, nodes_in(c)[-1], within.low, within.high, span=span_over(c))

    def mean_over(self, c: list[Any]) -> tree.Expectation | tree.OverIndex:
        """`mean_{x'} f`, the mean over the rows of the batch, is that over the data."""
        variables, body = c[1], nodes_in(c)[-1]
        if not isinstance(variables, list):
            return self._over_index("mean", c)
        if isinstance(body, tree.ListLiteral) and len(body.items) == 1:
            body = body.items[0]
        names = tuple(tree.Argument(None, name, span=name.span) for name in variables)
        over = tree.Call("data", names, span=span_over(c), name_span=span_over(c))
        return tree.Expectation(over, body, span=span_over(c))

    def sum_range(self, c: list[Any]) -> Any:
        inside = [x for x in c if not (isinstance(x, Token) and x.type in ("LBRACE", "RBRACE", "COMMA"))]
        alone = all(isinstance(x, Token) and x.type == "NAME" for x in inside)
        if alone:
            return [name_of(x) for x in inside]
        tokens = [x.type if isinstance(x, Token) else "" for x in inside]
        bounds: dict[str, tree.Expr] = {}
        for kind in ("EQUAL", "POWER"):
            if kind in tokens:
                bound = inside[tokens.index(kind) + 1]
                bounds[kind] = opened(bound) if not isinstance(bound, Token) else _bound_of(bound)
        return Range(name_of(inside[0]), bounds.get("EQUAL"), bounds.get("POWER"))

    def power_of(self, c: list[Any]) -> tree.Power:
        return tree.Power(opened(c[0]), opened(c[2]), span=span_over(c))

    def exponent(self, c: list[Any]) -> Any:
        return nodes_in(c)[0]

    def superscript(self, c: list[Any]) -> tree.Power:
        return tree.Power(opened(c[0]), tree.Number(superscript(str(c[1])), span=place_of(c[1])), span=span_over(c))

    def index(self, c: list[Any]) -> tree.Index:
        base, *indices = nodes_in(c)
        return tree.Index(base, tuple(indices), span=span_over(c))

    def rename(self, c: list[Any]) -> tree.Rename:
        base, *pairs = nodes_in(c)
        return tree.Rename(base, tuple(p.items for p in pairs), span=span_over(c))

    def renaming(self, c: list[Any]) -> Many:
        return many(c, [name_of(c[0]), name_of(c[2])])

    def number(self, c: list[Any]) -> tree.Number:
        return tree.Number(str(c[0]), span=span_over(c))

    def name(self, c: list[Any]) -> tree.Name:
        return used_name(c[0])

    def call(self, c: list[Any]) -> tree.Call:
        return self._call(c, None)

    def factor(self, c: list[Any]) -> tree.Call:
        given = next(x for x in c if isinstance(x, Given))
        return self._call([x for x in c if not isinstance(x, Given)], given.items, span=span_over(c))

    def parametrised(self, c: list[Any]) -> tree.Call:
        """`L(theta, phi; x)`: a formula with its parameters before the semicolon."""
        groups = [x for x in c if isinstance(x, Many)]
        return self._call(
            [c[0], Many((*groups[0].items, *groups[1].items), span_over(groups))], None, span=span_over(c)
        )

    def _call(self, c: list[Any], given: tuple[tree.Argument, ...] | None, span: Span | None = None) -> tree.Call:
        args = next((x.items for x in c if isinstance(x, Many)), ())
        name = used_name(c[0])
        chain = next((a.value for a in (*args, *(given or ())) if isinstance(a.value, tree.Pipeline)), None)
        if chain is not None and (name.id != "residual" or given is not None):
            raise PipelineError(chain.span, "`>>` joins the layers of a net", "as in `net f = Linear(64) >> ReLU`")
        return tree.Call(name.id, args, given, span=span or span_over(c), name_span=name.span)

    def given(self, c: list[Any]) -> "Given":
        return Given(c[1].items, span_over(c))

    def arguments(self, c: list[Any]) -> Many:
        return many(c, nodes_in(c))

    def argument(self, c: list[Any]) -> tree.Argument:
        return tree.Argument(None, opened(c[0]), span=span_over(c))

    def piped(self, c: list[Any]) -> tree.Argument:
        pipeline = tree.Pipeline((opened(c[0]), *c[2].stages), span=span_over(c))
        return tree.Argument(None, pipeline, span=pipeline.span)

    def keyword(self, c: list[Any]) -> tree.Argument:
        return tree.Argument(name_of(c[0]).id, opened(c[2]), span=span_over(c))

    def group(self, c: list[Any]) -> Grouped:
        return Grouped(self.body(c[1:-1]), span_over(c))

    def body(self, c: list[Any]) -> Any:
        """A formula in brackets, with what its `where` binds."""
        value = opened(c[0])
        return tree.Where(value, c[1].items, span=span_over(c)) if len(c) > 1 else value

    def tuple_literal(self, c: list[Any]) -> tree.TupleLiteral:
        return tree.TupleLiteral(tuple(nodes_in(c)), span=span_over(c))

    def list_literal(self, c: list[Any]) -> tree.ListLiteral:
        return tree.ListLiteral(tuple(nodes_in(c)), span=span_over(c))

    def fraction(self, c: list[Any]) -> tree.Quotient:
        numerator, denominator = nodes_in(c)
        return tree.Quotient(numerator, denominator, span=span_over(c))

    def expectation(self, c: list[Any]) -> tree.Expectation:
        options = next((x.items for x in c if isinstance(x, Options)), ())
        body = opened(c[-2])
        match c[1]:
            case Token(type="LBRACE"):
                over = opened(c[2])
            case Token(type="NAME"):
                name = name_of(c[1])
                over = name
                if isinstance(c[2], Token) and c[2].type == "LPAR":
                    given = next((x.items for x in c[3:-3] if isinstance(x, Given)), None)
                    inner = c[1 : len(c) - 3]
                    over = self._call([x for x in inner if not isinstance(x, Given)], given, span=span_over(inner))
            case _:
                over = None
        return tree.Expectation(over, body, options, span=span_over(c))

    def over(self, c: list[Any]) -> tree.Expr:
        return cast(tree.Expr, opened(c[-1]))

    def functional(self, c: list[Any]) -> tree.Functional:
        kind = canonical_word(str(c[0]))
        options = next((x.items for x in c if isinstance(x, Options)), ())
        sides = [x for x in nodes_in(c) if not isinstance(x, Options)]
        return tree.Functional(kind, sides[0], sides[1] if len(sides) > 1 else None, options, span=span_over(c))

    def options(self, c: list[Any]) -> "Options":
        return Options(tuple(nodes_in(c)), span_over(c))

    def option(self, c: list[Any]) -> tree.Option:
        return tree.Option(name_of(c[0]).id, opened(c[2]), span=span_over(c))


def _bound_of(token: Token) -> tree.Expr:
    return tree.Number(str(token), span=place_of(token)) if token.type == "NUMBER" else name_of(token)


def _weighs(top: tree.Expr, behind: tree.Expr) -> bool:
    """True if `top / number` weighs what stands behind it: `1/2 kl`, `beta/2 KL[q || p]`, but not `x / 2 s`."""
    if isinstance(top, tree.Number):
        return True
    inside = behind.base if isinstance(behind, tree.Power) else behind
    return isinstance(top, tree.Name) and not isinstance(inside, tree.Name | tree.Number)
