"""Nets of the program in couplings: sizes, densities by hand, own and shared weights, and messages."""

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

import pgcompile as pgc
from tests.conftest import compiled

TEXT = "x : real[5]\nnet g = {}\nflow f = {}\np(x) = Flow(Normal(0, 1), f)\nfit = log p(x)\nmaximize fit"
RECIPE = "Linear(7) >> Tanh >> Linear"


def test_an_affine_coupling_is_the_formula() -> None:
    model = compiled(TEXT.format(RECIPE, "AffineCoupling(net = g, bound = 0.8)")).Model().double()
    net = model.f.transforms[0].net
    first, last = (tuple(p.detach().numpy() for p in layer.parameters()) for layer in (net[0], net[2]))
    assert first[0].shape == (7, 2) and last[0].shape == (6, 7)
    x = np.random.default_rng(0).normal(size=(9, 5)) * 3
    phi = np.tanh(x[:, :2] @ first[0].T + first[1]) @ last[0].T * 4 + last[1] * 4
    with torch.no_grad():
        for p in net[2].parameters():
            p.mul_(4)
    shift, log_scale = phi[:, :3], 0.8 * np.tanh(phi[:, 3:] / 0.8)
    y = np.concatenate([x[:, :2], x[:, 2:] * np.exp(log_scale) + shift], 1)
    wanted = scipy.stats.norm.logpdf(y).sum(1) + log_scale.sum(1)
    np.testing.assert_allclose(model.fit(x=torch.as_tensor(x)).detach().numpy(), wanted, rtol=1e-12)


def test_an_additive_coupling_is_the_formula() -> None:
    model = compiled(TEXT.format("Linear", "AdditiveCoupling(net = g, mask = [1, 0, 1, 0, 1])")).Model().double()
    net = model.f.transforms[0].net
    x = torch.randn(9, 5).double()
    y = x.clone()
    y[:, [1, 3]] += x[:, [0, 2, 4]] @ net.weight.mT + net.bias
    wanted = torch.distributions.Normal(0.0, 1.0).log_prob(y).sum(-1)
    torch.testing.assert_close(model.fit(x=x), wanted)


FLOWS = [
    "AffineCoupling(net = g)",
    "repeat 2 { AffineCoupling(net = g, bound = 2, mask = even) >> AffineCoupling(net = g, mask = odd) }",
    "repeat 2 { AdditiveCoupling(net = g, mask = last) >> BatchNorm >> Reverse }",
    "SplineCoupling(net = g, bins = 5, mask = random)",
]


@pytest.mark.parametrize("flow", FLOWS)
def test_couplings_are_verified_and_drawn(flow: str) -> None:
    program = compiled(TEXT.format(RECIPE, flow))
    assert all(check.passed for check in program.verify())
    model = program.Model().double().eval()
    for batch in ((), (4,), (2, 3)):
        assert model.fit(x=model.sample(batch)["x"]).shape == batch


def test_a_circular_coupling_takes_a_net() -> None:
    text = "x : real[4]\nnet g = Linear(7) >> Tanh >> Linear\nflow f = CircularSplineCoupling(net = g, bins = 4)\n"
    program = compiled(f"{text}p(x) = Flow(Uniform(-pi, pi), f)\nfit = log p(x)")
    assert program.Model().f.transforms[0].net[2].out_features == 2 * (3 * 4 - 1)
    assert all(check.passed for check in program.verify())


def test_each_coupling_makes_a_net_of_its_own() -> None:
    flow = "repeat 3 { AffineCoupling(net = g) >> Reverse } >> AffineCoupling(net = h)"
    inner = "k >> Linear\nnet k = mlp(7, 7, act = Tanh) >> relu\nnet h = residual(mlp(3) >> ReLU >> Linear) >> Linear"
    model = compiled(TEXT.format(inner, flow)).Model()
    nets = [t.net for t in model.f.transforms if hasattr(t, "net")]
    assert [type(layer).__name__ for layer in nets[0]] == ["Linear", "Tanh", "Linear", "Tanh", "ReLU", "Linear"]
    assert len({p.data_ptr() for p in model.parameters()}) == 3 * 6 + 6
    assert not torch.equal(nets[0][0].weight, nets[1][0].weight)


IMAGE = """x : real[1, 4, 6]
c : real[3]
net g = Conv2d(5, 3, padding = 1) >> ReLU >> residual(Conv2d(5, 3, padding = 1) >> ReLU >> Conv2d(kernel_size = 1))
    >> Conv2d(kernel_size = 3, padding = 1, weight_norm = true)
flow f(c) = ImageCoupling(net = g, mask = checkerboard, bound = 1) >> Squeeze
    >> repeat 2 { ActNorm >> Conv1x1 >> ImageCoupling(net = g) } >> Flatten
p(x|c) = Flow(Normal(0, 1), f(c))
fit = log p(x|c)
maximize fit using Adam(lr = 0.01)
"""


def test_an_image_coupling_takes_convolutions_and_trains() -> None:
    program = compiled(IMAGE)
    assert all(check.passed for check in program.verify())
    torch.manual_seed(0)
    model = program.Model()
    first, last = model.f.transforms[0].net, model.f.transforms[-2].net
    assert (first[0].in_channels, first[3].out_channels) == (4, 2)
    assert (last[0].in_channels, last[3].out_channels) == (7, 8)
    c = torch.randn(200, 3)
    x = 0.1 * torch.randn(200, 1, 4, 6) + c[:, :1, None, None]
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = model.loss(x=x, c=c)
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 5
    drawn = model.factor("p(x|c)")(c).sample()
    assert drawn.shape == x.shape


