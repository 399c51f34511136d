"""Loops of a plan: over an axis of draws, with values that are carried and values that are kept."""

import math
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pgcompile.backends.torch.statements import Body
from pgcompile.diagnostics import InternalError
from pgcompile.plan.builder import Builder
from pgcompile.plan.check import check_values
from pgcompile.plan.methods.description import Argument
from pgcompile.plan.region import loop
from pgcompile.plan.structure import Structures, count_operations
from pgcompile.plan.values import Axis, AxisKind, Value

K = 5
DRAWS = Axis(AxisKind.SAMPLE, "z", K, (0, 1, 0))


def function(outputs: list[Value], *names: str) -> tuple[Callable[..., Any], str, Body]:
    """The function whose statements a plan's are, its text, and its body."""
    check_values(outputs, "f", [Argument(name, (), False) for name in names], set())
    body = Body(outputs, names, str, lambda name: None)
    result = ", ".join(text.text for text in body.write())
    lines = [f"    def f({', '.join(names)}):", *(line.text for line in body.lines), f"        return {result}"]
    text = textwrap.dedent("\n".join(lines))
    space: dict[str, Any] = {"torch": torch, "math": math}
    exec(text, space)  # noqa: S102
    return space["f"], text, body


def add(build: Builder, a: Value, b: Value) -> Value:
    return build.binary("add", a, b)


def test_a_bound_that_goes_through_its_draws_in_turn() -> None:
    """log mean_k p(x, z_k) / q(z_k|x), one draw at a time: as all draws at once, with the same noise."""
    build = Builder()
    x, loc = build.argument("x", (3,)), build.argument("loc", (3,))

    def turn(elements: list[Value], carried: list[Value]) -> tuple[list[Value], list[Value]]:
        noise = build.make("randn_like", (loc,), shape=(3,), fresh=(("z", "z"), "z", ""))
        z = build.name(add(build, loc, noise), "z")
        square = build.unary("square", build.binary("sub", x, build.unary("tanh", z)))
        log_w = build.name(build.unary("neg", build.sum_last(square)), "log_w", materialize=True)
        return [build.binary("logaddexp", carried[0], log_w)], [z]

    nothing = build.make("full_like", (build.sum_last(x),), (-math.inf,), shape=())
    build.name(nothing, "total")
    (total,), (draws,) = loop(build, DRAWS, [], [nothing], turn)
    assert draws.axes == (DRAWS,)
    bound = build.binary("sub", total, build.constant(math.log(K)))
    f, text, body = function([bound, draws], "x", "loc")
    assert text.count("for _ in range(5):") == 1
    assert [noise.op for noise in body.noise] == ["randn_like"] * K
    x_, loc_ = torch.randn(7, 3), torch.randn(7, 3, requires_grad=True)
    torch.manual_seed(0)
    found, made = f(x_, loc_)
    torch.manual_seed(0)
    z = loc_ + torch.stack([torch.randn_like(loc_) for _ in range(K)])
    expected = (-(x_ - z.tanh()).square().sum(-1)).logsumexp(0) - math.log(K)
    torch.testing.assert_close(made, z)
    torch.testing.assert_close(found, expected)
    (slope,) = torch.autograd.grad(found.sum(), loc_)
    torch.testing.assert_close(slope, torch.autograd.grad(expected.sum(), loc_)[0])


def test_what_is_the_same_in_each_turn_is_computed_before() -> None:
    build = Builder()
    x = build.argument("x", (2,))
    many = build.make("expand_axes", (x,), (K,), shape=(2,), axes=(DRAWS,))
    build.name(many, "many", materialize=True)

    def turn(elements: list[Value], carried: list[Value]) -> tuple[list[Value], list[Value]]:
        same = build.name(build.unary("exp", x), "same", materialize=True)
        following = add(build, build.binary("mul", same, carried[0]), elements[0])
        return [following, carried[0]], [following]

    (last, before), (kept,) = loop(build, DRAWS, [many], [x, x], turn)
    f, text, _ = function([last, before, kept], "x")
    assert text.index("same = x.exp()") < text.index("for ")
    x_ = torch.randn(4, 2)
    state, path = x_, [x_]
    for _ in range(K):
        state = x_.exp() * state + x_
        path.append(state)
    found_last, found_before, found_path = f(x_)
    torch.testing.assert_close(found_last, path[-1])
    torch.testing.assert_close(found_before, path[-2])
    torch.testing.assert_close(found_path, torch.stack(path[1:]))


