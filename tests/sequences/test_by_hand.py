"""Values of programs with indices against loops, recurrences and densities of torch, written by hand."""

from typing import Any

import pytest
import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor

import pgcompile as pgc
from tests.conftest import compiled
from tests.sequences.test_programs import TEXTS


def made(text: str) -> Any:
    torch.manual_seed(0)
    return compiled(text).Model().double()


def test_a_variational_recurrent_net_is_its_loop() -> None:
    model = made(TEXTS["vrnn"])
    x = (torch.rand(5, 7, 12) < 0.4).double()
    torch.manual_seed(3)
    found = model.elbo(x=x)
    torch.manual_seed(3)
    noise = torch.randn(7, 5, 3, dtype=torch.float64)
    h, total = torch.zeros(5, 8, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    for t in range(7):
        e = model.enc(torch.cat((x[:, t], h), -1))
        q = D.Normal(model.loc(e), model.scale(e))
        z = q.loc + q.scale * noise[t]
        logits = model.decoder(torch.cat((z, h), -1))
        total = total - F.binary_cross_entropy_with_logits(logits, x[:, t], reduction="none").sum(-1)
        total = total - D.kl_divergence(q, D.Normal(torch.zeros_like(z), model.prior(h))).sum(-1)
        h = model.gru(torch.cat((z, x[:, t]), -1), h)
    torch.testing.assert_close(found, total)


def test_a_recurrent_cell_over_data_is_torchs_recurrent_net() -> None:
    model = made(TEXTS["gru"])
    x = torch.randint(0, 10, (4, 6))
    whole = torch.nn.GRU(8, 16, batch_first=True).double()
    for name, value in model.cell.named_parameters():
        getattr(whole, f"{name}_l0").data.copy_(value)
    states, _ = whole(model.emb(x))
    before = torch.cat((torch.zeros(4, 1, 16, dtype=torch.float64), states[:, :-1]), 1)
    expected = D.Categorical(logits=model.out(before)).log_prob(x).mean(-1)
    torch.testing.assert_close(model.fit(x=x), expected)


def test_cells_over_data_are_one_call_each_way() -> None:
    model = made(TEXTS["cells"])
    text = compiled(TEXTS["cells"]).source
    assert " for " not in text[text.index("def elbo") : text.index("def loss")]
    x = torch.randn(4, 6, 4, dtype=torch.float64)
    start = torch.zeros(4, 6, dtype=torch.float64)
    h, c, states = start, start, []
    for t in range(6):
        h, c = model.lstm(x[:, t], (h, c))
        states.append(h)
    g, r, behind = (
        model.g_0.expand(4, 5),
        torch.zeros(4, 5, dtype=torch.float64),
        torch.zeros(4, 5, dtype=torch.float64),
    )
    gs, rs, bs = [], [], []
    for t in range(6):
        g, r = model.gru(x[:, t], g), model.rnn(states[t], r)
        gs.append(g)
        rs.append(r)
    for t in reversed(range(6)):
        behind = model.back(torch.cat((gs[t], x[:, t]), -1), behind)
        bs.insert(0, behind)
    torch.manual_seed(3)
    found = model.elbo(x=x)
    torch.manual_seed(3)
    noise, total = torch.randn(6, 4, 3, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    for t in range(6):
        q = D.Normal(model.q1(torch.cat((states[t], rs[t], bs[t]), -1)), 0.4)
        z = q.loc + 0.4 * noise[t]
        total = total + D.Normal(model.dec(z), 0.3).log_prob(x[:, t]).sum(-1)
        total = total - D.kl_divergence(q, D.Normal(model.loc(states[t - 1] if t else start), 0.5)).sum(-1)
    torch.testing.assert_close(found, total)


def test_terms_of_two_paths_are_drawn_apart() -> None:
    bounds = "bound = IWAE[p || q; samples=5]\nelbo = ELBO[p || q; samples=3]\nmaximize bound"
    model = made(f"{STATE_SPACE}{bounds}")
    x = torch.randn(4, 6, 2, dtype=torch.float64)
    torch.manual_seed(0)
    one_by_one = {"bound": model.bound(x=x), "elbo": model.elbo(x=x)}
    torch.manual_seed(0)
    torch.testing.assert_close(model.terms(x=x), one_by_one)


FIRST = """index t in 1..T{padded}
x_t : real[2]
z_t : real[3]
net f = Linear(3)
net e = Linear(3)
net d = Linear(2)
p(z_1) = Normal(0, 2)
p(z_t|z_{{t-1}}) = Normal(f(z_{{t-1}}), 1)
p(x_t|z_t) = Normal(d(z_t), 0.5)
q(z_t|x_t) = Normal(e(x_t), 0.7)
"""
PATH = "E_{q(z_{1:T}|x_{1:T})}"
LIKELIHOOD = "sum_t log p(x_t|z_t)"
AS_PAPERS_WRITE_IT = (
    f"{PATH}[log p(z_1) + sum_{{t=2}}^{{T}} log p(z_t|z_{{t-1}}) + {LIKELIHOOD} - sum_t log q(z_t|x_t)]",
    f"{PATH}[{LIKELIHOOD} - KL[q(z_1|x_1) || p(z_1)] - sum_{{t=2}}^{{T}} KL[q(z_t|x_t) || p(z_t|z_{{t-1}})]]",
    f"{PATH}[{LIKELIHOOD}] - KL[q(z_1|x_1) || p(z_1)] - sum_{{t=2}}^{{T}} KL[q(z_t|x_t) || p(z_t|z_{{t-1}})]",
)


@pytest.mark.parametrize("formula", AS_PAPERS_WRITE_IT)
@pytest.mark.parametrize("padded", ["", " padded"])
def test_the_first_place_apart_is_the_whole(formula: str, padded: str) -> None:
    text = f"{FIRST.format(padded=padded)}apart = {formula}\nwhole = ELBO[p || q]\nmaximize apart"
    program = compiled(text)
    assert [str(check) for check in program.verify(runs=100) if not check.passed] == []
    model = made(text)
    x = torch.randn(3, 5, 2, dtype=torch.float64)
    given = {"T": torch.tensor([5, 1, 3])} if padded else {}
    means = []
    for compute in (model.apart, model.whole):
        torch.manual_seed(0)
        means.append(torch.stack([compute(x=x, **given) for _ in range(2000)]).mean(0))
    torch.testing.assert_close(*means, rtol=0.02, atol=0.2)


def test_all_places_but_the_first() -> None:
    model = made("index t in 1..T\nx_t : real[2]\no = sum_{t=2}^{T} sum(x_t)^2\nm = sum_{t=2}^T mean(x_t)")
    x = torch.randn(3, 5, 2, dtype=torch.float64)
    torch.testing.assert_close(model.o(x=x), x[:, 1:].sum(-1).square().sum(1))
    torch.testing.assert_close(model.m(x=x), x[:, 1:].mean(-1).sum(1))
    torch.testing.assert_close(model.o(x=x[:, :1]), torch.zeros(3, dtype=torch.float64))


STATE_SPACE = """index t in 1..T
x_t : real[2]
z_t : real[3]
z_0 = 0
net trans = Linear(3)
net loc = Linear(3)
net dec = Linear(2)
p(z_t | z_{t-1}) = Normal(trans(z_{t-1}), 0.5)
p(x_t | z_t) = Normal(dec(z_t), 0.3)
q(z_t | z_{t-1}, x_t) = Normal(loc(z_{t-1}, x_t), 0.4)
"""
WAYS = (
    "ELBO[p || q]",
    "sum_t (E_{q(z_t|z_{t-1},x_t)}[log p(x_t|z_t)] - KL[q(z_t|z_{t-1},x_t) || p(z_t|z_{t-1})])",
    "E_{q(z_{1:T}|x_{1:T})}[log p(x_{1:T}, z_{1:T}) - log q(z_{1:T}|x_{1:T})]",
    "E_{q(z_{1:T}|x_{1:T})}[sum_{t=1}^{T} log p(x_t|z_t)] - sum_t KL[q(z_t|z_{t-1},x_t) || p(z_t|z_{t-1})]",
    "E_{q(z|x)}[log p(x, z) - log q(z|x)]",
)


def test_ways_of_writing_one_bound_have_one_value() -> None:
    text = STATE_SPACE + "\n".join(f"way_{i} = {way}" for i, way in enumerate("abcde"))
    for letter, way in zip("abcde", WAYS, strict=True):
        text = text.replace(f"way_{'abcde'.index(letter)} = {letter}", f"way{letter} = {way}")
    model = made(text)
    x = torch.randn(4, 5, 2, dtype=torch.float64)
    values, slopes = [], []
    for letter in "abcde":
        torch.manual_seed(1)
        value = getattr(model, f"way{letter}")(x=x)
        values.append(value.detach())
        slopes.append(torch.cat([g.flatten() for g in torch.autograd.grad(value.sum(), list(model.parameters()))]))
    torch.manual_seed(1)
    noise = torch.randn(5, 4, 3, dtype=torch.float64)
    z, total = torch.zeros(4, 3, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    for t in range(5):
        q = D.Normal(model.loc(torch.cat((z, x[:, t]), -1)), 0.4)
        p = D.Normal(model.trans(z), 0.5)
        z = q.loc + 0.4 * noise[t]
        total = total + D.Normal(model.dec(z), 0.3).log_prob(x[:, t]).sum(-1) - D.kl_divergence(q, p).sum(-1)
    for value, slope in zip(values, slopes, strict=True):
        torch.testing.assert_close(value, total.detach())
        torch.testing.assert_close(slope, slopes[0])


def test_a_bound_of_several_draws_is_that_of_whole_paths() -> None:
    model = made(STATE_SPACE + "bound = IWAE[p || q; samples = 4]")
    x = torch.randn(3, 5, 2, dtype=torch.float64)
    torch.manual_seed(1)
    found = model.bound(x=x)
    torch.manual_seed(1)
    noise = torch.randn(4, 5, 3, 3, dtype=torch.float64)
    z, log_w = torch.zeros(4, 3, 3, dtype=torch.float64), torch.zeros(4, 3, dtype=torch.float64)
    for t in range(5):
        here = x[:, t].expand(4, 3, 2)
        q, p = D.Normal(model.loc(torch.cat((z, here), -1)), 0.4), D.Normal(model.trans(z), 0.5)
        z = q.loc + 0.4 * noise[:, t]
        scored = D.Normal(model.dec(z), 0.3).log_prob(here).sum(-1)
        log_w = log_w + scored + (p.log_prob(z) - q.log_prob(z)).sum(-1)
    torch.testing.assert_close(found, log_w.logsumexp(0) - torch.tensor(4.0).double().log())


def test_padding_is_each_sequence_alone() -> None:
    model, text = made(TEXTS["pad"]), TEXTS["pad"].replace(" padded", "")
    alone = made(text)
    alone.load_state_dict(model.state_dict())
    x, lengths = torch.randn(3, 6, 4, dtype=torch.float64), torch.tensor([6, 3, 1])
    for row, length in enumerate(lengths):
        x[row, length:] = torch.nan
    torch.manual_seed(2)
    found = model.elbo(x=x, T=lengths)
    torch.manual_seed(2)
    noise = torch.randn(6, 3, 3, dtype=torch.float64)
    slopes = torch.autograd.grad(found.sum(), list(model.parameters()))
    assert all(slope.isfinite().all() for slope in slopes)
    expected = []
    for row, length in enumerate(lengths.tolist()):
        with _given(noise[:length, row : row + 1]):
            expected.append(alone.elbo(x=x[row : row + 1, :length]))
    torch.testing.assert_close(found, torch.cat(expected))
    own = torch.autograd.grad(torch.cat(expected).sum(), list(alone.parameters()))
    for a, b in zip(slopes, own, strict=True):
        torch.testing.assert_close(a, b)


class _given:
    """Lets `torch.randn_like` give some noise."""

    def __init__(self, noise: Tensor) -> None:
        self.noise = noise

    def __enter__(self) -> None:
        self.before = torch.randn_like
        torch.randn_like = lambda like: self.noise.expand(like.shape)  # type: ignore[assignment]

    def __exit__(self, *_: object) -> None:
        torch.randn_like = self.before


def test_two_sequences_of_unequal_length_are_named() -> None:
    model = made("index t in 1..T\nx_t, u_t : real\np(x_t|u_t) = Normal(u_t, 1)\nfit = sum_t log p(x_t|u_t)")
    with pytest.raises(ValueError, match="T is 4 in x and 5 in u of fit"):
        model.fit(x=torch.zeros(2, 4), u=torch.zeros(2, 5))


def test_a_hierarchical_model_is_its_product() -> None:
    model = made(TEXTS["plate"])
    x, mu = torch.randn(3, 5, 2, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    expected = D.Normal(mu.unsqueeze(1), 1.0).log_prob(x).sum((1, 2)) + D.Normal(0.0, 3.0).log_prob(mu).sum(-1)
    torch.testing.assert_close(model.log_prob(x=x, mu=mu), expected)


def test_ratings_are_a_product_over_both_indices() -> None:
    model = made(TEXTS["ratings"])
    a, b = torch.randn(4, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    r = torch.randn(4, 5, dtype=torch.float64)
    expected = D.Normal(a @ b.T + model.level, 0.5).log_prob(r).sum() + D.Normal(0.0, 1.0).log_prob(a).sum()
    expected = expected + D.Normal(0.0, 1.0).log_prob(b).sum()
    torch.testing.assert_close(model.posterior(r=r, a=a, b=b), expected)


def test_a_prefix_is_kept_and_continued_from_the_posterior() -> None:
    model = made(STATE_SPACE + "bound = ELBO[p || q]")
    x = torch.randn(2, 3, 2, dtype=torch.float64)
    torch.manual_seed(0)
    drawn = model.sample((2000,), given={"x": x}, T=5)
    assert drawn["x"].shape == (2000, 2, 5, 2)
    torch.testing.assert_close(drawn["x"][:, :, :3], x.expand(2000, 2, 3, 2))
    first = model.loc(torch.cat((torch.zeros(2, 3, dtype=torch.float64), x[:, 0]), -1))
    torch.testing.assert_close(drawn["z"][:, :, 0].mean(0), first, atol=0.05, rtol=0)


def test_a_recurrence_in_a_plate_is_one_for_each_place_of_it() -> None:
    model = made(TEXTS["plate_of_sequences"])
    x = torch.randn(2, 4, 4, 3, dtype=torch.float64)  # as many sequences as places: axes that are mixed up would fit
    torch.manual_seed(0)
    found = model.elbo(x=x)
    torch.manual_seed(0)
    noise = torch.randn(4, 4, 2, 2, dtype=torch.float64)
    z, total = torch.zeros(4, 2, 2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for t in range(4):
        here = x[:, :, t].transpose(0, 1)
        q = D.Normal(model.en(torch.cat((here, z), -1)), 0.3)
        prior, z = D.Normal(z, 0.5), q.loc + 0.3 * noise[t]
        total = total + D.Normal(model.de(z), 0.4).log_prob(here).sum((0, 2)) - D.kl_divergence(q, prior).sum((0, 2))
    torch.testing.assert_close(found, total)
    drawn = model.sample((5,), N=3, T=6)
    assert drawn["z"].shape == (5, 3, 6, 2)


def test_continuing_needs_a_posterior() -> None:
    model = made(
        STATE_SPACE.replace("q(z_t | z_{t-1}, x_t) = Normal(loc(z_{t-1}, x_t), 0.4)\n", "").replace(
            "net loc = Linear(3)\n", ""
        )
    )
    with pytest.raises(ValueError, match="x is given, but z above it is not"):
        model.sample((), given={"x": torch.zeros(3, 2)}, T=5)


def test_a_step_is_a_distribution_of_its_own() -> None:
    model = made(STATE_SPACE)
    z = torch.randn(7, 3, dtype=torch.float64)
    step = model.factor("p(z_t|z_{t-1})")(z)
    torch.testing.assert_close(step.mean, model.trans(z))
    found = model.log_prob_of("p(z_t | z_{t-1})", z=z, z_prev=z.flip(0))
    torch.testing.assert_close(found, D.Normal(model.trans(z.flip(0)), 0.5).log_prob(z).sum(-1))


def test_sizes_come_from_data_constants_and_the_command_line() -> None:
    text = STATE_SPACE.replace("1..T", "1..T").replace("index t", "const T = 4\nindex t")
    model = made(text + "bound = ELBO[p || q]")
    assert model.sample((2,))["x"].shape == (2, 4, 2)
    with pytest.raises(ValueError, match="4"):
        model.bound(x=torch.zeros(2, 5, 2))
    other = pgc.compile(STATE_SPACE + "bound = ELBO[p || q]", constants={"T": 6}).Model()
    assert other.sample((2,))["x"].shape == (2, 6, 2)


def test_a_minibatch_stands_for_the_data_set() -> None:
    model = made(TEXTS["bayesian_net"])
    x, y = torch.randn(6, 3, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    torch.manual_seed(1)
    found = model.elbo(x=x[:2], y=y[:2], N=6)
    torch.manual_seed(1)
    scale = F.softplus(model.free_s)
    w = model.m + scale * torch.randn(3, dtype=torch.float64)
    prior = D.kl_divergence(D.Normal(model.m, scale), D.Normal(0.0, 1.0)).sum()
    prior = prior + D.kl_divergence(D.Normal(model.c, 0.2), D.Normal(0.0, 5.0))
    # E_{q(b)} of a square is that of its mean, and the variance.
    mean = D.Normal(x @ w + model.c, 0.5).log_prob(y) - 0.5 * (0.2 / 0.5) ** 2
    torch.testing.assert_close(found, 3 * mean[:2].sum() - prior)
    torch.manual_seed(1)
    torch.testing.assert_close(model.elbo(x=x, y=y), mean.sum() - prior)


def test_the_trainer_says_how_many_data_points_there_are() -> None:
    program = compiled(TEXTS["bayesian_net"])
    torch.manual_seed(0)
    model = program.Model()
    x = torch.randn(40, 3)
    y = x @ torch.tensor([1.0, -2.0, 0.5]) + 0.3 + 0.5 * torch.randn(40)
    trainer = pgc.Trainer(model, epochs=300, batch_size=20, validation=0.0)
    trainer.fit({"x": x, "y": y}, progress=False)
    design = torch.cat((x, torch.ones(40, 1)), 1).double()
    precision = design.T @ design / 0.25 + torch.diag(torch.tensor([1.0, 1.0, 1.0, 1 / 25])).double()
    exact = torch.linalg.solve(precision, design.T @ y.double() / 0.25)
    torch.testing.assert_close(model.m.detach().double(), exact[:3], atol=0.1, rtol=0)
    spread = torch.linalg.inv(precision).diagonal().sqrt()[:3]
    torch.testing.assert_close(F.softplus(model.free_s).detach().double(), spread, atol=0.04, rtol=0)


def test_a_causal_net_of_the_past_sees_no_later_place() -> None:
    model = made(TEXTS["transformer"]).eval()
    x = torch.randint(0, 10, (3, 6))
    out = model.out(torch.cat((torch.zeros(3, 1, 16, dtype=torch.float64), model.tr(x)[:, :-1]), 1))
    expected = D.Categorical(logits=out).log_prob(x).mean(-1)
    torch.testing.assert_close(model.fit(x=x), expected)
    step = model.factor("p(x_t|x_{<t})")
    for t in range(6):
        torch.testing.assert_close(step(x[:, :t]).logits, D.Categorical(logits=out[:, t]).logits)
    drawn = model.sample((4,), given={"x": x[0, :2]}, T=5)["x"]
    assert drawn.shape == (4, 5)
    assert (drawn[:, :2] == x[0, :2]).all()


def test_a_net_of_whole_sequences_is_one_call() -> None:
    model = made(TEXTS["smoother"])
    x = torch.randn(4, 5, 4, dtype=torch.float64)
    torch.manual_seed(1)
    found = model.elbo(x=x)
    torch.manual_seed(1)
    noise = torch.randn(5, 4, 3, dtype=torch.float64)
    e = model.rnn(x)
    z, total = torch.zeros(4, 3, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    for t in range(5):
        q = D.Normal(model.loc(torch.cat((z, e[:, t]), -1)), 0.4)
        p = D.Normal(model.trans(z), 0.5)
        z = q.loc + 0.4 * noise[t]
        total = total + D.Normal(model.dec(z), 0.3).log_prob(x[:, t]).sum(-1) - D.kl_divergence(q, p).sum(-1)
    torch.testing.assert_close(found, total)


def test_a_net_that_looks_ahead_is_refused() -> None:
    text = TEXTS["transformer"].replace(", causal = true", "")
    assert "PGC303" in {d.code for d in pgc.check(text)}
    text = TEXTS["smoother"].replace("1..T", "1..T padded")
    assert "PGC010" in {d.code for d in pgc.check(text)}


def test_a_sum_over_places_reaches_over_the_product_behind_it_and_a_power_is_within() -> None:
    model = made(TEXTS["reward"])
    x, r, w = torch.randn(5, 7, 3).double(), torch.randn(5, 7).double(), torch.rand(5, 7).double()
    h, v = model.h_0.expand(5, 4), []
    for t in range(7):
        h = model.cell(x[:, t], h)
        v.append(model.out(h)[..., 0])
    found = torch.stack(v, -1)
    torch.testing.assert_close(model.mse(x=x, r=r), (r - found).square().mean(-1))
    expected = (w * D.Normal(found, 1.0).log_prob(r)).sum(-1)
    torch.testing.assert_close(model.fit(x=x, r=r, w=w), expected)


def test_an_estimator_that_would_lose_the_gradient_through_earlier_draws_is_refused() -> None:
    program = """index t in 1..T
x_t : real
z_t : real
z_0 = 0
p(z_t) = Normal(0, 1)
p(x_t | z_t) = Normal(z_t, 1)
q(z_t | x_t, z_{t-1}) = Normal(x_t + z_{t-1}, 1)
bound = IWAE[p || q; samples=3, grad=dreg]
"""
    with pytest.raises(pgc.CompileError, match="PGC408"):
        compiled(program)


def test_the_last_place_of_padded_sequences_is_each_ones_own() -> None:
    model = made(TEXTS["padded_code"])
    x, lengths = torch.randn(4, 6, 3).double(), torch.tensor([6, 1, 3, 4])
    for row, length in enumerate(lengths):
        x[row, length:] = torch.nan
    torch.manual_seed(1)
    found = model.elbo(x=x, T=lengths)
    torch.manual_seed(1)
    noise = torch.randn(4, 2, dtype=torch.float64)
    for row, length in enumerate(lengths):
        own = x[row : row + 1, :length]
        q = D.Normal(model.qs(model.enc(own)[:, -1]), 0.5)
        z, h = q.loc + q.scale * noise[row], torch.zeros(1, 8, dtype=torch.float64)
        total = -D.kl_divergence(q, D.Normal(0.0, 1.0)).sum(-1)
        for t in range(length):
            total = total + D.Normal(model.dec(torch.cat((z, h), -1)), 1.0).log_prob(own[:, t]).sum(-1)
            h = model.cell(torch.cat((own[:, t], z), -1), h)
        torch.testing.assert_close(found[row], total[0])


def test_what_data_lack_is_left_out_at_each_place() -> None:
    """As many rows as places: a mask along the wrong axis would fit too."""
    model = made(TEXTS["observed"])
    x = torch.randn(4, 4, 2, dtype=torch.float64)
    x[torch.rand(4, 4, 2) < 0.4] = torch.nan
    torch.manual_seed(3)
    found = model.elbo(x=x)
    torch.manual_seed(3)
    noise = torch.randn(4, 4, 3, dtype=torch.float64)
    z, before = torch.zeros(4, 3, dtype=torch.float64), torch.zeros(4, 2, dtype=torch.float64)
    total = torch.zeros(4, dtype=torch.float64)
    for t in range(4):
        seen = (~x[:, t].isnan()).double()
        here = x[:, t].nan_to_num(0.0)
        q, prior = D.Normal(model.e(torch.cat((z, here, before), -1)), 0.7), D.Normal(model.f(z), 1.0)
        z, before = q.loc + 0.7 * noise[t], seen
        total = total + (seen * D.Normal(model.d(z), 0.5).log_prob(here)).sum(-1) - D.kl_divergence(q, prior).sum(-1)
    torch.testing.assert_close(found, total)


CHAIN_OF_CATEGORIES = """index t in 1..T
z_t : category[3]
x_t : real
param a : real[3, 3] = normal(1)
param m : real[3] = normal(1)
p(z_1) = Categorical(logits = [0, 1, 2])
p(z_t|z_{t-1}) = Categorical(logits = a[z_{t-1}])
p(x_t|z_t) = Normal(m[z_t], 1)
joint = log p
maximize joint
"""


def test_a_chain_of_categories_is_its_product() -> None:
    """What stands before the first place is an index too, so that rows of a table are taken by those before."""
    model = made(CHAIN_OF_CATEGORIES)
    z, x = torch.randint(0, 3, (4, 5)), torch.randn(4, 5, dtype=torch.float64)
    expected = D.Categorical(logits=torch.arange(3.0).double()).log_prob(z[:, 0])
    for t in range(5):
        expected = expected + D.Normal(model.m[z[:, t]], 1.0).log_prob(x[:, t])
        if t:
            expected = expected + D.Categorical(logits=model.a[z[:, t - 1]]).log_prob(z[:, t])
    torch.testing.assert_close(model.joint(z=z, x=x), expected)
    assert model.sample((), T=4)["z"].shape == (4,)  # a batch of no dimensions has a start as well


def test_padded_categories_are_each_sequence_alone() -> None:
    text = CHAIN_OF_CATEGORIES.replace("1..T", "1..T padded")
    model, alone = made(text), made(CHAIN_OF_CATEGORIES)
    z, x = torch.randint(0, 3, (3, 5)), torch.randn(3, 5, dtype=torch.float64)
    lengths = torch.tensor([5, 2, 1])
    found = model.joint(z=z, x=x, T=lengths)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[row], alone.joint(z=z[row, :length], x=x[row, :length]))
