"""Numbers that go into layers of vectors, as a time or a dose does: vectors of one, alone and beside others."""

import pytest
import torch
from torch import nn

import pgcompile as pgc
from tests.conftest import compiled


def layers(net: nn.Module) -> list[nn.Linear]:
    return [module for module in net.modules() if isinstance(module, nn.Linear)]


def test_a_number_alone() -> None:
    """A physics-informed loss: u' = -u."""
    program = compiled(
        "t : real\nnet u = Linear(8) >> Tanh >> Linear(1)\no = (grad(u(t)[0], t) + u(t)[0])^2\nminimize o"
    )
    model, t = program.Model().double(), torch.randn(5, dtype=torch.float64, requires_grad=True)
    first, second = layers(model)
    value = second(torch.tanh(first(t[:, None])))[:, 0]
    (slope,) = torch.autograd.grad(value.sum(), t)
    torch.testing.assert_close(model.o(t=t.detach()), (slope + value).square())
    assert all(check.passed for check in program.verify(runs=50))


def test_numbers_beside_vectors() -> None:
    program = compiled(
        "x : real[3]\nt : positive\ns : real\ny : real\nnet u = Linear(8) >> Tanh >> Linear(1)\n"
        "p(y|x,t,s) = Normal(u(x, t, s)[0], 1)\no = log p(y|x,t,s)\nmaximize o"
    )
    model = program.Model().double()
    x, t, s, y = (torch.rand(5, *shape, dtype=torch.float64) for shape in ((3,), (), (), ()))
    first, second = layers(model)
    mean = second(torch.tanh(first(torch.cat((x, t[:, None], s[:, None]), -1))))[:, 0]
    torch.testing.assert_close(model.o(x=x, t=t, s=s, y=y), torch.distributions.Normal(mean, 1.0).log_prob(y))
    assert all(check.passed for check in program.verify(runs=50))


def test_a_number_that_is_drawn() -> None:
    """With an encoder of one number and a decoder from one, and the bound of single draws (no axis is mistaken)."""
    program = compiled(
        "x : real[3]\nz : real\nnet e = Linear(8) >> ReLU\nnet m = Linear(1)\nnet s = Linear(1) >> Softplus\n"
        "net d = Linear(8) >> ReLU >> Linear(3)\np(z) = Normal(0, 1)\np(x|z) = Normal(d(z), 1)\n"
        "q(z|x) = Normal(m(h)[0], s(h)[0]) where h = e(x)\no = IWAE[p || q; samples = 4]\nmaximize o"
    )
    assert all(check.passed for check in program.verify(runs=400))
    assert program.Model().sample((7,))["x"].shape == (7, 3)


@pytest.mark.parametrize("net", ["GRUCell(4)", "LSTMCell(4)"])
def test_a_number_into_a_cell(net: str) -> None:
    states = "h" if "GRU" in net else "h, c"
    left = "g" if "GRU" in net else "(g, k)"
    program = compiled(f"t : real\nh, c : real[4]\nnet f = {net}\n{left} = f(t, {states})\no = sum(g^2)\nminimize o")
    assert all(check.passed for check in program.verify(runs=50))


@pytest.mark.parametrize("net", ["ReLU >> Linear(1)", "Conv2d(3, 3)", "GRU(4)"])
def test_what_cannot_take_a_number_says_so(net: str) -> None:
    found = pgc.check(f"t : real\nnet u = {net}\no = sum(u(t))\nminimize o")
    assert [d.severity.name for d in found if d.severity.name != "NOTE"] == ["ERROR"]


def test_a_layer_of_numbers_takes_the_number() -> None:
    program = compiled("t : real\nnet u = Sinusoidal(8) >> Linear(1)\no = u(t)[0]\nminimize o")
    assert program.Model().o(t=torch.zeros(3)).shape == (3,)
    assert "unsqueeze" not in program.source.split("def o(")[1].split("def loss")[0]
