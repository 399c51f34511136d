"""Makes methods: their values, and the arguments that the values ask for."""

from collections.abc import Iterable
from dataclasses import dataclass

from pgcompile.model.model import Model
from pgcompile.model.variable import Variable
from pgcompile.objective.derivation import Rewritten
from pgcompile.objective.terms import OBSERVED
from pgcompile.plan.builder import Builder
from pgcompile.plan.lower.environment import FactorLowering
from pgcompile.plan.lower.places import place_axes
from pgcompile.plan.methods.description import Argument, Method
from pgcompile.plan.module_attributes import ModuleAttributes
from pgcompile.plan.origin import Origin
from pgcompile.plan.passes.heads import finish_heads
from pgcompile.plan.passes.signs import finish_bernoullis
from pgcompile.plan.values import Value


@dataclass
class MethodMaker:
    """Makes the methods of one class.

    Args:
        model: the model.
        tensors: attributes of the class.
    """

    model: Model
    tensors: ModuleAttributes

    def lowering(self, *, sampler: bool = False) -> FactorLowering:
        """A method that computes nothing yet."""
        builder = Builder(sampler=sampler)
        builder.device = lambda: self.tensors.like(builder)
        builder.table = lambda numbers, shape: builder.attribute(self.tensors.constant(numbers, shape), shape, numbers)
        return FactorLowering(builder, self.model, self.tensors)

    def given_parents(self, parents: Iterable[str]) -> FactorLowering:
        """A method of the parents of a factor, which are its arguments."""
        lowering = self.lowering()
        lowering.one_place = True
        for parent in parents:
            lowering.local[parent] = lowering.argument(parent)
        return lowering

    def finished(self, name: str, formula: str, lowering: FactorLowering, outputs: list[tuple[str, Value]]) -> Method:
        outputs = [(key, self.as_tensor(lowering.builder, value)) for key, value in outputs]
        closed = lowering.recurrences.closed([value for _, value in outputs])
        outputs = [(key, value) for (key, _), value in zip(outputs, closed, strict=True)]
        used = {str(v.attributes[0]) for v in lowering.builder.values if v.op == "argument"}
        arguments = [
            Argument(v, self.model.spaces[v].shape, places=tuple(axis.extent for axis in place_axes(lowering, v)))
            for v in self.model.variables
            if v in used and v not in self.model.tensors
        ]
        arguments += [
            Argument(index.lengths, (), lengths=True)
            for index in self.model.indices.ranges.values()
            if index.lengths in used
        ]
        inputs = self.inputs(lowering)
        finish_bernoullis([value for _, value in outputs])
        finish_heads([value for _, value in outputs])
        batched = any(value.batched for _, value in outputs)
        return Method(name, formula, (*arguments, *inputs), lowering.builder, tuple(outputs), batched)

    def as_tensor(self, builder: Builder, value: Value) -> Value:
        """A method gives a tensor, also where its formula folds to a number or to an input."""
        return builder.tensor(builder.as_tensor(value))

    def inputs(self, lowering: FactorLowering) -> tuple[Argument, ...]:
        """The `input`s that were used, those that may be left out behind the others."""
        totals = {index.total for index in self.model.indices.ranges.values()}
        used = {str(v.attributes[0]) for v in lowering.builder.values if v.op == "argument"}
        return tuple(
            Argument(t.name, t.space.shape, True, optional=t.name in totals)
            for t in self.model.tensors.values()
            if t.kind == "input" and t.name in used
        )

    def take_observed(self, lowering: FactorLowering, rewritten: Rewritten) -> None:
        """Observed variables exist before any draw, so that draws can take the batch shape from them."""
        lowering.path = rewritten.path if lowering.path == OBSERVED else lowering.path
        for name in self.model.variables:
            if name in rewritten.observed and name in self.model.deterministic:
                lowering.argument(name)  # it is scored
            elif name in rewritten.observed:
                lowering.variable(Variable(name), OBSERVED)

    def take(self, lowering: FactorLowering, variables: Iterable[Variable]) -> None:
        """The same for the variables of a distribution, in the order in which the program names them."""
        wanted = {*variables}
        for name in self.model.variables:
            if Variable(name) in wanted and name not in self.model.deterministic:
                lowering.variable(Variable(name), OBSERVED)

    def origin(self, objective: str) -> Origin:
        return Origin(self.model.objectives[objective].span, objective)