def test_states_that_change_places() -> None:
    """`a, b = b, a + b`: no state is overwritten before the other has been read."""
    build = Builder()
    a, b = build.argument("a", ()), build.argument("b", ())

    def turn(elements: list[Value], carried: list[Value]) -> tuple[list[Value], list[Value]]:
        return [carried[1], add(build, *carried)], []

    (first, second), _ = loop(build, DRAWS, [], [a, b], turn)
    f, _, _ = function([first, second], "a", "b")
    assert [int(value) for value in f(torch.tensor(0), torch.tensor(1))] == [5, 8]


def test_a_loop_in_a_loop() -> None:
    build = Builder()
    inner_axis = Axis(AxisKind.VALUE, "k", 3, (0, 2, 0))
    x = build.argument("x", ())

    def inner(elements: list[Value], carried: list[Value]) -> tuple[list[Value], list[Value]]:
        return [build.binary("mul", carried[0], x)], []

    def outer(elements: list[Value], carried: list[Value]) -> tuple[list[Value], list[Value]]:
        (product,), _ = loop(build, inner_axis, [], carried, inner)
        return [add(build, product, x)], [product]

    (last,), (products,) = loop(build, DRAWS, [], [x], outer)
    f, text, _ = function([last, products], "x")
    assert text.count("for _ in range") == 2
    state, kept = 1.1, []
    for _ in range(K):
        kept.append(state * 1.1**3)
        state = kept[-1] + 1.1
    found, all_products = f(torch.tensor(1.1, dtype=torch.float64))
    assert math.isclose(float(found), state, rel_tol=1e-12)
    torch.testing.assert_close(all_products, torch.tensor(kept, dtype=torch.float64))


def test_what_a_loop_costs_and_is() -> None:
    def made(op: str) -> Value:
        build = Builder()
        x = build.argument("x", ())
        (last,), _ = loop(build, DRAWS, [], [x], lambda _, carried: ([build.unary(op, carried[0])], []))
        return last

    structures = Structures()
    assert structures.of(made("exp")) == structures.of(made("exp"))
    assert structures.of(made("exp")) != structures.of(made("tanh"))
    assert count_operations([made("exp")]) == K


def test_what_is_no_loop() -> None:
    build = Builder()
    x, y = build.argument("x", (2,)), build.argument("y", ())
    with pytest.raises(InternalError, match="does not begin with its axis"):
        loop(build, DRAWS, [x], [], lambda elements, _: ([], elements))
    with pytest.raises(InternalError, match="changes"):
        loop(build, DRAWS, [], [y], lambda *_: ([x], []))
    leaked: list[Value] = []

    def turn(elements: list[Value], carried: list[Value]) -> tuple[list[Value], list[Value]]:
        leaked.append(build.unary("exp", carried[0]))
        return carried, []

    loop(build, DRAWS, [], [y], turn)
    with pytest.raises(InternalError, match="outside its loop"):
        check_values(leaked, "f", [Argument("y", (), False)], set())


def test_a_loop_compiles_to_one_graph() -> None:
    build = Builder()
    x = build.argument("x", (2,))

    def turn(elements: list[Value], carried: list[Value]) -> tuple[list[Value], list[Value]]:
        state = build.unary("tanh", add(build, carried[0], x))
        return [state], [state]

    (last,), (path,) = loop(build, DRAWS, [], [x], turn)
    f, _, _ = function([last, path], "x")
    x_: Tensor = torch.randn(4, 2)
    compiled = torch.compile(f, fullgraph=True, backend="eager")
    for a, b in zip(compiled(x_), f(x_), strict=True):
        torch.testing.assert_close(a, b)
