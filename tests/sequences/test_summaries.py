"""Variables that take all places of a sequence together: `r = mean_t f(x_t)`."""

import pytest
import torch

import pgcompile as pgc

SET = """
index t in 1..T{padded}
x_t : real[2]
z : real
net enc = Linear(3) >> Tanh
net loc = Linear(1)
r = {kind}_t enc(x_t)
p(z) = Normal(0, 1)
q(z|x_{{1:T}}) = Normal(loc(r)[0], 1)
p(x_t|z) = Normal(z, 1)
kl = KL[q(z|x_{{1:T}}) || p(z)]
elbo = E_{{q(z|x_{{1:T}})}}[sum_t log p(x_t|z)] - kl
maximize elbo using Adam(lr = 1e-2)
"""


def _by_hand(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """tanh of the encoder's layer at each place."""
    enc = next(p for n, p in model.named_modules() if n.startswith("enc") and isinstance(p, torch.nn.Linear))
    return torch.tanh(x @ enc.weight.T + enc.bias)


def _divergence(model: torch.nn.Module, r: torch.Tensor) -> torch.Tensor:
    loc = next(p for n, p in model.named_modules() if n.startswith("loc") and isinstance(p, torch.nn.Linear))
    return 0.5 * (r @ loc.weight.T + loc.bias).square().sum(-1)


@pytest.mark.parametrize("kind", ["mean", "sum"])
def test_the_code_of_a_set(kind: str) -> None:
    model = pgc.compile(SET.format(kind=kind, padded="")).Model()
    x = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(0))
    whole = _by_hand(model, x).sum(1) / (6 if kind == "mean" else 1)
    assert torch.allclose(model.kl(x=x), _divergence(model, whole), atol=1e-5)


@pytest.mark.parametrize("kind", ["mean", "sum"])
def test_padding_is_no_part_of_a_set(kind: str) -> None:
    model = pgc.compile(SET.format(kind=kind, padded=" padded")).Model()
    x = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
    lengths = [5, 2, 1]
    for row, length in enumerate(lengths):
        x[row, length:] = torch.nan
    found = model.kl(x=x, T=torch.tensor(lengths))
    for row, length in enumerate(lengths):
        whole = _by_hand(model, x[row, :length]).sum(0) / (length if kind == "mean" else 1)
        assert torch.allclose(found[row], _divergence(model, whole), atol=1e-5)
    found.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("padded", ["", " padded"])
def test_the_judge_agrees(padded: str) -> None:
    program = pgc.compile(SET.format(kind="mean", padded=padded))
    assert all(check.passed for check in program.verify())
    drawn = program.Model().sample((3,), T=4)
    assert drawn["r"].shape == (3, 3) and drawn["x"].shape == (3, 4, 2)


def test_a_scene_that_is_seen_from_some_places() -> None:
    program = pgc.compile(
        "index t in 1..T\nv_t : real[2]\nx_t : real[4]\nz : real[3]\ny : real[4]\nw : real[2]\n"
        "net enc = Linear(8)\nnet prior = Linear(3)\nnet dec = Linear(4)\nnet post = Linear(3)\n"
        "r = sum_t enc(x_t, v_t)\np(z|r, w) = Normal(prior(r, w), 1)\np(y|z, w) = Normal(dec(z, w), 1)\n"
        "q(z|y, r, w) = Normal(post(y, r, w), 1)\nelbo = ELBO[p || q]\nmaximize elbo using Adam(lr = 1e-3)\n"
    )
    assert all(check.passed for check in program.verify())
    given = {"v": torch.zeros(5, 3, 2), "x": torch.ones(5, 3, 4), "w": torch.zeros(5, 2)}
    assert program.Model().sample(given=given)["y"].shape == (5, 4)


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("r = mean_t f(c)", "PGC120", "does not carry"),
        ("r = prod_t f(x_t)", "PGC401", "product over places"),
        ("index n in data\ny_n : real[2]\nr = mean_n f(y_n)", "PGC401", "all data points"),
    ],
)
def test_what_is_no_summary_is_told(line: str, code: str, words: str) -> None:
    text = f"index t in 1..T\nx_t : real[2]\nc : real[2]\nz : real\nnet f = Linear(2)\n{line}\np(z) = Normal(0, 1)\n"
    text += "q(z|r) = Normal(sum(r), 1)\no = KL[q(z|r) || p(z)]\n"
    found = pgc.check(text)
    assert any(d.code == code and words in d.message + (d.help or "") for d in found), [str(d) for d in found]


PANEL = """
index n in 1..N
index t in 1..T
x_{n,t}, z_{n,t}, a_n : real
param w : real = 0.5
z_{n,0} = 0
p(a_n) = Normal(0, 1)
p(z_{n,t}|z_{n,t-1}, a_n) = Normal(w * z_{n,t-1} + a_n, 1)
p(x_{n,t}|z_{n,t}) = Normal(z_{n,t}, 0.1)
"""


def test_variables_of_rows_beside_sequences() -> None:
    program = pgc.compile(PANEL)
    model = program.Model()
    g = torch.Generator().manual_seed(0)
    x, z = torch.randn(2, 3, 4, generator=g), torch.randn(2, 3, 4, generator=g)
    a = torch.randn(2, 3, generator=g)
    normal = torch.distributions.Normal
    before = torch.cat((torch.zeros(2, 3, 1), z[..., :-1]), -1)
    wanted = normal(0.0, 1.0).log_prob(a).sum(-1) + normal(z, 0.1).log_prob(x).sum((-1, -2))
    wanted = wanted + normal(0.5 * before + a.unsqueeze(-1), 1.0).log_prob(z).sum((-1, -2))
    assert torch.allclose(model.log_prob(x=x, z=z, a=a), wanted, rtol=1e-5)
    torch.manual_seed(0)
    drawn = model.sample((20_000,), N=1, T=2)
    assert drawn["z"].shape == (20_000, 1, 2) and drawn["a"].shape == (20_000, 1)
    # z_2 = 1.5 a + 0.5 e_1 + e_2
    assert drawn["z"][..., 1].var().item() == pytest.approx(2.25 + 0.25 + 1, rel=0.05)


def test_a_start_of_each_row_is_told() -> None:
    found = pgc.check(PANEL.replace("z_{n,0} = 0", "z_{n,0} = a_n"))
    assert any(d.code == "PGC010" and "z_0 = 0" in (d.help or "") for d in found)
