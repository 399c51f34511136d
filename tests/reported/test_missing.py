"""Data with missing values, few labels, and the tails of factors."""

import math
from itertools import pairwise
from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch
import torch.distributions as D
import torch.nn.functional as F
from click.testing import CliRunner

import pgcompile as pgc
from pgcompile.cli import main
from pgcompile.diagnostics import DataError
from pgcompile.training.several import of_several
from tests.programs import ROOT

MISSING = """
x : boolean[6]
y : category[3]
w : real[2]
z : real[2]
net e(x, m) = cat(x, m) >> Linear(2)
net dx = Linear(6)
net cls = Linear(3)
p(z) = Normal(0, 1)
p(x|z) = Bernoulli(logits = dx(z))
p(w|z) = Normal(z, 0.5)
q(z|x) = Normal(e(x, observed(x)), 0.3)
q(y|x) = Categorical(logits = cls(x))
l = E_{q(z|x)}[log p(observed(x)|z) + log p(observed(w)|z)] - KL[q(z|x) || p(z)]
c = observed(y) * log q(y|x)
n = sum(observed(x))
"""


def missing_data() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 2, (4, 6), generator=generator).double()
    w = torch.randn(4, 2, generator=generator).double()
    x[torch.rand(4, 6, generator=generator) < 0.4] = torch.nan
    w[0] = torch.nan
    return {"x": x, "w": w, "y": torch.tensor([2, -1, 0, -1])}


def test_missing_entries_count_for_nothing() -> None:
    program = pgc.compile(MISSING)
    assert [check for check in program.verify(runs=300) if not check.passed] == []
    model, data = program.Model().double(), missing_data()
    seen = ~data["x"].isnan()
    filled = torch.where(seen, data["x"], 0.0)
    loc = model.e(torch.cat([filled, seen.double()], -1))
    torch.manual_seed(0)
    found = model.l(x=data["x"], w=data["w"])
    torch.manual_seed(0)
    z = loc + 0.3 * torch.randn_like(loc)
    log_x = torch.stack([D.Bernoulli(logits=model.dx(z)).log_prob(filled)[i][seen[i]].sum() for i in range(4)])
    log_w = torch.stack([torch.zeros(()).double(), *D.Normal(z, 0.5).log_prob(data["w"].nan_to_num())[1:].sum(-1)])
    kl = D.kl_divergence(D.Normal(loc, 0.3), D.Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(found, log_x + log_w - kl)
    torch.testing.assert_close(model.n(x=data["x"]), seen.double().sum(-1))
    log_y = model.cls(filled).log_softmax(-1)
    expected = torch.stack([log_y[0, 2], log_y[0, 0] * 0, log_y[2, 0], log_y[0, 0] * 0])
    torch.testing.assert_close(model.c(x=data["x"], y=data["y"]), expected)


def test_a_vector_of_one_category_is_missing_whole() -> None:
    text = """
x : real[4]
y : one_hot[3]
m : one_hot[2, 3]
s : simplex[3]
net f = Linear(3)
net g = Linear(6) >> Unflatten([2, 3])
p(y|x) = OneHotCategorical(logits = f(x))
p(m|x) = OneHotCategorical(logits = g(x))
p(s|x) = Dirichlet(exp(f(x)))
l = log p(observed(y)|x) + log p(observed(m)|x) + log p(observed(s)|x)
maximize l
"""
    program = pgc.compile(text)
    assert [check for check in program.verify(runs=100) if not check.passed] == []
    model = program.Model().double()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 4, dtype=torch.float64, generator=generator)
    y = F.one_hot(torch.tensor([0, 2, 1, 1]), 3).double()
    m = F.one_hot(torch.tensor([[0, 1], [2, 2], [1, 0], [0, 0]]), 3).double()
    s = torch.rand(4, 3, dtype=torch.float64, generator=generator).softmax(-1)
    log_y = D.OneHotCategorical(logits=model.f(x)).log_prob(y)
    log_m = D.OneHotCategorical(logits=model.g(x)).log_prob(m)
    log_s = D.Dirichlet(model.f(x).exp()).log_prob(s)
    of_m = log_m.sum(1)
    rows = [of_m[0] + log_s[0], log_y[1] + log_m[1, 1], log_y[2] + of_m[2] + log_s[2], log_y[3] + of_m[3]]
    y[0] = s[1] = s[3] = torch.nan
    m[1, 0] = torch.nan
    torch.testing.assert_close(model.l(x=x, y=y, m=m, s=s), torch.stack(rows))