def test_an_image_coupling_is_the_formula() -> None:
    text = "x : real[2, 3, 4]\nnet g = Conv2d(kernel_size = 1)\nflow f = ImageCoupling(net = g, bound = 2) >> Flatten\n"
    model = compiled(f"{text}p(x) = Flow(Normal(0, 1), f)\nfit = log p(x)").Model().double()
    net = model.f.transforms[0].net
    x = torch.randn(5, 2, 3, 4).double()
    weight, bias = net.weight.detach().squeeze(), net.bias.detach()
    # The first channel is kept; the net sees it and zeros.
    phi = weight[:, 0].reshape(1, 4, 1, 1) * x[:, :1] + bias.reshape(1, 4, 1, 1)
    shift, log_scale = phi[:, 1], 2 * torch.tanh(phi[:, 3] / 2)
    moved = x[:, 1] * log_scale.exp() + shift
    y = torch.stack((x[:, 0], moved), 1)
    wanted = torch.distributions.Normal(0.0, 1.0).log_prob(y).sum((1, 2, 3)) + log_scale.sum((1, 2))
    torch.testing.assert_close(model.fit(x=x), wanted)


EXTERN = """x : real[4]
c : real[3]
extern net g(h) -> real[4]
flow f(c) = repeat 2 { AffineCoupling(net = g) >> Reverse }
p(x|c) = Flow(Normal(0, 1), f(c))
fit = log p(x|c)
param w : real
k = w^2
maximize fit wrt p
minimize k wrt w
"""


def test_a_net_from_python_is_shared() -> None:
    program = compiled(EXTERN)
    net = nn.Linear(5, 4)
    model = program.Model(g=net)
    assert [name for name, _ in model.named_parameters()] == ["w", "g.weight", "g.bias"]
    assert {id(p) for group in model.optimizers()[0].param_groups for p in group["params"]} >= {
        id(p) for p in net.parameters()
    }
    x, c = torch.randn(6, 4), torch.randn(6, 3)
    y, total = x, torch.zeros(6)
    for _ in range(2):
        shift, raw = net(torch.cat((y[:, :2], c), -1)).chunk(2, -1)
        log_scale = raw / (1 + raw.abs() / np.log(1000))
        y = torch.cat((y[:, :2], y[:, 2:] * log_scale.exp() + shift), -1).flip(-1)
        total = total + log_scale.sum(-1)
    wanted = torch.distributions.Normal(0.0, 1.0).log_prob(y).sum(-1) + total
    torch.testing.assert_close(model.fit(x=x, c=c), wanted)
    with pytest.raises(ValueError, match="declared with the event shape"):
        program.Model(g=nn.Linear(5, 3))


@pytest.mark.parametrize(
    ("net", "flow", "place", "message", "help"),
    [
        (
            "Linear(7) >> Linear(8)",
            "AffineCoupling(net = g)",
            "Linear(8)",
            "g gives [8], and AffineCoupling needs [6]: shifts, then as many log-scales",
            "write Linear(6), or leave the size out: `Linear`",
        ),
        ("Linear(7)", "SplineCoupling(net = g)", "Linear(7)", "SplineCoupling needs [69]", "write Linear(69)"),
        ("Linear(7) >> exp", "AffineCoupling(net = g)", "exp", "exp is a function", "use a layer"),
        ("cat(x, x) >> Linear", "AffineCoupling(net = g)", "cat(x, x)", "no pipeline of one input", "write a pipeline"),
        ("GRUCell(3)", "AffineCoupling(net = g)", "GRUCell(3)", "no pipeline of one input", "write a pipeline"),
        ("g >> Linear", "AffineCoupling(net = g)", "g", "g stands in itself", "write a pipeline"),
        ("Linear", "AffineCoupling(net = q)", "q", "`q` is not a net of the program", "declare it"),
        ("Linear", "AffineCoupling(net = g, hidden = [3])", "hidden = [3]", "`hidden` is of the perceptron", "remove"),
        ("Conv2d(4, 3)", "AffineCoupling(net = g)", "Conv2d(4, 3)", "takes an input of 3 dimensions", "put"),
        ("Linear", "AffineCoupling(net = g, bound = 0)", "0", "is not a positive number", "write"),
        ("Linear", "MaskedAutoregressive(net = g)", "net = g", "has no option net", "its options are"),
    ],
)
def test_what_is_said_of_wrong_nets(net: str, flow: str, place: str, message: str, help: str) -> None:
    text = TEXT.format(net, flow)
    errors = [d for d in pgc.check(text) if d.code.startswith("PGC")]
    found = [d for d in errors if message in d.message]
    assert found, errors
    assert text[found[0].span.start : found[0].span.end] == place
    assert help in (found[0].help or "")


def test_an_extern_net_of_another_size_is_told_its_space() -> None:
    found = [d for d in pgc.check(EXTERN.replace("real[4]\nflow", "real[3]\nflow")) if d.code == "PGC303"]
    assert found[0].help == "declare `extern net g(h) -> real[4]`"


def test_a_checkpoint_of_another_bound_is_refused() -> None:
    one, two = (compiled(TEXT.format(RECIPE, f"AffineCoupling(net = g, bound = {b})")).Model() for b in (1, 2))
    with pytest.raises(RuntimeError, match="bound is 2 here, and 1 in the checkpoint"):
        two.load_state_dict(one.state_dict())
