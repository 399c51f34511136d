"""Parser callbacks: children of a grammar rule in, a tree node out. Called by the LALR parser as it reduces.

Every token is kept as a child, so that a node's span reaches from its first to its last one.
"""

from typing import Any

from pgcompile.syntax import tree
from pgcompile.syntax.children import (
    Many,
    OperatorError,
    many,
    name_of,
    names_of,
    nodes_in,
    opened,
    place_of,
    span_over,
)
from pgcompile.syntax.expression_callbacks import Expressions


class Builder(Expressions):
    """One method a grammar rule."""

    # --- statements ---

    def statement(self, c: list[Any]) -> Any:
        return c[0]

    def space_declaration(self, c: list[Any]) -> tree.SpaceDeclaration:
        return tree.SpaceDeclaration(c[0].items, c[2], span=span_over(c))

    def const_declaration(self, c: list[Any]) -> tree.ConstDeclaration:
        return tree.ConstDeclaration(name_of(c[1]), opened(c[3]), span=span_over(c))

    def tensor_declaration(self, c: list[Any]) -> tree.TensorDeclaration:
        initial = opened(c[5]) if len(c) > 5 else None
        return tree.TensorDeclaration(str(c[0]), c[1].items, c[3], initial, span=span_over(c))

    def net_declaration(self, c: list[Any]) -> tree.NetDeclaration:
        at = next(i for i, x in enumerate(c) if isinstance(x, tree.Pipeline))
        inputs = next((x.items for x in c[:at] if isinstance(x, Many)), None)
        bindings = next((x.items for x in c[at:] if isinstance(x, Many)), ())
        return tree.NetDeclaration(name_of(c[1]), inputs, c[at], bindings, span=span_over(c))

    def extern_net(self, c: list[Any]) -> tree.ExternNet:
        return tree.ExternNet(name_of(c[2]), c[4].items, c[7].items, span=span_over(c))

    def single_output(self, c: list[Any]) -> Many:
        return many(c, [(None, c[0])])

    def named_outputs(self, c: list[Any]) -> Many:
        return many(c, [n.items for n in nodes_in(c)])

    def named_output(self, c: list[Any]) -> Many:
        return many(c, [name_of(c[0]), c[2]])

    def extern_factor(self, c: list[Any]) -> Any:
        head = opened(c[1])
        if not isinstance(head, tree.Call):
            raise OperatorError(
                place_of(c[1]),
                "`extern` is followed by a factor or a net",
                "write `extern p(x|z)` or `extern net f(x) -> real[3]`",
            )
        return tree.ExternFactor(head, span=span_over(c))

    def flow_declaration(self, c: list[Any]) -> tree.FlowDeclaration:
        inputs = next((x.items for x in c[2:-1] if isinstance(x, Many)), None)
        return tree.FlowDeclaration(name_of(c[1]), inputs, c[-1].items, span=span_over(c))

    def flow_pipeline(self, c: list[Any]) -> Many:
        return many(c, nodes_in(c))

    def flow_stage(self, c: list[Any]) -> Any:
        return opened(c[0])

    def repeat(self, c: list[Any]) -> tree.Repeat:
        count = tree.Number(str(c[1]), span=place_of(c[1])) if c[1].type == "NUMBER" else name_of(c[1])
        return tree.Repeat(count, c[3].items, span=span_over(c))

    def index_declaration(self, c: list[Any]) -> tree.IndexDeclaration:
        """`index t in 1..T padded`: the parser takes the last two words for a product."""
        bounds = nodes_in(c)
        if len(bounds) == 1:
            if bounds[0] != tree.Name("data"):
                raise OperatorError(
                    place_of(bounds[0]), "an index has a range", "write `index t in 1..T`, or `in data`"
                )
            return tree.IndexDeclaration(name_of(c[1]), span=span_over(c))
        low, high = bounds
        padded = isinstance(high, tree.Product) and len(high.factors) == 2 and high.factors[1] == tree.Name("padded")
        if padded:
            high = high.factors[0]
        return tree.IndexDeclaration(name_of(c[1]), low, high, padded, span=span_over(c))

    def definition(self, c: list[Any]) -> tree.Definition:
        return tree.Definition(opened(c[0]), opened(c[2]), span=span_over(c))

    def proportional(self, c: list[Any]) -> tree.Proportional:
        return tree.Proportional(opened(c[0]), opened(c[2]), span=span_over(c))

    def optimise(self, c: list[Any]) -> tree.Optimise:
        direction = "maximize" if c[0].type == "MAXIMIZE" else "minimize"
        wrt = next((x.items for x in c[2:] if isinstance(x, Many)), None)
        optimiser = c[-1] if isinstance(c[-1], tree.Call) and len(c) > 2 else None
        return tree.Optimise(direction, opened(c[1]), wrt, optimiser, span=span_over(c))

    def wrt(self, c: list[Any]) -> Many:
        return many(c, nodes_in(c))

    def using(self, c: list[Any]) -> tree.Call:
        method = opened(c[1])
        if isinstance(method, tree.Name):
            method = tree.Call(method.id, (), span=method.span, name_span=method.span)
        if not isinstance(method, tree.Call):
            raise OperatorError(place_of(c[1]), "`using` is followed by an optimiser", "write `using Adam(lr = 1e-3)`")
        return method

    def structure(self, c: list[Any]) -> tree.Structure:
        return tree.Structure(opened(c[0]), span=span_over(c))

    def names(self, c: list[Any]) -> Many:
        return many(c, names_of(c))

    def space(self, c: list[Any]) -> tree.SpaceExpr:
        return tree.SpaceExpr(name_of(c[0]).id, tuple(g.items for g in c[1:]), span=span_over(c))

    def space_group(self, c: list[Any]) -> Many:
        return many(c, nodes_in(c))

    def right_side(self, c: list[Any]) -> Any:
        return self.body(c)

    def where(self, c: list[Any]) -> Many:
        return many(c, nodes_in(c))

    def bind_one(self, c: list[Any]) -> tree.Binding:
        return tree.Binding((name_of(c[0]),), opened(c[-1]), span=span_over(c))

    def bind_many(self, c: list[Any]) -> tree.Binding:
        return tree.Binding(tuple(names_of(c)), opened(c[-1]), span=span_over(c))

    def pipeline(self, c: list[Any]) -> tree.Pipeline:
        return tree.Pipeline(tuple(nodes_in(c)), span=span_over(c))

    # --- expressions ---