def test_what_is_missing_passes_no_gradient() -> None:
    model, data = pgc.compile(MISSING).Model().double(), missing_data()
    torch.manual_seed(0)
    model.l(x=data["x"], w=data["w"]).sum().backward()
    first = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    assert all(bool(g.isfinite().all()) for g in first.values())


@pytest.mark.parametrize(
    ("family", "space", "parameters"),
    [
        ("LogNormal", "positive", "m, 1"),
        ("Gamma", "positive", "softplus(m), 1"),
        ("Beta", "unit_interval", "softplus(m), 2"),
        ("Poisson", "nonnegative_integer", "softplus(m)"),
    ],
)
def test_the_support_is_kept_where_a_value_is_missing(family: str, space: str, parameters: str) -> None:
    head = f"param m : real = 0.4\np(x) = {family}({parameters})"
    model = pgc.compile(f"x : {space}[3]\n{head}\nl = log p(observed(x))").Model()
    x = torch.tensor([[0.0 if family == "Poisson" else 0.5, torch.nan, torch.nan]])
    value = model.l(x=x)
    value.sum().backward()
    whole = pgc.compile(f"x : {space}\n{head}\nl = log p(x)").Model()
    torch.testing.assert_close(value, whole.l(x=x[:, 0]))
    assert bool(model.m.grad.isfinite())


@pytest.mark.parametrize(
    ("formula", "code"),
    [
        ("log p(observed(z))", "PGC210"),
        ("sum(observed(d(z)))", "PGC311"),
        ("E_{q(x)}[log p(observed(x))]", "PGC401"),
        ("cdf(z)", "PGC311"),
        ("log survival(p(z))", "PGC210"),
        ("log cdf(g(t))", "PGC210"),
        ("quantile(g(t), 0.5)", "PGC210"),
        ("quantile(t, 0.5)", "PGC311"),
        ("sum(quantile(p_2(x), 1.5))", "PGC306"),
    ],
)
def test_what_has_no_entries_or_tails_is_said(formula: str, code: str) -> None:
    text = """
x : real[2]
z : real[2]
t : positive
net d = Linear(2)
p(z) = MultivariateNormal([0, 0], [[1, 0], [0, 1]])
p(x) = Normal(0, 1)
p_2(x) = Normal(0, 1)
q(x) = Normal(1, 1)
g(t) = Gamma(2, 1)
"""
    assert code in {d.code for d in pgc.check(f"{text}\nl = {formula}")}


# --- labels ---


