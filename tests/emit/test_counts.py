"""Exact counts: the emitted module dispatches no more operations than one written by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import pgcompile as pgc
from benchmarks.counting import dispatches
from benchmarks.hand_written import HandWrittenVae, vae_program
from tests.programs import EXAMPLES


@pytest.mark.parametrize("nets", [(784, 512, 64), (16, 16, 2)])
def test_the_vae(nets: tuple[int, int, int]) -> None:
    model = pgc.compile(vae_program(*nets)).Model()
    hand = HandWrittenVae(*nets)
    hand.load_state_dict(model.state_dict())
    x = (torch.rand(16, nets[0]) > 0.5).float()
    torch.manual_seed(0)
    found = model.loss(x)
    torch.manual_seed(0)
    torch.testing.assert_close(found, hand.loss(x))
    assert dispatches(model, lambda: model.loss(x)) <= dispatches(hand, lambda: hand.loss(x))


def softplus_pair(values: Tensor) -> tuple[Tensor, Tensor]:
    m, s = values.chunk(2, -1)
    return m, F.softplus(s)


def kl_to_standard(m: Tensor, s: Tensor) -> Tensor:
    return (0.5 * (m.square() + s.square() - 1) - s.log()).sum(-1)


def bce(logits: Tensor, x: Tensor) -> Tensor:
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


def hand_beta(m: nn.Module, x: Tensor) -> Tensor:
    h = m.hidden(x)
    loc, scale = m.loc(h), m.scale(h)
    z = loc + scale * torch.randn_like(loc)
    return -(bce(m.decoder(z), x) - 0.5 * kl_to_standard(loc, scale)).mean()


def hand_conditional(m: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    label = F.one_hot(y, 10).to(x.dtype)
    loc, scale = softplus_pair(m.head(m.hidden(torch.cat((x, label), -1))))
    z = loc + scale * torch.randn_like(loc)
    return -(bce(m.decoder(torch.cat((z, label), -1)), x) - kl_to_standard(loc, scale)).mean()


def hand_ladder(m: nn.Module, x: Tensor) -> Tensor:
    m1, s1 = softplus_pair(m.encode_1(x))
    z1 = m1 + s1 * torch.randn_like(m1)
    m2, s2 = softplus_pair(m.encode_2(z1))
    z2 = m2 + s2 * torch.randn_like(m2)
    m3, s3 = softplus_pair(m.decode_1(z2))
    log_p = (-0.5 * ((z1 - m3) / s3).square() - s3.log() - 0.9189385).sum(-1)
    entropy = (s1.log() + 1.4189385).sum(-1)
    return -(bce(m.decode_0(z1), x) + log_p + entropy - kl_to_standard(m2, s2)).mean()


def hand_classifier(m: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(m.logits(x), y)


def hand_factors(m: nn.Module, grey: Tensor) -> Tensor:
    loc, spread, noise = m.loc(grey), F.softplus(m.free_spread), F.softplus(m.free_noise)
    z = loc + spread * torch.randn_like(loc)
    mean = F.linear(z, m.loadings) + m.centre
    log_p = (-0.5 * ((grey - mean) / noise).square() - noise.log() - 0.9189385).sum(-1)
    return -(log_p - kl_to_standard(loc, spread)).mean()


HAND = {
    "beta_vae": hand_beta,
    "conditional_vae": hand_conditional,
    "hierarchical_vae": hand_ladder,
    "classifier": hand_classifier,
    "factor_analysis": hand_factors,
}


@pytest.mark.parametrize("name", sorted(HAND))
def test_every_example(name: str) -> None:
    """Same value from the same noise, in no more operations."""
    model = pgc.compile(EXAMPLES[name]).Model().eval()
    image = (torch.rand(16, 64) > 0.5).float()
    values: dict[str, Tensor | float] = {"grey": image} if name == "factor_analysis" else {"x": image}
    if name in ("conditional_vae", "classifier"):
        values["y"] = torch.randint(0, 10, (16,))
    inputs = {"beta": 0.5} if name == "beta_vae" else {}
    torch.manual_seed(0)
    found = model.loss(**values, **inputs)
    torch.manual_seed(0)
    torch.testing.assert_close(found, HAND[name](model, **values), rtol=1e-4, atol=1e-4)
    mine = dispatches(model, lambda: model.loss(**values, **inputs))
    assert mine <= dispatches(model, lambda: HAND[name](model, **values))
