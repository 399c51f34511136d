"""Laws of every ready-made flow: it integrates to one, draws follow its density, and torch runs it in every way."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pgcompile import flows

C = 2
SMALL: dict[str, Any] = {"hidden": (16, 16)}
# Flows with soft clips between transforms do not reach every value of the base: one transform has none.
READY: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "NICE": (flows.NICE, SMALL),
    "RealNVP": (flows.RealNVP, SMALL),
    "RealNVP, random masks": (flows.RealNVP, {**SMALL, "random_masks": True}),
    "MAF": (flows.MAF, SMALL),
    "MAF, random order": (flows.MAF, {**SMALL, "random_order": True}),
    "IAF": (flows.IAF, SMALL),
    "NSF": (flows.NSF, SMALL),
    "NCSF": (flows.NCSF, SMALL),
    "SOSPF": (flows.SOSPF, {**SMALL, "transforms": 1}),
    "NAF": (flows.NAF, {**SMALL, "transforms": 1, "signal": 4, "network": (8, 8)}),
    "UNAF": (flows.UNAF, {**SMALL, "transforms": 1, "signal": 4, "network": (8, 8), "points": 16}),
    "BPF": (flows.BPF, SMALL),
    "GF": (flows.GF, {**SMALL, "transforms": 2}),
    "CNF": (flows.CNF, {"hidden": (16,), "act": nn.Tanh}),
    "GMM": (flows.GMM, SMALL),
}
NAMES = sorted(READY)


def made(name: str, features: int = 2, context: int = 0, **more: Any) -> Any:
    torch.manual_seed(3)
    make, options = READY[name]
    options = {**options, **more}
    return make(features, context, **options).double().eval()


def grid(name: str) -> tuple[Tensor, Tensor]:
    """Points of a square (of the plane, ever farther apart), and the area that each stands for."""
    count = 160 if name == "CNF" else 300
    if name == "NCSF":
        width = 2 * torch.pi / count
        line = -torch.pi + width * (torch.arange(count, dtype=torch.float64) + 0.5)
        widths = torch.full_like(line, width)
    else:
        step = 24 / count
        s = -12 + step * (torch.arange(count, dtype=torch.float64) + 0.5)
        line, widths = s.sinh(), s.cosh() * step
    return torch.cartesian_prod(line, line), torch.cartesian_prod(widths, widths).prod(-1)


@pytest.mark.parametrize("name", NAMES)
def test_it_integrates_to_one_and_draws_follow_it(name: str) -> None:
    """Means of bounded functions over draws, within five standard errors of their integrals against the density."""
    flow = made(name)
    points, area = grid(name)
    with torch.no_grad():
        weights = flow().log_prob(points).exp() * area
        # Kinks and far corners cost the midpoint rule some digits.
        assert abs(weights.sum().item() - 1) < 5e-3
        draws = flow().sample((20_000,))
    tests: list[Callable[[Tensor], Tensor]] = [
        lambda x: x[..., 0].tanh(),
        lambda x: x[..., 1].tanh(),
        lambda x: (x[..., 0] * x[..., 1]).tanh(),
        lambda x: (x.square().sum(-1) < 1.0).double(),
    ]
    for h in tests:
        values = h(draws)
        error = values.std() / len(values) ** 0.5
        expected = (weights * h(points)).sum() / weights.sum()
        assert (values.mean() - expected).abs() < 5 * error + 3e-3


@pytest.mark.parametrize("name", [n for n in NAMES if n != "GMM"])
def test_draw_and_density_together_are_what_they_are_apart(name: str) -> None:
    flow = made(name, 3, C)
    c = torch.randn(5, C, dtype=torch.float64)
    x, density = flow(c).rsample_and_log_prob((4,))
    assert x.shape == (4, 5, 3)
    again = flow(c).log_prob(x)
    torch.testing.assert_close(density, again, rtol=0, atol=1e-6 if name == "CNF" else 1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_one_feature(name: str) -> None:
    if READY[name][0] in (flows.NICE, flows.RealNVP):
        with pytest.raises(ValueError, match="2 features or more"):
            made(name, 1)
        return
    flow = made(name, 1, C)
    c = torch.randn(5, C, dtype=torch.float64)
    x = flow(c).sample((7,)).clamp(-3, 3)
    assert flow(c).log_prob(x).shape == (7, 5)


class Methods(nn.Module):
    """A flow's uses as modules."""

    def __init__(self, flow: Any, what: str) -> None:
        super().__init__()
        self.flow, self.what = flow, what

    def forward(self, x: Tensor, c: Tensor) -> Any:
        made = self.flow(c)
        if self.what == "log_prob":
            return made.log_prob(x)
        return made.rsample() if self.what == "rsample" else made.rsample_and_log_prob()