def test_the_bound_of_m2_is_that_of_kingma_et_al() -> None:
    text = (ROOT / "examples" / "semi_supervised.pgc").read_text()
    model = pgc.compile(text).Model().double()
    x = torch.randint(0, 2, (3, 64), generator=torch.Generator().manual_seed(0)).double()
    logits = model.classifier(x)

    def labelled(y: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        one_hot = F.one_hot(y, 10).double()
        h = model.hidden(torch.cat([x, one_hot], -1))
        loc, scale = model.loc(h), model.scale(h)
        z = loc + scale * noise
        log_x = D.Bernoulli(logits=model.decoder(torch.cat([z, one_hot], -1))).log_prob(x).sum(-1)
        kl = D.kl_divergence(D.Normal(loc, scale), D.Normal(0.0, 1.0)).sum(-1)
        return log_x - kl - math.log(10)

    y = torch.tensor([3, -1, -1])
    torch.manual_seed(1)
    found = model.terms(x=x, y=y)
    torch.manual_seed(1)
    first = torch.randn(3, 8, dtype=torch.float64)
    noise = torch.randn(10, 3, 8, dtype=torch.float64)
    probs = logits.softmax(-1)
    every = torch.stack([labelled(torch.full((3,), k), noise[k]) for k in range(10)])
    unlabelled = (probs.T * every).sum(0) - (probs * probs.log()).sum(-1)
    torch.testing.assert_close(found["unlabelled"], unlabelled)
    supervised = labelled(y.clamp_min(0), first) + 10 * logits.log_softmax(-1).gather(1, y.clamp_min(0)[:, None])[:, 0]
    torch.testing.assert_close(found["bound"], torch.where(y >= 0, supervised, unlabelled))


@pytest.mark.parametrize("form", ["minus one", "nan", "second file"])
def test_rows_without_labels_train(tmp_path: Path, form: str) -> None:
    digits = np.load(ROOT / "examples" / "data" / "digits.npz")
    x, y = digits["x"][:300], digits["y"][:300].astype("float32")
    command = ["train", str(ROOT / "examples" / "semi_supervised.pgc"), "--epochs", "2", "--out", str(tmp_path / "run")]
    if form == "second file":
        np.savez(tmp_path / "with.npz", x=x[:60], y=y[:60])
        np.savez(tmp_path / "without.npz", x=x[60:])
        command += ["--data", str(tmp_path / "with.npz"), "--more", str(tmp_path / "without.npz")]
    else:
        y[60:] = -1 if form == "minus one" else np.nan
        np.savez(tmp_path / "all.npz", x=x, y=y)
        command += ["--data", str(tmp_path / "all.npz")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / "model.safetensors").exists()


def by_hand(x: torch.Tensor, few: torch.Tensor, epochs: int) -> torch.Tensor:
    """What a hand-written M2 (Kingma et al. 2014) guesses after training."""

    def layers(*sizes: int) -> torch.nn.Sequential:
        pieces = [m for a, b in pairwise(sizes) for m in (torch.nn.Linear(a, b), torch.nn.ReLU())]
        return torch.nn.Sequential(*pieces[:-1])

    hidden, head = torch.nn.Sequential(layers(74, 128), torch.nn.ReLU()), torch.nn.Linear(128, 16)
    decoder, classifier = layers(18, 128, 64), layers(64, 128, 10)
    parts = torch.nn.ModuleList([hidden, head, decoder, classifier])
    optimizer = torch.optim.Adam(parts.parameters(), lr=1e-3)

    def labelled(x: torch.Tensor, one_hot: torch.Tensor) -> torch.Tensor:
        loc, raw = head(hidden(torch.cat([x, one_hot], -1))).chunk(2, -1)
        q = D.Normal(loc, F.softplus(raw))
        logits = decoder(torch.cat([q.rsample(), one_hot], -1))
        log_x = -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
        return log_x - D.kl_divergence(q, D.Normal(0.0, 1.0)).sum(-1) - math.log(10)

    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            xs, ys = x[rows], few[rows]
            log_q = classifier(xs).log_softmax(-1)
            known = ys >= 0
            one_hot = F.one_hot(ys.clamp_min(0), 10).float()
            supervised = labelled(xs, one_hot) + 10 * (log_q * one_hot).sum(-1)
            every = torch.stack([labelled(xs, F.one_hot(torch.full_like(ys, k), 10).float()) for k in range(10)], -1)
            unlabelled = (log_q.exp() * (every - log_q)).sum(-1)
            loss = -torch.where(known, supervised, unlabelled).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return classifier(x).argmax(-1)


def test_few_labels_teach_as_much_as_an_m2_by_hand() -> None:
    digits = np.load(ROOT / "examples" / "data" / "digits.npz")
    x, y = torch.tensor(digits["x"]).float(), torch.tensor(digits["y"]).long()
    few = torch.full_like(y, -1)
    for k in range(10):
        rows = (y == k).nonzero()[:10, 0]
        few[rows] = k
    program = pgc.compile(ROOT / "examples" / "semi_supervised.pgc")
    trainer = pgc.Trainer(program.Model(), batch_size=64, seed=0)
    trainer.fit({"x": x.numpy(), "y": few.numpy()}, epochs=25)
    torch.manual_seed(0)
    guesses = [trainer.model.classifier(x).argmax(-1), by_hand(x, few, 25)]
    shares = [(guess == y)[few < 0].double().mean().item() for guess in guesses]
    # Over seeds either share moves by about 0.02; without learning it is 0.1.
    assert shares[0] == pytest.approx(shares[1], abs=0.08), shares
    assert min(shares) > 0.5


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    spaces = pgc.compile(ROOT / "examples" / "semi_supervised.pgc").analysis.model.spaces
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 64)), y=np.zeros(2))
    np.savez(tmp_path / "b.npz", y=np.zeros(2))
    np.savez(tmp_path / "c.npz", grey=np.zeros(2))
    with pytest.raises(DataError, match=r"b\.npz has no array x; if its rows may lack it"):
        of_several([tmp_path / "a.npz", tmp_path / "b.npz"], spaces)
    with pytest.raises(DataError, match=r"c\.npz has no variable of the program: it has grey"):
        of_several([tmp_path / "a.npz", tmp_path / "c.npz"], spaces)


