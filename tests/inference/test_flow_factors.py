"""Flows as factors of programs, against the reference interpreter, whose determinants come from Jacobians."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributions as D

import pgcompile as pgc
from pgcompile.training import DataError, checkpoint
from tests.conftest import compiled

POSTERIOR = """x : real[4]
z : real[2]
net enc = Linear(8) >> ReLU
net loc = Linear(2)
net scale = Linear(2) >> Softplus
net dec = Linear(4)
flow f(h) = repeat 2 { InverseAutoregressive(hidden=[8]) >> Reverse }
p(z) = Normal(0, 1)
p(x|z) = Normal(dec(z), 0.5)
q(z|x) = Flow(Normal(loc(h), scale(h)), f(h)) where h = enc(x)
"""
PROGRAMS = {
    "a posterior": POSTERIOR + "l = ELBO[p || q]\nmaximize l",
    "several samples": POSTERIOR + "l = IWAE[p || q; samples=3]\nmaximize l",
    "a score function": POSTERIOR
    + "l = E_{q(z|x); samples=4, grad=score}[log p(x|z) + log p(z) - log q(z|x)]\nmaximize l",
    "an entropy": POSTERIOR + "l = E_{q(z|x)}[log p(x|z) + log p(z)] + H[q(z|x)]\nmaximize l",
    "a prior": """x : real[3]
z : real[2]
flow f = AffineCoupling(hidden=[8]) >> Planar >> Rotation
net dec = Linear(3)
net loc = Linear(2)
p(z) = Flow(Normal(0, 1), f)
p(x|z) = Normal(dec(z), 0.5)
q(z|x) = Normal(loc(x), 0.3)
l = E_q[log p(x|z)] - KL[q(z|x) || p(z)]
maximize l""",
    "the inverse, over the same weights": """x : real[3]
flow f = repeat 2 { SplineCoupling(hidden=[8], bins=4) >> Permutation }
p(x) = Flow(Normal(0, 1), f)
q(x) = Flow(Normal(0, 1), f.inv)
l = log p(x) + log q(x)
maximize l""",
    "flows in a flow": """x : real[3]
flow f = AffineCoupling(hidden=[8])
flow g = f >> Rotation >> f.inv >> LULinear
p(x) = Flow(Normal(0, 1), g)
r(x) = Flow(Normal(1, 2), f)
l = log p(x) + log r(x)
maximize l""",
    "two contexts, one a number": """x : real[2]
c : real
d : real[3]
flow f(c, d) = ElementwiseAffine(hidden=[8]) >> MaskedAutoregressive(hidden=[8])
p(x|c,d) = Flow(Laplace(c, 1), f(2 * c, tanh(d)))
l = log p(x|c,d)
maximize l""",
    "a renamed factor": """x : real[2]
y : real[2]
c : real[2]
flow f(c) = MaskedAutoregressive(hidden=[8])
p(x|c) = Flow(Normal(0, 1), f(c))
p(y|c) = p(x|c)[x -> y]
l = log p(x|c) + log p(y|c)
maximize l""",
    "a mixture of flows": """x : real[2]
k : category[3]
flow f(c) = MaskedAutoregressive(hidden=[8])
p(k) = Categorical([0.2, 0.3, 0.5])
p(x|k) = Flow(Normal(0, 1), f(one_hot(k)))
p(x) = sum_k p(x|k) p(k)
l = log p(x)
maximize l""",
    "positive numbers": """x : positive[2]
flow f = Log >> AffineCoupling(hidden=[8])
p(x) = Flow(Normal(0, 1), f)
l = log p(x)
maximize l""",
    "samples against samples": """x : real[2]
flow f = AffineCoupling(hidden=[8], mask=even) >> AffineCoupling(hidden=[8], mask=odd)
p(x) = Flow(Normal(0, 1), f)
l = MMD[p(x) || data(x)]
minimize l""",
    "a graph of features": """x : real[3]
flow f = MaskedAutoregressive(hidden=[8], adjacency=[[1, 0, 0], [1, 1, 0], [1, 0, 1]])
p(x) = Flow(Normal(0, 1), f)
l = log p(x)
maximize l""",
    "an image": """x : real[1, 4, 4]
y : category[2]
flow f(c) = Squeeze >> ActNorm >> Conv1x1 >> ImageCoupling(hidden=4) >> Split >> Conv1x1(lu=false) >> Flatten >> Reverse
p(x|y) = Flow(Normal(0, 1), f(one_hot(y)))
l = log p(x|y)
maximize l""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_reference_agrees(name: str) -> None:
    checks = pgc.compile(PROGRAMS[name]).verify(runs=1200)
    assert [str(c) for c in checks if not c.passed] == []


def test_a_draw_is_not_taken_back() -> None:
    """The log-density of a draw comes from the pass that drew it: one evaluation of the flow in an ELBO."""
    program = compiled(PROGRAMS["a posterior"])
    model = program.Model()
    passes = {"forward": 0, "inverse": 0}
    flow = model.f
    for name, whole in (("forward", flow.forward), ("inverse", flow.inverse)):

        def counted(*args, name=name, whole=whole):  # type: ignore[no-untyped-def]
            passes[name] += 1
            return whole(*args)

        setattr(flow, name, counted)
    model.l(x=torch.randn(5, 4))
    assert passes == {"forward": 0, "inverse": 1}