# Solves and integrations are long graphs: one transform of them is enough to trace.
SHORT: dict[str, dict[str, Any]] = {
    "BPF": {"transforms": 1, "degree": 4},
    "GF": {"transforms": 1},
    "CNF": {"steps": 2},
    "UNAF": {"points": 4},
}
USES = ["log_prob", "rsample", "rsample_and_log_prob"]
TRACED = ["log_prob", "rsample_and_log_prob"]  # the other is a part of this
FLOWS = [n for n in NAMES if n != "GMM"]


@pytest.mark.parametrize("what", TRACED)
@pytest.mark.parametrize("name", FLOWS)
def test_full_graph(name: str, what: str) -> None:
    module = Methods(made(name, 2, C, **SHORT.get(name, {})), what)
    x, c = torch.randn(5, 2, dtype=torch.float64), torch.randn(5, C, dtype=torch.float64)
    torch._dynamo.reset()
    found = []
    for run in (module, torch.compile(module, fullgraph=True, backend="eager")):
        torch.manual_seed(0)
        found.append(run(x, c))
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("what", TRACED)
@pytest.mark.parametrize("name", FLOWS)
def test_export(name: str, what: str) -> None:
    module = Methods(made(name, 2, C, **SHORT.get(name, {})), what)
    x, c = torch.randn(5, 2, dtype=torch.float64), torch.randn(5, C, dtype=torch.float64)
    exported = torch.export.export(module, (x, c)).module()
    found = []
    for run in (module, exported):
        torch.manual_seed(0)
        found.append(run(x, c))
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("what", USES)
@pytest.mark.parametrize("name", FLOWS)
def test_vmap(name: str, what: str) -> None:
    module = Methods(made(name, 3, C), what)
    x, c = torch.randn(4, 5, 3, dtype=torch.float64), torch.randn(4, 5, C, dtype=torch.float64)
    found = torch.func.vmap(module, randomness="different")(x, c)
    if what == "log_prob":
        expected = torch.stack([module(x[i], c[i]) for i in range(4)])
        torch.testing.assert_close(found, expected)
    elif what == "rsample":
        assert found.shape == (4, 5, 3)
        assert found[0].sub(found[1]).abs().min() > 0
    else:
        torch.testing.assert_close(found[1], module.flow(c).log_prob(found[0]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", FLOWS)
def test_the_meta_device_and_half_precision(name: str) -> None:
    flow = made(name, 3, C).float()
    x, c = torch.randn(5, 3), torch.randn(5, C)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(flow(c).log_prob(x)).all()
    flow.to("meta")
    assert flow(c.to("meta")).log_prob(x.to("meta")).device.type == "meta"
    assert flow(c.to("meta")).rsample().device.type == "meta"


def test_adaptive_steps_say_that_they_cannot_be_traced() -> None:
    flow = flows.CNF(2, solver="dopri5", hidden=(8,))
    assert "torch.compile" in (type(flow.transform.module.transforms[0]).__doc__ or "")
    x = torch.randn(3, 2)
    torch.testing.assert_close(flow().log_prob(x), flow().log_prob(x))


def test_an_equation_that_is_too_stiff() -> None:
    flow = flows.CNF(2, solver="dopri5", hidden=(8,))
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.mul_(1e4)
    with pytest.raises(ArithmeticError, match="too stiff"):
        flow().log_prob(torch.randn(3, 2))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 4, 4)])
def test_glow(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    flow = flows.Glow(shape, C, levels=2, steps=2, hidden=8).double()
    x, c = torch.rand(6, *shape, dtype=torch.float64), torch.randn(6, C, dtype=torch.float64)
    flow(c).log_prob(x)  # sets the normalisations
    flow.eval()
    density = flow(c).log_prob(x)
    z, ladj = flow.transform(c).call_and_ladj(x)
    assert z.shape == (6, x[0].numel())
    torch.testing.assert_close(flow.transform(c).inv(z), x)
    size = x[0].numel()
    jacobian = torch.autograd.functional.jacobian(lambda v: flow.transform(c[0])(v).flatten(), x[0]).reshape(size, size)
    torch.testing.assert_close(ladj[0], torch.linalg.slogdet(jacobian).logabsdet)
    normal = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(density, normal.log_prob(z).sum(-1) + ladj)
    assert flow(c).sample((2,)).shape == (2, 6, *shape)
    with pytest.raises(ValueError, match="halved"):
        flows.Glow((1, 6, 6), levels=2)


def test_options_that_are_none() -> None:
    with pytest.raises(ValueError, match="covariance"):
        flows.GMM(2, covariance="round")
    with pytest.raises(ValueError, match="solver"):
        flows.CNF(2, solver="euler")
    with pytest.raises(TypeError, match="bin"):
        flows.NSF(2, bin=5)
