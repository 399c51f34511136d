"""`JS_d`, `KL_d` and `W_d`: against closed forms and formulas written by hand, and their gradients' directions."""

import inspect
import math

import pytest
import torch
import torch.nn.functional as F

import pgcompile as pgc

# A critic that is a known function: d(x) = w x.
SHIFT = """
x : real[1]
param m : real[1] = 1
param w : real[1] = 0.5
net unused = Linear(1)
net d = Linear(1)
p(x) = Normal(m, 1)
q(x) = Normal(0, 1)
js = JS_d[p(x) || q(x); samples=20000]
hinge = JS_d[p(x) || q(x); form=hinge, samples=20000]
fool = JS_d[p(x) || q(x); form=nonsaturating, samples=20000]
kl = KL_d[p(x) || q(x); samples=20000]
w_gap = W_d[p(x) || q(x); samples=20000]
"""


def _model(slope: float, offset: float) -> torch.nn.Module:
    model = pgc.compile(SHIFT).Model().double()
    with torch.no_grad():
        model.d.weight.fill_(slope)
        model.d.bias.fill_(offset)
    return model


def _integral(function, mean: float) -> float:  # type: ignore[no-untyped-def]
    """The mean of a function under Normal(mean, 1), by quadrature."""
    x = torch.linspace(-12, 14, 200_001, dtype=torch.float64)
    density = torch.exp(-0.5 * (x - mean).square()) / math.sqrt(2 * math.pi)
    return float(torch.trapezoid(function(x) * density, x))


def test_values_are_those_of_the_papers() -> None:
    torch.manual_seed(0)
    slope, offset = 0.8, -0.3
    model = _model(slope, offset)

    def d(x: torch.Tensor) -> torch.Tensor:
        return slope * x + offset

    expected = {
        "js": math.log(2)
        + 0.5 * (_integral(lambda x: F.logsigmoid(d(x)), 1) + _integral(lambda x: F.logsigmoid(-d(x)), 0)),
        "hinge": -_integral(lambda x: (1 - d(x)).relu(), 1) - _integral(lambda x: (1 + d(x)).relu(), 0),
        "fool": -_integral(lambda x: F.logsigmoid(-d(x)), 1),
        "kl": slope * 1 + offset,
        "w_gap": slope * 1,
    }
    for name, value in expected.items():
        assert float(getattr(model, name)()) == pytest.approx(value, abs=0.03), name


def test_the_best_discriminator_gives_the_divergences() -> None:
    """log p/q of Normal(1, 1) and Normal(0, 1) is x - 1/2: KL is 1/2, JS is by quadrature (Nowozin et al. 2016)."""
    torch.manual_seed(0)
    model = _model(1.0, -0.5)

    def mixture(x: torch.Tensor) -> torch.Tensor:
        return torch.log1p(torch.exp(x - 0.5)) - math.log(2)  # log of the mixture over q

    js = 0.5 * (_integral(lambda x: x - 0.5 - mixture(x), 1) + _integral(lambda x: -mixture(x), 0))
    assert float(model.js()) == pytest.approx(js, abs=0.01)
    assert float(model.kl()) == pytest.approx(0.5, abs=0.03)
    worse = _model(0.5, 0.2)
    assert float(worse.js()) < js


GAN = """
x : real[2]
z : real[2]
net g = Linear(2)
net d = Linear(8) >> Tanh >> Linear(1)
p(z) = Normal(0, 1)
p(x|z) = Delta(g(z))
w = W_d[p || data; penalty=3]
maximize w wrt d using SGD(lr = 0.01)
"""


def test_the_gradient_penalty_is_that_of_its_paper() -> None:
    """Written out for the same draws, with its gradient of the critic's weights."""
    torch.manual_seed(0)
    model = pgc.compile(GAN).Model().double()
    x = torch.randn(5, 2, dtype=torch.float64)
    torch.manual_seed(1)
    found = model.w(x)
    torch.manual_seed(1)
    fake = model.g(torch.randn(5, 2, dtype=torch.float64))
    along = torch.rand(5, dtype=torch.float64).unsqueeze(-1)
    points = (along * fake + (1 - along) * x).detach().requires_grad_()
    (slope,) = torch.autograd.grad(model.d(points).sum(), points, create_graph=True)
    penalty = (slope.norm(dim=-1) - 1).square()
    expected = model.d(fake)[:, 0] - model.d(x)[:, 0] - 3 * penalty
    assert torch.allclose(found, expected)
    weights = list(model.d.parameters())
    mine = torch.autograd.grad(found.sum(), weights, retain_graph=True)
    theirs = torch.autograd.grad(expected.sum(), weights)
    assert all(torch.allclose(a, b) for a, b in zip(mine, theirs, strict=True))


