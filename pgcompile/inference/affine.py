"""Affine maps among expressions: `W @ z + b`, `2 * z`, a Linear layer of `z`, through `where` names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pgcompile.inference.expression_maker import ONE, ZERO, Maker
from pgcompile.model.model import Model
from pgcompile.syntax import tree
from pgcompile.syntax.tree import names_in
from pgcompile.typing.nets import has_bias, linear_layer

ELEMENTWISE, MATRIX, ROW = "elementwise", "matrix", "row"


@dataclass(frozen=True)
class Affine:
    """`coefficient z + offset`.

    Args:
        kind: how the coefficient acts: `elementwise`, as a `matrix`, or as a `row` (`w @ z`, a scalar).
        coefficient: None where the expression does not depend on the variable.
        offset: the rest.
    """

    kind: str
    coefficient: tree.Expr | None
    offset: tree.Expr


@dataclass(frozen=True)
class AffineReader:
    """Reader of expressions as affine maps of one variable.

    Args:
        model: nets.
        variable: what they are affine in.
        inline: what names stand for that are no variables: `where` names and deterministic variables.
        size: entries of the variable, None where it is no vector.
        rank: event dimensions of an expression.
        make: makes expressions.
    """

    model: Model
    variable: str
    inline: Mapping[str, tree.Expr]
    size: int | None
    rank: Callable[[tree.Expr], int]
    make: Maker

    def depends(self, expr: tree.Expr) -> bool:
        """True if an expression depends on the variable, through the names that it uses."""
        pending, seen = [expr], set()
        while pending:
            for name in names_in(pending.pop()):
                if name == self.variable:
                    return True
                if name in self.inline and name not in seen:
                    seen.add(name)
                    pending.append(self.inline[name])
        return False

    def read(self, expr: tree.Expr) -> Affine | None:
        """The affine map, or None where the expression is none that is recognised."""
        if not self.depends(expr):
            return Affine(ELEMENTWISE, None, expr)
        match expr:
            case tree.Name(id):
                return Affine(ELEMENTWISE, ONE, ZERO) if id == self.variable else self.read(self.inline[id])
            case tree.Negative(operand):
                return self._scaled(self.read(operand), tree.Number("-1"))
            case tree.Sum(items):
                return self._sum(items)
            case tree.Product(factors):
                moving = [f for f in factors if self.depends(f)]
                rest = self.make.times(*(f for f in factors if not self.depends(f)))
                return self._scaled(self.read(moving[0]), rest) if len(moving) == 1 else None
            case tree.Quotient(top, bottom) if not self.depends(bottom):
                return self._scaled(self.read(top), self.make.over(ONE, bottom))
            case tree.MatMul(left, right):
                return self._matmul(left, right)
            case tree.Call(name=name, args=(argument,)) if name in self.model.nets:
                return self._layer(name, argument.value)
            case _:
                return None

    def _sum(self, items: tuple[tuple[int, tree.Expr], ...]) -> Affine | None:
        total = Affine(ELEMENTWISE, None, ZERO)
        for sign, item in items:
            found = self.read(item)
            found = self._scaled(found, tree.Number("-1")) if sign < 0 else found
            if found is None:
                return None
            if total.coefficient is not None and found.coefficient is not None and total.kind != found.kind:
                wide = self._as_matrix(total), self._as_matrix(found)
                if wide[0] is None or wide[1] is None:
                    return None
                total, found = wide  # type: ignore[assignment]
                assert found is not None
            kind = total.kind if total.coefficient is not None else found.kind
            coefficients = [c for c in (total.coefficient, found.coefficient) if c is not None]
            offset = self.make.add(total.offset, found.offset)
            total = Affine(kind, self.make.add(*coefficients) if coefficients else None, offset)
        return total

    def _as_matrix(self, found: Affine) -> Affine | None:
        if found.kind == MATRIX:
            return found
        if found.kind == ROW or self.size is None or found.coefficient is None:
            return None
        wide = found.coefficient
        if not self.rank(wide):
            wide = self.make.times(wide, self.make.ones(self.size))
        return Affine(MATRIX, self.make.call("diag", wide), found.offset)

    def _scaled(self, found: Affine | None, by: tree.Expr) -> Affine | None:
        if found is None:
            return None
        make = self.make
        if found.coefficient is None or found.kind == ELEMENTWISE or not self.rank(by):
            inner = None if found.coefficient is None else make.times(by, found.coefficient)
            return Affine(found.kind, inner, make.times(by, found.offset))
        if found.kind == ROW:
            return None
        return Affine(MATRIX, make.matmul(make.call("diag", by), found.coefficient), make.times(by, found.offset))

    def _matmul(self, left: tree.Expr, right: tree.Expr) -> Affine | None:
        make = self.make
        if self.depends(left):
            if self.depends(right) or self.rank(left) != 1:
                return None
            if self.rank(right) == 1:
                return self._matmul(right, left)
            return self._matmul(make.call("transpose", right), left)
        inner = self.read(right)
        if inner is None or inner.coefficient is None or self.rank(right) != 1:
            return None
        kind = MATRIX if self.rank(left) == 2 else ROW
        offset = ZERO if inner.offset == ZERO else make.matmul(left, inner.offset)
        if inner.kind == MATRIX:
            return Affine(kind, make.matmul(left, inner.coefficient), offset)
        if inner.kind == ROW:
            return None
        if self.rank(inner.coefficient) and kind == MATRIX:
            return Affine(kind, make.matmul(left, make.call("diag", inner.coefficient)), offset)
        return Affine(kind, make.times(inner.coefficient, left), offset)

    def _layer(self, net: str, argument: tree.Expr) -> Affine | None:
        """A net that is one Linear layer: its weight times what it is given, and its bias."""
        make = self.make
        segment = linear_layer(self.model.nets[net])
        if segment is None:
            return None
        name = tree.Name(net, span=make.span)
        found = self._matmul(make.call("weight", name), argument)
        if found is None or not has_bias(segment):
            return found
        return Affine(found.kind, found.coefficient, make.add(found.offset, make.call("bias", name)))
