"""Expressions over variables, params and nets, evaluated entry by entry as they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from pgcompile.diagnostics import InternalError
from pgcompile.model.calls import parts_of_call
from pgcompile.model.literals import evaluate
from pgcompile.model.model import Model
from pgcompile.reference.fields import Field, aligned, constant, matmul
from pgcompile.reference.functions import TENSOR_FUNCTIONS
from pgcompile.reference.nets import call_net, layer_tensor
from pgcompile.reference.scopes import Scope, elementwise
from pgcompile.syntax import tree
from pgcompile.vocabulary.functions import FUNCTIONS

Modules = Mapping[str, Callable[..., Tensor | tuple[Tensor, ...]]]


@dataclass(frozen=True, eq=False)
class Expressions:
    """Evaluates expressions.

    Args:
        model: the model.
        modules: the layers of each segment of a net, by its attribute, and supplied nets by their name.
        tensors: values of params, buffers and inputs, by name.
    """

    model: Model
    modules: Modules
    tensors: Mapping[str, Tensor]

    def evaluate(self, expr: tree.Expr, scope: Scope) -> Field:
        """An expression, in which a scalar combines with each entry of what has more dimensions."""
        number = evaluate(expr, self.model.constants)
        if number is not None:
            return constant(number)
        match expr:
            case tree.Name(id):
                return self._name(id, scope)
            case tree.Where(tree.Name(id), (binding,)):
                return self._bound(binding, [name.id for name in binding.names].index(id), scope)
            case tree.Negative(operand):
                inner = self.evaluate(operand, scope)
                return Field(-inner.tensor, inner.rank)
            case tree.Sum(items):
                total = constant(Fraction(0))
                for sign, item in items:
                    a, b, rank = aligned(total, self.evaluate(item, scope))
                    total = Field(a + sign * b, rank)
                return total
            case tree.Product(factors):
                product = self.evaluate(factors[0], scope)
                for factor in factors[1:]:
                    a, b, rank = aligned(product, self.evaluate(factor, scope))
                    product = Field(a * b, rank)
                return product
            case tree.Quotient(top, bottom):
                a, b, rank = aligned(self.evaluate(top, scope), self.evaluate(bottom, scope))
                return Field(a / b, rank)
            case tree.Power(base, exponent):
                a, b, rank = aligned(self.evaluate(base, scope), self.evaluate(exponent, scope))
                return Field(a**b, rank)
            case tree.MatMul(left, right):
                return matmul(self.evaluate(left, scope), self.evaluate(right, scope))
            case tree.Log(operand):
                density = scope.log_density(operand)
                if density is not None:
                    return Field(density, 0)
                inner = self.evaluate(operand, scope)
                return Field(inner.tensor.log(), inner.rank)
            case tree.Index(base, indices):
                return self._index(self.evaluate(base, scope), [self.evaluate(i, scope) for i in indices])
            case tree.Call():
                return self._call(expr, scope)
            case tree.Along(call):
                whole = self._call(call, scope)
                # What is not unrolled is given the places before it, of which it is the last.
                return Field(whole.tensor.select(whole.tensor.ndim - whole.rank, -1), whole.rank - 1)
            case tree.OverIndex(body=body):
                return self.evaluate(body, scope)  # of one place
            case tree.AtFirst(rest=rest):
                return self.evaluate(rest, scope)  # what is not unrolled is one of the later places
            case _:
                raise InternalError(f"the reference cannot interpret {type(expr).__name__}")

    def _name(self, name: str, scope: Scope) -> Field:
        if name in scope.bound:
            binding, position = scope.bound[name]
            # `where x = f(x)` means the outer x on the right.
            others = tuple(dict.fromkeys(b for b, _ in scope.bound.values() if b is not binding))
            return self._bound(binding, position, replace(scope, bindings=others))
        if name in self.model.tensors:
            return Field(self.tensors[name], len(self.model.tensors[name].space.shape))
        if name == "pi" and name not in self.model.variables:
            return Field(torch.tensor(torch.pi, dtype=torch.float64), 0)
        return scope.variable(name)

    def _bound(self, binding: tree.Binding, position: int, scope: Scope) -> Field:
        if isinstance(binding.value, tree.Call) and binding.value.name in self.model.nets:
            results = call_net(self, binding.value, scope)
            if isinstance(results, tuple):
                return results[position]
            whole = results
        else:
            whole = self.evaluate(binding.value, scope)
        if len(binding.names) == 1:
            return whole
        return Field(whole.tensor.chunk(len(binding.names), -1)[position], whole.rank)

    def _index(self, base: Field, indices: list[Field]) -> Field:
        rows, lead = base, 0  # a vector of indices stands before the dimensions that are left
        for index in indices:
            if index.tensor.ndim == 0:
                found = rows.tensor.select(-(rows.rank - lead), int(index.tensor))
            elif rows.tensor.ndim == rows.rank:
                found, lead = rows.tensor[index.tensor.long()], index.rank
            else:
                found, lead = _rows(rows, index), index.rank
            rows = Field(found, rows.rank - 1 + index.rank)
        return rows

    def _call(self, call: tree.Call, scope: Scope) -> Field:
        if call.name in self.model.nets:
            result = call_net(self, call, scope)
            assert isinstance(result, Field)
            return result
        if call.name in ("grad", "jacobian"):
            return self._derivative(call, scope)
        if call.name in ("weight", "bias"):
            return layer_tensor(self, call)
        if call.name == "quantile" and scope.quantile is not None:
            return scope.quantile(call, self.evaluate(call.args[1].value, scope))
        if call.name == "observed" and isinstance(call.args[0].value, tree.Name) and scope.observed is not None:
            return scope.observed(call.args[0].value.id)
        if call.name == "shuffle" and scope.shuffled is not None:
            return scope.shuffled(self.evaluate(call.args[0].value, scope))
        tensors, literals = parts_of_call(call, self.model.constants)
        arguments = [self.evaluate(a.value, scope) for a in tensors if a.name is None]
        named = {a.name: self.evaluate(a.value, scope) for a in tensors if a.name is not None}
        if call.name in TENSOR_FUNCTIONS:
            return TENSOR_FUNCTIONS[call.name](arguments, literals)
        first = arguments[0]
        match call.name:
            case "min" | "max":
                a, b, rank = aligned(*arguments)
                a, b = torch.broadcast_tensors(a, b)
                return Field(torch.minimum(a, b) if call.name == "min" else torch.maximum(a, b), rank)
            case "clamp":
                low = named.get("min", arguments[1] if len(arguments) > 1 else None)
                high = named.get("max", arguments[2] if len(arguments) > 2 else None)
                bounds = [None if f is None else f.tensor for f in (low, high)]
                return Field(first.tensor.clamp(*bounds), first.rank)
            case "sum" | "mean":
                dims = tuple(range(-first.rank, 0))
                reduced = getattr(first.tensor, call.name)(dims) if dims else first.tensor
                return Field(reduced, 0)
            case "softmax" | "log_softmax":
                return Field(getattr(torch, call.name)(first.tensor, -1), first.rank)
            case "logsumexp":
                return Field(first.tensor.logsumexp(-1), first.rank - 1)
            case "one_hot":
                assert isinstance(call.args[0].value, tree.Name)
                index = call.args[0].value.id
                size = (scope.spaces.get(index) or self.model.spaces[index]).categories or 0
                return Field(torch.nn.functional.one_hot(first.tensor.long(), size).double(), first.rank + 1)
            case "inverse" | "cholesky":
                return Field(getattr(torch.linalg, {"inverse": "inv"}.get(call.name, call.name))(first.tensor), 2)
            case "diag":
                return Field(first.tensor.unsqueeze(-1) * torch.eye(first.tensor.shape[-1], dtype=torch.float64), 2)
            case "outer":
                return Field(first.tensor.unsqueeze(-1) * arguments[1].tensor.unsqueeze(-2), 2)
            case name if name in FUNCTIONS:
                return Field(elementwise(name)(first.tensor), first.rank)
            case _:
                raise InternalError(f"the reference does not know {call.name}")

    def _derivative(self, call: tree.Call, scope: Scope) -> Field:
        """The slopes of a number or of each entry of a vector, by reverse-mode differentiation."""
        formula, name = (argument.value for argument in call.args)
        assert isinstance(name, tree.Name)
        assert scope.at is not None
        x, value = self.evaluate(name, scope), self.evaluate(formula, scope)
        cut = x.tensor.ndim - x.rank
        lead = torch.broadcast_shapes(x.tensor.shape[:cut], value.tensor.shape[: value.tensor.ndim - value.rank])
        whole = x.tensor.expand(*lead, *x.tensor.shape[cut:])
        with torch.enable_grad():
            at = whole * 1.0 if whole.requires_grad else whole.detach().clone().requires_grad_()
            value = self.evaluate(formula, scope.at(name.id, Field(at, x.rank)))
            entries = value.tensor.unbind(-1) if value.rank else [value.tensor]
            rows = [
                torch.autograd.grad(entry.sum(), at, create_graph=True, materialize_grads=True)[0] for entry in entries
            ]
        return Field(torch.stack(rows, -2), 2) if value.rank else Field(rows[0], x.rank)


def _rows(base: Field, index: Field) -> Tensor:
    """The rows of a table at an index, one data point after another."""
    cut, own = base.tensor.ndim - base.rank, index.tensor.ndim - index.rank
    lead = torch.broadcast_shapes(base.tensor.shape[:cut], index.tensor.shape[:own])
    tables = base.tensor.expand(*lead, *base.tensor.shape[cut:]).reshape(-1, *base.tensor.shape[cut:])
    places = index.tensor.long().expand(*lead, *index.tensor.shape[own:]).reshape(-1, *index.tensor.shape[own:])
    rows = torch.stack([table[place] for table, place in zip(tables, places, strict=True)])
    return rows.reshape(*lead, *rows.shape[1:])