def test_gradients_reach_the_base_and_the_flow() -> None:
    model = compiled(PROGRAMS["a posterior"]).Model()
    model.loss(x=torch.randn(8, 4)).backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []


def test_draws_are_tensors_like_any_other() -> None:
    """They may be trained on: nothing of how they were drawn is left."""
    model = compiled(PROGRAMS["an image"]).Model()
    given = {"y": torch.zeros(8, dtype=torch.long)}
    x = model.sample((), given)["x"]
    assert not x.is_inference()
    assert not x.requires_grad
    x.requires_grad_()
    model.log_prob(x=x, y=given["y"]).sum().backward()
    assert x.grad is not None


def test_tied_flows_share_their_weights() -> None:
    model = compiled(PROGRAMS["the inverse, over the same weights"]).Model()
    names = {n.split(".")[0] for n, _ in model.named_parameters()}
    assert names == {"f"}
    x = model.factor("q(x)")().sample((50,))
    u, ladj = model.f.inverse(x)
    normal = D.Normal(0.0, 1.0)
    torch.testing.assert_close(model.log_prob_of("q(x)", x=x), normal.log_prob(u).sum(-1) + ladj)


def test_couplings_of_two_halves_are_one_step() -> None:
    text = "x : real[4]\nflow f = repeat 3 { AffineCoupling(mask=even) >> AffineCoupling(mask=odd) } >> Reverse\n"
    model = compiled(text + "p(x) = Flow(Normal(0, 1), f)\nl = log p(x)").Model()
    assert [type(t).__name__ for t in model.f.transforms] == ["AlternatingCouplings", "Reverse"]
    assert len(model.f.transforms[0].layers) == 6


def test_linked_modules_import_the_transforms() -> None:
    source = pgc.compile(PROGRAMS["a prior"], link=True).source
    assert "from pgcompile.runtime.transforms.planar import Planar" in source
    assert "class Planar" not in source
    namespace: dict[str, object] = {}
    exec(compile(source, "linked", "exec"), namespace)  # noqa: S102
    assert namespace["Model"]().sample((2,))["z"].shape == (2, 2)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["flows in a flow", "the inverse, over the same weights", "an image"])
def test_checkpoints_of_the_trainer(name: str, tmp_path: Path) -> None:
    """Weights that flows share are written once."""
    program = compiled(PROGRAMS[name])
    first, second = program.Model(), program.Model()
    path = checkpoint.save(first, tmp_path / "m.safetensors")
    checkpoint.restore(second, path)
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_of_other_constants(tmp_path: Path) -> None:
    text = "x : real[2]\nflow f = SplineCoupling(bound={})\np(x) = Flow(Normal(0, 1), f)\nl = log p(x)"
    path = checkpoint.save(compiled(text.format(3)).Model(), tmp_path / "m.safetensors")
    with pytest.raises(DataError, match=r"bound is 4 here, and 3 in the checkpoint"):
        checkpoint.restore(compiled(text.format(4)).Model(), path)


def test_a_checkpoint_of_a_flow_with_random_choices() -> None:
    text = "x : real[6]\nflow f = repeat 2 { AffineCoupling(mask=random) >> Permutation >> ActNorm }\n"
    program = compiled(text + "p(x) = Flow(Normal(0, 1), f)\nl = log p(x)\nmaximize l")
    first, second = program.Model(), program.Model()
    x = torch.randn(32, 6)
    first.loss(x=x)
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(first.log_prob(x=x), second.log_prob(x=x), rtol=0, atol=0)


@pytest.mark.parametrize("word", ["CircularSplineCoupling", "CircularSplineAutoregressive", "CircularShift"])
def test_a_flow_of_angles_integrates_to_one(word: str) -> None:
    model: Any = pgc.compile(f"x : real[2]\nflow f = {word} >> Reverse\np(x) = Flow(Uniform(-pi, pi), f)").Model()
    torch.manual_seed(0)
    with torch.no_grad():
        for part in model.parameters():
            part += 0.1 * torch.randn_like(part)
    edge = (torch.arange(200) + 0.5) / 200 * 2 * math.pi - math.pi
    grid = torch.cartesian_prod(edge, edge)
    total = model.log_prob(x=grid).exp().sum() * (2 * math.pi / 200) ** 2
    assert abs(float(total) - 1) < 0.01
    drawn = model.sample((1000,))["x"]
    assert (drawn.abs() <= math.pi + 1e-5).all()


def test_a_flow_in_a_flow_has_its_inputs() -> None:
    """As they are, and the same whether they are named or not."""
    text = (
        "x : real[2]\nc : real[3]\nflow g(h) = AffineCoupling\n"
        "flow f(c) = {} >> Reverse\np(x|c) = Flow(Normal(0, 1), f(c))"
    )
    sources = {pgc.compile(text.format(g), name="M").source for g in ("g(c)", "g")}
    assert len({source.split("import math")[1] for source in sources}) == 1
