"""Holds the values of a method against the specification of a plan: a fault here is one of the compiler."""

import math
import re
from collections.abc import Iterable

from pgcompile.diagnostics import InternalError
from pgcompile.plan.builder import merge_axes
from pgcompile.plan.meaning import size_of
from pgcompile.plan.methods.description import Argument, Method, ModulePlan
from pgcompile.plan.ops import operation
from pgcompile.plan.region import PLACEHOLDER, Region
from pgcompile.plan.values import Axis, Value, live_values
from pgcompile.vocabulary.reserved import ANCHOR


def check_plan(plan: ModulePlan) -> None:
    """Check every method of a plan.

    Raises:
        InternalError: a value breaks the rules of its operation, or a method uses a name that it does not have.
    """
    attributes = _attributes(plan) | {method.name for method in plan.objectives}
    for procedure in plan.procedures:
        check_values(list(procedure.results), procedure.name, procedure.arguments, attributes)
        attributes.add(procedure.name)  # those that call it stand after it
    methods = [*plan.objectives, *(loss.mean for loss in plan.losses), *(method for _, method in plan.log_densities)]
    methods += [plan.terms] if plan.terms is not None else []
    methods += [plan.log_prob] if plan.log_prob is not None else []
    methods += [table.method for table in plan.tables]
    for method in methods:
        check_values([value for _, value in method.outputs], method.name, method.arguments, attributes)
        _check_outputs(method)
    for factor in plan.factors:
        check_values([value for _, value in factor.parameters], factor.name, factor.arguments, attributes)


def check_values(outputs: list[Value], method: str, arguments: Iterable[Argument], attributes: set[str]) -> None:
    """Check the values that a method computes.

    Args:
        outputs: its results.
        method: its name, for the message.
        arguments: what it is given.
        attributes: what its class owns.

    Raises:
        InternalError: with the method, the operation and the rule that is broken.
    """
    names = {argument.name for argument in arguments}
    _check_all(live_values(outputs), method, names, attributes, set())


def _check_all(values: Iterable[Value], method: str, names: set[str], attributes: set[str], made: set[int]) -> None:
    """Check values in order; `made` are the numbers of those that stand before them."""
    made = set(made)
    for value in values:
        fault = _fault(value, names, attributes, made)
        if fault is not None:
            raise InternalError(f"{method}: {value.op} {fault}")
        made.add(value.number)
        if value.region is not None:
            _check_region(value, value.region, method, names, attributes, made)


def _check_region(
    value: Value, region: Region, method: str, names: set[str], attributes: set[str], made: set[int]
) -> None:
    """Check the body of a loop, which sees what it takes and what is made before it."""
    inside = made | {p.number for p in (*region.elements, *region.carried)}
    _check_all(region.body, method, names, attributes, inside)
    if region.axis is None:
        return
    sequences = value.args[: len(region.elements)]
    initial = value.args[len(region.elements) :][: len(region.carried)]
    if any(region.axis not in sequence.axes for sequence in sequences):
        raise InternalError(f"{method}: a sequence of a loop lacks its axis")
    for first, before, after in zip(initial, region.carried, region.following, strict=True):
        if len({(v.shape, v.axes, v.batched) for v in (first, before, after)}) > 1:
            raise InternalError(f"{method}: what a loop carries changes from turn to turn")


def _fault(value: Value, names: set[str], attributes: set[str], made: set[int]) -> str | None:
    """The rule that a value breaks, if it breaks one."""
    row = operation(value.op)
    if not row.takes(len(value.args)):
        return f"takes no {len(value.args)} arguments"
    if value.op == PLACEHOLDER:
        return "stands outside its loop"
    if any(arg.number not in made for arg in value.args):
        return "stands before its arguments"
    if value.op == "constant" and _is_misread(value):
        return f"is {value.attributes[0]}, and not {value.attributes[1]}"
    if value.op == "argument" and value.attributes[0] not in names:
        return f"reads {value.attributes[0]}, which is no argument of the method"
    if value.op == "attribute" and re.split(r"[.\[]", str(value.attributes[0]))[0] not in attributes:
        return f"reads {value.attributes[0]}, which the class does not own"
    if value.op == "procedure" and value.attributes[0] not in attributes:
        return f"calls {value.attributes[0]}, which the class does not have yet"
    if row.shape is not None and value.shape != row.shape(value.args, value.attributes):
        return f"has the shape {value.shape}, not {row.shape(value.args, value.attributes)}"
    if row.axes == "merge" and len(value.args) > 1 and not _lined_up(value.args):
        return "takes values whose axes do not line up"
    if callable(row.axes) and value.axes != row.axes(value.args, value.attributes):
        return "keeps an axis that it reduces"
    if len(set(value.axes)) < len(value.axes) or list(value.axes) != sorted(
        value.axes, key=lambda axis: axis.order, reverse=True
    ):
        return "has axes out of order"
    return None


def _lined_up(args: tuple[Value, ...]) -> bool:
    """True if the axes of each argument stand at the same places, counted from the batch."""
    axes = merge_axes(args)
    return all(
        found in (None, wanted)
        for arg in args
        for found, wanted in zip(reversed(_layout(arg)), reversed(axes), strict=False)
    )


def _layout(value: Value) -> list[Axis | None]:
    """The axes of a value as they stand in its shape, None for ones between them."""
    found: list[Axis | None] = [*value.axes]
    for at in value.attributes if value.op == "unsqueeze_axes" else ():
        assert isinstance(at, int)
        found.insert(at, None)
    return found


def _is_misread(constant: Value) -> bool:
    """True if the text of a number is that of another."""
    number, *text = constant.attributes
    assert isinstance(number, float)
    return bool(text) and not math.isclose(abs(number), size_of(str(text[0])), rel_tol=1e-9)


def _check_outputs(method: Method) -> None:
    left = [name for name, value in method.outputs if value.axes]
    if left:
        raise InternalError(f"{method.name}: an axis was left in {left[0]}")


def _attributes(plan: ModulePlan) -> set[str]:
    """Names of everything that the class owns."""
    tensors = plan.tensors
    stored = {name for tensor in plan.model.tensors.values() for name in (tensor.name, f"free_{tensor.name}")}
    return {ANCHOR, *tensors.modules, *tensors.constants, *tensors.flows, *tensors.externs, *stored}