def test_data_without_the_word_is_still_whole() -> None:
    program = pgc.compile("x : real[2]\nparam m : real\np(x) = Normal(m, 1)\nl = log p(x)\nmaximize l")
    with pytest.raises(DataError, match="not a number in row 1"):
        pgc.Trainer(program.Model()).fit({"x": np.array([[0, 1], [np.nan, 0]])}, epochs=1)


# --- tails ---

TAILS = [
    ("Normal", "real", "0.3, 0.7", lambda x: mpmath.ncdf((x - 0.3) / 0.7), (-8, -1, 0.5, 3, 9)),
    ("LogNormal", "positive", "0.3, 0.7", lambda x: mpmath.ncdf((mpmath.log(x) - 0.3) / 0.7), (0.01, 0.5, 2, 40)),
    ("HalfNormal", "positive", "0.7", lambda x: mpmath.erf(x / 0.7 / mpmath.sqrt(2)), (0.01, 0.5, 2, 6)),
    ("Exponential", "positive", "0.7", lambda x: 1 - mpmath.exp(-0.7 * x), (1e-4, 0.5, 2, 60)),
    ("Weibull", "positive", "2, 1.5", lambda x: 1 - mpmath.exp(-((x / 2) ** 1.5)), (1e-3, 0.5, 2, 20)),
    ("Gumbel", "real", "0.3, 0.7", lambda x: mpmath.exp(-mpmath.exp(-(x - 0.3) / 0.7)), (-2, 0.5, 3, 12)),
    ("Logistic", "real", "0.3, 0.7", lambda x: 1 / (1 + mpmath.exp(-(x - 0.3) / 0.7)), (-40, -1, 0.5, 60)),
    (
        "LogitNormal",
        "unit_interval",
        "0.3, 0.7",
        lambda x: mpmath.ncdf((mpmath.log(x / (1 - x)) - 0.3) / 0.7),
        (0.01, 0.9),
    ),
    (
        "Laplace",
        "real",
        "0.3, 0.7",
        lambda x: mpmath.exp((x - 0.3) / 0.7) / 2 if x < 0.3 else 1 - mpmath.exp(-(x - 0.3) / 0.7) / 2,
        (-60, -1, 0.3, 2, 60),
    ),
    ("Uniform", "real", "-1, 3", lambda x: (x + 1) / mpmath.mpf(4), (-0.9, 1, 2.5)),
    ("Pareto", "positive", "0.5, 1.5", lambda x: 1 - (0.5 / mpmath.mpf(x)) ** 1.5, (0.6, 2, 500)),
    ("Kumaraswamy", "unit_interval", "2, 3", lambda x: 1 - (1 - mpmath.mpf(x) ** 2) ** 3, (0.01, 0.5, 0.99)),
    (
        "TruncatedNormal",
        "real",
        "0.3, 0.7, -1, 2",
        lambda x: (
            (mpmath.ncdf((x - 0.3) / 0.7) - mpmath.ncdf(-1.3 / mpmath.mpf(0.7)))
            / (mpmath.ncdf(1.7 / mpmath.mpf(0.7)) - mpmath.ncdf(-1.3 / mpmath.mpf(0.7)))
        ),
        (-0.9, 0.5, 1.9),
    ),
    ("Geometric", "nonnegative_integer", "0.3", lambda x: 1 - mpmath.mpf(0.7) ** (x + 1), (0, 3, 40)),
]


