"""zuko's own numbers, by its state dict: log-density, gradient and inverse of every ready-made flow, to 1e-9."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.distributions as dist
from torch import Tensor, nn

from pgcompile import flows
from pgcompile.interop import zuko as interop
from pgcompile.lazy import Flow, LazyDistribution, LazyTransform, UnconditionalDistribution, link_zuko
from tests.conftest import compiled

D, C, N = 4, 2, 16


@pytest.fixture(scope="module", autouse=True)
def zuko() -> Iterator[Any]:
    """zuko, whose import switches off the validation of arguments for the whole process: it is put back."""
    before = dist.Distribution._validate_args
    default = torch.get_default_dtype()
    import zuko

    dist.Distribution.set_default_validate_args(before)
    torch.set_default_dtype(torch.float64)
    yield zuko
    torch.set_default_dtype(default)


FLOWS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("NICE", "RealNVP", {}, {}),
    ("NICE", "RealNVP", {"randmask": True, "transforms": 4}, {"random_masks": True, "transforms": 4}),
    ("MAF", "MAF", {}, {}),
    ("MAF", "MAF", {"passes": 2, "hidden_features": (32, 32, 32)}, {"passes": 2, "hidden": (32, 32, 32)}),
    ("MAF", "MAF", {"randperm": True}, {"random_order": True}),
    ("NSF", "NSF", {}, {}),
    ("NSF", "NSF", {"bins": 5, "slope": 1e-2}, {"bins": 5, "slope": 1e-2}),
    ("NCSF", "NCSF", {}, {}),
    ("SOSPF", "SOSPF", {}, {}),
    ("SOSPF", "SOSPF", {"degree": 2, "polynomials": 5}, {"degree": 2, "polynomials": 5}),
    ("NAF", "NAF", {}, {}),
    ("NAF", "NAF", {"signal": 5, "network": {"hidden_features": (16,)}}, {"signal": 5, "network": (16,)}),
    ("UNAF", "UNAF", {}, {}),
    ("BPF", "BPF", {}, {}),
    ("GF", "GF", {}, {}),
    (
        "CNF",
        "CNF",
        {"activation": nn.Tanh, "atol": 1e-11, "rtol": 1e-11},
        {"act": nn.Tanh, "atol": 1e-11, "rtol": 1e-11, "solver": "dopri5"},
    ),
    ("GMM", "GMM", {}, {}),
    ("GMM", "GMM", {"covariance_type": "diagonal", "tied": True}, {"covariance": "diagonal", "tied": True}),
    ("GMM", "GMM", {"covariance_type": "spherical", "components": 5}, {"covariance": "spherical", "components": 5}),
]
IDS = [f"{theirs}-{'-'.join(map(str, options.values()))}" for theirs, _, options, _ in FLOWS]


def pair(zuko: Any, index: int, features: int, context: int) -> tuple[Any, Any]:
    """zuko's flow and ours with its weights."""
    theirs, ours, options, own = FLOWS[index]
    torch.manual_seed(index)
    peer = getattr(zuko.flows, theirs)(features, context, **options)
    flow = getattr(flows, ours)(features, context, **own)
    state = peer.state_dict()
    interop.load(flow, state, slope=own.get("slope"))
    return peer, flow


@pytest.mark.parametrize("context", [0, C])
@pytest.mark.parametrize("features", [1, D])
@pytest.mark.parametrize("index", range(len(FLOWS)), ids=IDS)
def test_the_numbers_are_zukos(zuko: Any, index: int, features: int, context: int) -> None:
    if features == 1 and FLOWS[index][1] == "RealNVP":
        return  # a coupling of one feature is an elementwise transform there, and an error here
    if FLOWS[index][2].get("randperm") or FLOWS[index][2].get("randmask"):
        return  # below
    peer, flow = pair(zuko, index, features, context)
    c = torch.randn(N, context) if context else None
    values = torch.randn(N, features).clamp(-2.9, 2.9)
    found = []
    for model in (peer, flow):
        x = values.clone().requires_grad_()
        model.zero_grad()
        density = model(c).log_prob(x)
        density.sum().backward()
        found.append((density, x.grad, model))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found[1][1], found[0][1], rtol=1e-9, atol=1e-9)
    # Gradients of the weights, through the map that reads them.
    for parameter, other in zip(peer.parameters(), peer.parameters(), strict=True):
        assert parameter is other
    with torch.no_grad():
        for parameter in peer.parameters():
            if parameter.grad is not None:
                parameter.copy_(parameter.grad)
    gradients = {name: p.grad.clone() for name, p in flow.named_parameters() if p.grad is not None}
    interop.load(flow, peer.state_dict(), slope=FLOWS[index][3].get("slope"))
    masks = {id(m.weight): mask for m, mask in _masked(flow)}
    for name, parameter in flow.named_parameters():
        if name in gradients:
            expected = parameter.detach() * masks.get(id(parameter), 1)
            torch.testing.assert_close(
                gradients[name], expected, rtol=1e-7, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}"
            )
    if hasattr(flow, "transform"):
        peer, flow = pair(zuko, index, features, context)
        with torch.no_grad():
            u = peer(c).transform(values)  # what data are taken to: not every number is
            back = flow(c).transform.inv(u)
            torch.testing.assert_close(back, values, rtol=1e-9, atol=1e-8)
            torch.testing.assert_close(flow(c).transform(back), u, rtol=1e-9, atol=1e-9)
            # zuko bisects to 1e-6: its forward map is the judge.
            torch.testing.assert_close(peer(c).transform(back), u, rtol=1e-9, atol=1e-9)


