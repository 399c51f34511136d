"""The specification of a plan, held against plans of the examples and against plans that break it."""

import math
from collections.abc import Callable

import pytest

from pgcompile.diagnostics import InternalError, Source
from pgcompile.inference.generative import generative_part
from pgcompile.pipeline import analyse
from pgcompile.plan.builder import Builder
from pgcompile.plan.check import check_plan, check_values
from pgcompile.plan.methods.description import Argument, Method, ModulePlan
from pgcompile.plan.methods.planner import plan_module
from pgcompile.plan.ops import OPERATIONS
from pgcompile.plan.values import Axis, AxisKind, Value, live_values
from tests.programs import EXAMPLES


def planned(text: str) -> ModulePlan:
    analysis = analyse(Source(text, "program"))
    return plan_module(analysis.model, generative_part(analysis.model, analysis.resolver), analysis.rewritten)


def methods_of(plan: ModulePlan) -> list[Method]:
    found = [*plan.objectives, *(loss.mean for loss in plan.losses), *(method for _, method in plan.log_densities)]
    return [*found, *(m for m in (plan.terms, plan.log_prob) if m is not None)]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_plan_of_an_example(name: str) -> None:
    """It keeps its rules, computes nothing twice that is no draw, and the texts of its numbers are those numbers."""
    plan = planned(EXAMPLES[name])
    check_plan(plan)
    for method in methods_of(plan):
        seen: set[object] = set()
        for value in live_values([value for _, value in method.outputs]):
            if value.op == "constant" and len(value.attributes) > 1:
                number, text = value.attributes
                assert isinstance(number, float)
                # The text is the compiler's own, of numbers and `math`.
                size = eval(str(text), {"math": math, "__builtins__": {}})  # noqa: S307
                assert math.isclose(abs(number), size, rel_tol=1e-12)
            if not OPERATIONS[value.op].noise:
                key = (value.op, tuple(map(id, value.args)), value.attributes, value.shape, value.batched, value.axes)
                assert key not in seen
                seen.add(key)


def _broken_shape(x: Value, build: Builder) -> Value:
    x = build.unary("exp", x)
    x.shape = (4,)
    return x


def _kept_axis(x: Value, build: Builder) -> Value:
    axis = Axis(AxisKind.SAMPLE, "z", 5, (0, 0, 0))
    many = Value("expand_axes", (x,), (5,), x.shape, x.batched, (axis,), 1, "")
    return Value("sum_axis", (many,), (0,), x.shape, x.batched, (axis,), 2, "")


def _too_many(x: Value, build: Builder) -> Value:
    return Value("exp", (x, x), (), x.shape, x.batched, (), 1, "")


def _free(x: Value, build: Builder) -> Value:
    return build.argument("z", (3,))


def _foreign(x: Value, build: Builder) -> Value:
    return build.attribute("weights", (3,))


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (_broken_shape, "has the shape (4,), not (3,)"),
        (_kept_axis, "keeps an axis that it reduces"),
        (_too_many, "takes no 2 arguments"),
        (_free, "reads z, which is no argument of the method"),
        (_foreign, "reads weights, which the class does not own"),
    ],
)
def test_a_plan_that_breaks_a_rule(broken: Callable[[Value, Builder], Value], says: str) -> None:
    build = Builder()
    x = build.argument("x", (3,))
    with pytest.raises(InternalError) as found:
        check_values([broken(x, build)], "loss", [Argument("x", (3,), False)], set())
    assert "loss: " in str(found.value)
    assert says in str(found.value)


@pytest.mark.parametrize("name", [row.name for row in OPERATIONS.values() if row.fold is not None])
def test_folding_agrees_with_torch(name: str) -> None:
    """At numbers where the function is defined, one or two of them."""
    import torch
    import torch.nn.functional as F

    numbers = [torch.tensor(x, dtype=torch.float64) for x in (0.3, 0.7)[: 1 if OPERATIONS[name].takes(1) else 2]]
    found = OPERATIONS[name].fold
    assert found is not None
    theirs = F.softplus if name == "softplus" else getattr(torch, name, None) or getattr(torch.Tensor, name)
    torch.testing.assert_close(
        torch.tensor(float(found(*map(float, numbers))), dtype=torch.float64), theirs(*numbers), rtol=1e-12, atol=0
    )