@pytest.mark.parametrize(("family", "space", "parameters", "cdf", "points"), TAILS, ids=[t[0] for t in TAILS])
def test_tails_are_those_of_the_distribution_function(
    family: str, space: str, parameters: str, cdf: object, points: tuple[float, ...]
) -> None:
    text = f"t : {space}\np(t) = {family}({parameters})\na = log cdf(p(t))\nb = log survival(p(t))\nc = survival(p(t))"
    model = pgc.compile(text).Model()
    with mpmath.workdps(60):
        for point in points:
            below = mpmath.mpf(cdf(mpmath.mpf(point)))  # type: ignore[operator]
            t = torch.tensor([float(point)], requires_grad=True)
            assert model.a(t=t).item() == pytest.approx(float(mpmath.log(below)), rel=2e-5, abs=1e-6)
            assert model.b(t=t).item() == pytest.approx(float(mpmath.log(1 - below)), rel=2e-5, abs=1e-6)
            assert model.c(t=t).item() == pytest.approx(float(1 - below), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize(("family", "space", "parameters", "cdf", "points"), TAILS[:-1], ids=[t[0] for t in TAILS[:-1]])
def test_quantiles_are_the_inverse_of_the_distribution_function(
    family: str, space: str, parameters: str, cdf: object, points: tuple[float, ...]
) -> None:
    text = f"t : {space}\nu : unit_interval\np(t) = {family}({parameters})\na = quantile(p(t), u)"
    model = pgc.compile(text).Model().double()
    for share in (0.01, 0.3, 0.5, 0.9, 0.999):
        value = model.a(u=torch.tensor([share], dtype=torch.float64)).item()
        assert float(cdf(mpmath.mpf(value))) == pytest.approx(share, abs=1e-9)  # type: ignore[operator]


def test_quantiles_stand_in_losses() -> None:
    program = pgc.compile("""
x : real[3]
t : real[2]
net f = Linear(2)
p(t|x) = Normal(f(x), 2)
l = sum((t - quantile(p(t|x), 0.9))^2)
m = E_{p(t|x)}[sum(less(t, quantile(p(t|x), 0.25)))]
n = sum(quantile(p(t|x), 0.5))
""")
    assert [check for check in program.verify(runs=300) if not check.passed] == []
    model = program.Model().double()
    x, t = torch.randn(4, 3).double(), torch.randn(4, 2).double()
    normal = D.Normal(model.f(x), 2.0)
    torch.testing.assert_close(
        model.l(x=x, t=t), (t - normal.icdf(torch.tensor(0.9, dtype=torch.float64))).square().sum(-1)
    )
    torch.testing.assert_close(model.n(x=x), model.f(x).sum(-1))


def test_every_family_that_says_so_has_tails() -> None:
    from pgcompile.vocabulary.families import families

    assert {f.name for f in families().values() if "cdf" in f.tails} == {t[0] for t in TAILS}
    assert {f.name for f in families().values() if "survival" in f.tails} == {t[0] for t in TAILS}
    assert {f.name for f in families().values() if "quantile" in f.tails} == {t[0] for t in TAILS} - {"Geometric"}


def test_censored_times_are_scored_by_their_survival() -> None:
    program = pgc.compile("""
x : real[3]
t : positive
c : boolean
net f = Linear(1)
p(t|x) = Weibull(exp(f(x)[0]), 1.5)
l = c * log p(t|x) + (1 - c) * log survival(p(t|x))
maximize l using Adam(lr = 1e-2)
""")
    assert [check for check in program.verify(runs=100) if not check.passed] == []
    model = program.Model().double()
    x, t, c = torch.randn(4, 3).double(), torch.tensor([0.1, 1, 3, 9]).double(), torch.tensor([1.0, 0, 1, 0]).double()
    scale = model.f(x)[:, 0].exp()
    expected = c * D.Weibull(scale, 1.5).log_prob(t) - (1 - c) * (t / scale) ** 1.5
    torch.testing.assert_close(model.l(x=x, t=t, c=c), expected)


# --- truncation ---


@pytest.mark.parametrize("loc", [-30.0, -12.0, -6.0, 0.5, 7.0, 14.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_normal_far_outside_its_bounds_keeps_its_digits(loc: float, dtype: torch.dtype) -> None:
    text = "x : real\nparam a : real\np(x) = truncate(Normal(a, 1), 0, 2)\nl = log p(x)\nc = log cdf(p(x))\n"
    model = pgc.compile(text).Model().to(dtype)
    model.set("a", loc)
    law = model.factor("p(x)")()
    with mpmath.workdps(500):
        m = mpmath.mpf(loc)
        mass = mpmath.ncdf(2 - m) - mpmath.ncdf(-m)
        for point in (0.1, 1.0, 1.7):
            z = mpmath.mpf(point) - m
            exact = -(z**2) / 2 - mpmath.log(2 * mpmath.pi) / 2 - mpmath.log(mass)
            below = mpmath.log((mpmath.ncdf(z) - mpmath.ncdf(-m)) / mass)
            x = torch.tensor([point], dtype=dtype)
            relative = 1e-4 if dtype == torch.float32 else 1e-9
            assert model.l(x=x).item() == pytest.approx(float(exact), rel=relative, abs=relative)
            assert law.log_prob(x).item() == pytest.approx(float(exact), rel=relative, abs=relative)
            assert model.c(x=x).item() == pytest.approx(float(below), rel=relative, abs=relative * max(1, loc * loc))
    model.l(x=torch.tensor([1.0], dtype=dtype)).sum().backward()
    assert bool(model.a.grad.isfinite())
    if abs(loc) < 13:  # beyond, the mass of a whole tail is no number of single precision
        torch.manual_seed(0)
        drawn = law.sample((4000,))
        assert 0 <= drawn.min() < drawn.max() <= 2
        assert drawn.mean().item() == pytest.approx(law.mean.item(), abs=0.03)


@pytest.mark.parametrize("written", ["truncate(Normal(m, s), -1, 2)", "truncate(q_0(z|x), low = -1, high = 2)"])
def test_a_normal_between_two_bounds(written: str) -> None:
    text = "x : real[2]\nz : real\nnet e = Linear(2)\nq_0(z|x) = Normal(m, s) where m = e(x)[0], s = exp(e(x)[1])\n"
    where = " where m = e(x)[0], s = exp(e(x)[1])" if "Normal" in written else ""
    program = pgc.compile(f"{text}q(z|x) = {written}{where}\nl = log q(z|x)")
    model = program.Model().double()
    x, z = torch.randn(3, 2).double(), torch.tensor([-0.5, 0.1, 1.9]).double()
    normal = D.Normal(model.e(x)[:, 0], model.e(x)[:, 1].exp())
    mass = normal.cdf(torch.tensor(2.0).double()) - normal.cdf(torch.tensor(-1.0).double())
    torch.testing.assert_close(model.l(x=x, z=z), normal.log_prob(z) - mass.log())


def test_importance_weights_of_what_is_observed() -> None:
    program = pgc.compile("""
x : real[3]
z : real[2]
net m = Linear(3)
net e = Linear(2)
p(z) = Normal(0, 1)
p(x|z) = Normal(m(z), 1)
q(z|x) = Normal(e(x), 1)
o = log E_{q(z|x); samples=5}[p(observed(x)|z) p(z) / q(z|x)]
""")
    assert [check for check in program.verify(runs=200) if not check.passed] == []


def test_a_bound_of_missing_data_is_refused(tmp_path: Path) -> None:
    from pgcompile.training import Settings
    from pgcompile.training.applied import Applied
    from pgcompile.training.fit import fit

    program = pgc.compile("""
x : real[3]
z : real[2]
net m = Linear(3)
net e = Linear(2)
p(z) = Normal(0, 1)
p(x|z) = Normal(m(z), 1)
q(z|x) = Normal(e(x), 1)
o = E_{q(z|x)}[log p(observed(x)|z)] - KL[q(z|x) || p(z)]
maximize o
""")
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    x[3, 1] = np.nan
    fit(program, {"x": x}, tmp_path / "run", Settings(epochs=1, seed=0))
    trained = Applied(program, tmp_path / "run" / "model.safetensors", {"x": x}, Settings())
    assert set(trained.evaluate()) == {"o"}
    with pytest.raises(DataError, match="a bound scores all of x, and rows lack values of it"):
        trained.evaluate(10)
