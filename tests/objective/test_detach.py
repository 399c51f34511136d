"""`E_{detach q}[f]`: the distribution is averaged over as it is, and passes no gradient; f does."""

import pytest
import torch
from torch import Tensor

from tests.conftest import compiled

GAUSSIAN = """
x, z : real
param w : real = 0.3
p(z) = Normal(0, 1)
p(x|z) = Normal(w * z, 1)
p(x) = ∫ p(x|z) p(z) dz
p(z|x) = p(x|z) p(z) / p(x)
q(z|x) = Normal(w * x, 1)
"""


def slope(model: torch.nn.Module, objective: str, x: Tensor) -> float:
    value = getattr(model, objective)(x=x).mean()
    return float(torch.autograd.grad(value, model.w)[0]) if value.requires_grad else 0.0


def test_the_em_objective_of_a_gaussian_posterior() -> None:
    """Fisher's identity: its gradient is that of log p(x); w x / (1 + w^2) and 1 / (1 + w^2) are the moments."""
    model = compiled(f"{GAUSSIAN}em = E_{{detach p(z|x)}}[log p(x|z) p(z)]\nl = log p(x)").Model().double()
    x, w = torch.tensor([2.0, -1.0, 0.5]).double(), model.w.item()
    mean, variance = w * x / (1 + w * w), 1 / (1 + w * w)
    expected = (x * mean - w * (variance + mean.square())).mean().item()
    assert slope(model, "em", x) == pytest.approx(expected, rel=1e-9)
    assert slope(model, "l", x) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("over", ["detach q(z|x)", "detach(q(z|x))", "detach q(z|x); samples=3"])
@pytest.mark.parametrize(
    ("body", "derivative"),
    [
        ("-(z - x)^2", lambda w, x: torch.zeros_like(x)),
        ("w * z", lambda w, x: w * x),
        ("sin(w) * z^2", lambda w, x: w.cos() * ((w * x).square() + 1)),
        # The entropy's density has its gradient, whose mean is 0; that of the draw is cut.
        ("-log q(z|x)", lambda w, x: torch.zeros_like(x)),
        ("log p(z) - log q(z|x)", lambda w, x: torch.zeros_like(x)),
    ],
)
def test_gradients_of_what_is_averaged_alone(over: str, body: str, derivative) -> None:  # type: ignore[no-untyped-def]
    if "samples" in over and body != "-(z - x)^2":
        over = over.partition(";")[0]  # drawn, the others have this gradient in the mean only
    model = compiled(f"{GAUSSIAN}o = E_{{{over}}}[{body}]").Model().double()
    x = torch.tensor([2.0, -1.0, 0.5]).double()
    expected = derivative(model.w.detach(), x).mean().item()
    assert slope(model, "o", x) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "objective",
    [
        "E_{detach q(z|x)}[log p(x|z)]",
        "E_{detach q(z|x)}[sum(sin(z)) * log p(x|z)]",
        "E_{detach q(z|x); samples=4}[log p(x|z) + log p(z) - log q(z|x)]",
        "E_{detach q(k|x)}[log p(x|k) + log q(k|x)]",
        "E_{detach q(k|x); samples=2}[log p(x|k)]",
        "E_{detach r(b|x)}[log p(x|b)]",
        "E_{detach r(b|x); relax=gumbel}[log p(x|b)]",
        "E_{detach f(z)}[log p(x|z)]",
        "E_{detach s(z|x)}[log p(x|z) + log p(z)]",
        "E_{detach q(z|x) q(k|x)}[log p(x|z) + log p(x|k)]",
    ],
)
def test_the_reference_agrees(objective: str) -> None:
    program = compiled(f"""
        x, z : real[2]
        k : category[3]
        b : boolean[20]
        net e = Linear(4)
        net g = Linear(3)
        net h = Linear(20)
        net d = Linear(2)
        net u = Linear(2)
        param m : real[3, 2] = normal(1)
        flow warp = repeat 2 {{ Planar }}
        p(z) = Normal(0, 1)
        p(x|z) = Normal(d(z), 1)
        p(x|k) = Normal(m[k], 1)
        p(x|b) = Normal(u(b), 1)
        q(z|x) = Normal(a, softplus(s)) where (a, s) = e(x)
        q(k|x) = Categorical(logits = g(x))
        r(b|x) = Bernoulli(logits = h(x))
        param v : simplex[2]
        s_1(z|x) = Normal(x, 1)
        s(z|x) = v[0] q(z|x) + v[1] s_1(z|x)
        f(z) = Flow(Normal(0, 1), warp)
        o = {objective}
    """)
    assert [str(check) for check in program.verify() if not check.passed] == []