def _masked(flow: nn.Module) -> Iterator[tuple[Any, Tensor]]:
    for module in flow.modules():
        if type(module).__name__ == "MaskedMLP":
            for i, layer in enumerate(module.layers):
                yield layer, getattr(module, f"mask_{i}")


@pytest.mark.parametrize("index", range(len(FLOWS)), ids=IDS)
def test_weights_go_back_as_they_came(zuko: Any, index: int) -> None:
    options = FLOWS[index][2]
    if options.get("randperm"):
        return  # an order that was drawn cannot be given to a flow that drew its own
    peer, flow = pair(zuko, index, D, C)
    state, again = peer.state_dict(), interop.dump(flow)
    assert {*again} == {*state}
    for key, value in state.items():
        assert torch.equal(again[key].to(value.dtype), value), key
    peer.load_state_dict(again)


def test_an_order_that_was_drawn_is_compared(zuko: Any) -> None:
    torch.manual_seed(0)
    peer = zuko.flows.MAF(8, randperm=True, transforms=1)
    order = peer.state_dict()["transform.transforms.0.order"].tolist()
    flow = flows.MAF(8, transforms=1, order=order)
    interop.load(flow, peer.state_dict())
    x = torch.randn(N, 8)
    torch.testing.assert_close(flow().log_prob(x), peer().log_prob(x))
    with pytest.raises(ValueError, match="another mask"):
        interop.load(flows.MAF(8, transforms=1), peer.state_dict())


def test_random_masks_come_along(zuko: Any) -> None:
    peer, flow = pair(zuko, 1, D, 0)
    x = torch.randn(N, D)
    torch.testing.assert_close(flow().log_prob(x), peer().log_prob(x), rtol=1e-9, atol=1e-9)


def test_a_state_dict_of_another_build_changes_nothing(zuko: Any) -> None:
    flow = flows.MAF(D)
    before = {k: v.clone() for k, v in flow.state_dict().items()}
    for other, why in (
        (zuko.flows.MAF(D, transforms=2), "lacks"),
        (zuko.flows.MAF(D, transforms=4), "has"),
        (zuko.flows.MAF(D, hidden_features=(32, 64)), "shape"),
        (zuko.flows.MAF(D, passes=2), "another mask"),
    ):
        with pytest.raises(ValueError, match=why):
            interop.load(flow, other.state_dict())
    with pytest.raises(ValueError, match="build it with slope"):
        interop.load(flow, zuko.flows.MAF(D).state_dict(), slope=1e-2)
    assert all(torch.equal(v, before[k]) for k, v in flow.state_dict().items())


def test_the_flow_of_an_emitted_module(zuko: Any) -> None:
    text = f"""x : real[{D}]
flow f = MaskedAutoregressive(order=ascending) >> MaskedAutoregressive(order=descending) >> MaskedAutoregressive
p(x) = Flow(Normal(0, 1), f)
"""
    model = compiled(text).Model().double()
    peer = zuko.flows.MAF(D)
    interop.load(model.f, peer.state_dict(), slope=1e-3)
    x = torch.randn(N, D)
    torch.testing.assert_close(model.log_prob(x=x), peer().log_prob(x), rtol=1e-9, atol=1e-9)
    again = interop.dump(model.f)
    assert all(torch.equal(again[k].to(v.dtype), v) for k, v in peer.state_dict().items() if not k.startswith("base"))


def test_each_takes_the_objects_of_the_other(zuko: Any) -> None:
    link_zuko()
    ours, theirs = flows.MAF(D, C), zuko.flows.MAF(D, C)
    assert isinstance(ours, zuko.lazy.LazyDistribution)
    assert isinstance(ours.transform, zuko.lazy.LazyTransform)
    c, x = torch.randn(N, C), torch.randn(N, D)
    inside = zuko.lazy.Flow(ours.transform, theirs.base)
    torch.testing.assert_close(inside(c).log_prob(x), ours(c).log_prob(x))
    outside = Flow(theirs.transform, ours.base)
    torch.testing.assert_close(outside(c).log_prob(x), theirs(c).log_prob(x))
    both = Flow(
        [ours.transform, theirs.transform, ours.transform.inv],
        UnconditionalDistribution(dist.Normal, torch.zeros(D), torch.ones(D)),
    )
    y, density = both(c).rsample_and_log_prob()
    torch.testing.assert_close(both(c).log_prob(y), density)


def test_linking_leaves_validation_as_it_was(zuko: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist.Distribution, "_validate_args", True)  # put back after the test
    link_zuko()
    with pytest.raises(ValueError, match="scale"):
        dist.Normal(0.0, -1.0)


def test_a_factor_of_a_model_is_a_lazy_distribution(zuko: Any) -> None:
    link_zuko()
    text = f"""x : real[{D}]
c : real[{C}]
flow f(c) = MaskedAutoregressive
p(x|c) = Flow(Normal(0, 1), f(c))
"""
    factor = compiled(text).Model().factor("p(x|c)")
    assert isinstance(factor, LazyDistribution)
    assert isinstance(factor, zuko.lazy.LazyDistribution)
    assert not isinstance(factor, LazyTransform)
    c, x = torch.randn(N, C), torch.randn(N, D)
    seen = zuko.lazy.Flow(zuko.flows.MAF(D, C).transform, factor)
    assert seen(c).log_prob(x).shape == (N,)
    assert {id(p) for p in factor.parameters()} <= {id(p) for p in seen.parameters()}