def test_the_penalty_passes_no_gradient_to_the_generator() -> None:
    torch.manual_seed(0)
    model = pgc.compile(GAN.replace("net g = Linear(2)", "net g = Linear(2)") + "gap = W_d[p || data]\n").Model()
    x = torch.randn(7, 2)
    grads = []
    for method in (model.w, model.gap):
        torch.manual_seed(1)
        grads.append(torch.autograd.grad(method(x).sum(), list(model.g.parameters())))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*grads, strict=True))


def test_a_generated_side_keeps_the_batch_of_the_data() -> None:
    text = GAN.replace("w = W_d[p || data; penalty=3]", "w = JS_d[p || data; form=nonsaturating]")
    model = pgc.compile(text).Model()
    assert model.w(torch.randn(7, 2)).shape == (7,)
    other = pgc.compile(text.replace("p || data", "data || p")).Model()
    assert other.w(torch.randn(7, 2)).shape == (7,)


def test_both_directions_of_one_objective_have_a_loss() -> None:
    text = GAN + "minimize w wrt g using SGD(lr = 0.1)\n"
    model = pgc.compile(text).Model()
    x = torch.randn(7, 2)
    torch.manual_seed(1)
    up = model.loss_w_max(x)
    torch.manual_seed(1)
    assert float(model.loss_w_min(x)) == pytest.approx(-float(up), rel=1e-6)


@pytest.mark.parametrize(
    ("formula", "code", "says"),
    [
        ("JS_e[p || data]", "PGC101", "there is none of that name"),
        ("JS_d[p]", "PGC311", "compares two distributions"),
        ("JS_d[p || data; form=best]", "PGC408", "saturating, nonsaturating, hinge"),
        ("W_d[p || data; penalty=-1]", "PGC408", "not negative"),
        ("JS_g[p || data]", "PGC402", "gives [2] numbers"),
        ("JS_d[p || r(z)]", "PGC405", "does not generate x"),
        ("KL_d[p || data; penalty=1]", "PGC106", "no option penalty"),
    ],
)
def test_mistakes(formula: str, code: str, says: str) -> None:
    text = GAN.replace("W_d[p || data; penalty=3]", formula) + "r(z) = Normal(1, 1)\n"
    found = [d for d in pgc.check(text) if d.code == code]
    assert found, [str(d.code) for d in pgc.check(text)]
    assert says in found[0].message
    assert found[0].help


SIDES = """
x : real[4]
z : real[2]
y : category[3]
net enc = Linear(2)
net dec = Linear(4)
net g(z, y) = cat(z, one_hot(y)) >> Linear(4)
net d = Linear(1)
net b(x, z) = cat(x, z) >> Linear(1)
net c(x, y) = cat(x, one_hot(y)) >> Linear(1)
p(z) = Normal(0, 1)
q(z|x) = Delta(enc(x))
q(z) = ∫ q(z|x) data(x) dx
p(x|z) = Delta(dec(z))
r(x|z,y) = Delta(g(z, y))
"""


@pytest.mark.parametrize(
    ("sides", "learned", "expected"),
    [
        ("JS_d[q(z) || p(z); form=nonsaturating]", {"enc"}, lambda m, x: m.d(m.enc(x))),
        ("JS_d[q(z|x) data(x) || p(z); form=nonsaturating]", {"enc"}, lambda m, x: m.d(m.enc(x))),
        ("JS_d[q(z|x) || p(z); form=nonsaturating]", {"enc"}, lambda m, x: m.d(m.enc(x))),
        ("JS_d[p(z) || q(z); form=nonsaturating]", {"enc"}, lambda m, x: -m.d(m.enc(x))),
        ("JS_c[r(x|z,y) p(z) data(y) || data(x,y); form=nonsaturating]", {"g"}, None),
        ("JS_c[data(x,y) || r(x|z,y) p(z) data(y); form=nonsaturating]", {"g"}, None),
        ("JS_b[p(x|z) p(z) || q(z|x) data(x); form=nonsaturating]", {"dec", "enc"}, None),
    ],
)
def test_the_learned_sides_are_those_that_fool(sides: str, learned: set[str], expected: object) -> None:
    program = pgc.compile(f"{SIDES}\nl = {sides}\nminimize l")
    assert [check for check in program.verify(runs=200) if not check.passed] == []
    model = program.Model().double()
    x, y = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1])
    given = {n: v for n, v in (("x", x), ("y", y)) if n in inspect.signature(model.l).parameters}
    value = model.l(**given).mean()
    value.backward()
    moved = {n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert moved - {"d", "c", "b"} == learned
    if expected is not None:
        found = torch.nn.functional.softplus(expected(model, x)[:, 0])  # type: ignore[operator]
        torch.testing.assert_close(value, found.mean())
