"""Programs with indices against Pyro's ELBO: the same weights, and the same noise where both draw it alike."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import compiled
from tests.peers.noise import recorded, replayed, value_and_gradient

pyro = pytest.importorskip("pyro")
dist = pytest.importorskip("pyro.distributions")


@pytest.fixture(autouse=True)
def in_double() -> Iterator[None]:
    """Both sides compute in float64, and Pyro's parameters are those of one test."""
    before, checked = torch.get_default_dtype(), torch.distributions.Distribution._validate_args
    torch.set_default_dtype(torch.float64)
    pyro.clear_param_store()
    yield
    torch.set_default_dtype(before)
    torch.distributions.Distribution.set_default_validate_args(checked)


def made(text: str) -> Any:
    torch.manual_seed(0)
    model = compiled(text).Model().double()
    for parameter in model.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    return model


def bound_of_pyro(model: Callable[..., None], guide: Callable[..., None], *given: Any) -> Tensor:
    """The bound with divergences in closed form, as one number that carries a gradient."""
    return -pyro.infer.TraceMeanField_ELBO().differentiable_loss(model, guide, *given)


def same(found: Tensor, theirs: Tensor, module: Any) -> None:
    parameters = list(module.parameters())
    torch.testing.assert_close(
        value_and_gradient(found.sum(), parameters), value_and_gradient(theirs, parameters), rtol=1e-8, atol=1e-8
    )


PADDED = """index t in 1..T padded
x_t : boolean[6]
z_t : real[2]
net move = Linear(4) >> Tanh
net move_loc = Linear(2)
net move_scale = Linear(2) >> Softplus
net emit = Linear(6)
net enc = Linear(5) >> Tanh
net loc = Linear(2)
net scale = Linear(2) >> Softplus
z_0 = 0
p(z_t | z_{t-1}) = Normal(move_loc(m), move_scale(m)) where m = move(z_{t-1})
p(x_t | z_t) = Bernoulli(logits = emit(z_t))
q(z_t | z_{t-1}, x_t) = Normal(loc(e), scale(e)) where e = enc(z_{t-1}, x_t)
elbo = ELBO[p || q]
maximize elbo
"""


def test_a_padded_deep_markov_model() -> None:
    net = made(PADDED)
    lengths = torch.tensor([7, 1, 4])
    x = (torch.rand(3, 7, 6) < 0.5).double()

    def model(x: Tensor, lengths: Tensor) -> None:
        state = x.new_zeros(3, 2)
        with pyro.plate("rows", 3):
            for t in range(7):
                with pyro.poutine.mask(mask=t < lengths):
                    m = net.move(state)
                    prior = dist.Normal(net.move_loc(m), net.move_scale(m)).to_event(1)
                    state = pyro.sample(f"z_{t}", prior)
                    pyro.sample(f"x_{t}", dist.Bernoulli(logits=net.emit(state)).to_event(1), obs=x[:, t])

    def guide(x: Tensor, lengths: Tensor) -> None:
        state = x.new_zeros(3, 2)
        with pyro.plate("rows", 3):
            for t in range(7):
                with pyro.poutine.mask(mask=t < lengths):
                    e = net.enc(torch.cat((state, x[:, t]), -1))
                    state = pyro.sample(f"z_{t}", dist.Normal(net.loc(e), net.scale(e)).to_event(1))

    padded = x.clone()
    padded[torch.arange(7) >= lengths[:, None]] = torch.nan
    with recorded() as noise:
        found = net.elbo(x=padded, T=lengths)
    with replayed(noise[0]):
        theirs = bound_of_pyro(model, guide, x, lengths)
    same(found, theirs, net)


SCHOOLS = """index n in data
y_n : real
s_n : positive
e_n : real
mu : real
tau : positive
param m_mu, m_tau : real
param d_e, d_mu, d_tau : positive = 0.5
net effect = Linear(1)
p(mu) = Normal(0, 5)
p(tau) = LogNormal(1, 1)
p(e_n) = Normal(0, 1)
p(y_n | e_n, mu, tau, s_n) = StudentT(4, mu + tau * e_n, s_n)
q(mu) = Normal(m_mu, d_mu)
q(tau) = LogNormal(m_tau, d_tau)
q(e_n | y_n, s_n) = Normal(effect(y_n / 10, s_n / 10)[0], d_e)
elbo = ELBO[p || q]
maximize elbo
"""
Y = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0], dtype=torch.float64)
S = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0], dtype=torch.float64)


@pytest.mark.parametrize("rows", [8, 3])
def test_a_hierarchical_model(rows: int) -> None:
    """Eight schools with heavy tails, all rows and a minibatch of three of them."""
    net = made(SCHOOLS)

    def model(y: Tensor, s: Tensor) -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
        tau = pyro.sample("tau", dist.LogNormal(1.0, 1.0))
        with pyro.plate("schools", 8, subsample=torch.arange(rows)):
            e = pyro.sample("e", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.StudentT(4.0, mu + tau * e, s), obs=y)

    def guide(y: Tensor, s: Tensor) -> None:
        pyro.sample("mu", dist.Normal(net.m_mu, net.get("d_mu")))
        pyro.sample("tau", dist.LogNormal(net.m_tau, net.get("d_tau")))
        with pyro.plate("schools", 8, subsample=torch.arange(rows)):
            loc = net.effect(torch.stack((y / 10, s / 10), -1))[..., 0]
            pyro.sample("e", dist.Normal(loc, net.get("d_e")))

    with recorded() as noise:
        found = net.elbo(y=Y[:rows], s=S[:rows], N=8)
    globals_, own = [n.reshape(()) for n in noise if n.numel() == 1], [n for n in noise if n.numel() > 1]
    with replayed([*globals_, *own]):
        theirs = bound_of_pyro(model, guide, Y[:rows], S[:rows])
    same(found, theirs, net)


BAYESIAN = """index n in data
x_n : real[2]
y_n : real
w : real[4, 2]
v : real[4]
param w_loc : real[4, 2]
param v_loc : real[4]
param w_scale : positive[4, 2] = 0.3
param v_scale : positive[4] = 0.3
p(w) = Normal(0, 2)
p(v) = Normal(0, 1)
p(y_n | x_n, w, v) = Laplace(sin(dot(v, tanh(w @ x_n))), 0.3)
q(w) = Normal(w_loc, w_scale)
q(v) = Normal(v_loc, v_scale)
elbo = sum_n E_{q(w) q(v)}[log p(y_n|x_n,w,v)] - KL[q(w) || p(w)] - KL[q(v) || p(v)]
maximize elbo
"""


def test_a_bayesian_net_by_minibatches() -> None:
    net = made(BAYESIAN)
    x, y = torch.randn(10, 2), torch.randn(10)

    def model(x: Tensor, y: Tensor) -> None:
        w = pyro.sample("w", dist.Normal(torch.zeros(4, 2), 2.0).to_event(2))
        v = pyro.sample("v", dist.Normal(torch.zeros(4), 1.0).to_event(1))
        with pyro.plate("data", 100, subsample=torch.arange(10)):
            pyro.sample("y", dist.Laplace(torch.sin(torch.tanh(x @ w.T) @ v), 0.3), obs=y)

    def guide(x: Tensor, y: Tensor) -> None:
        pyro.sample("w", dist.Normal(net.w_loc, net.get("w_scale")).to_event(2))
        pyro.sample("v", dist.Normal(net.v_loc, net.get("v_scale")).to_event(1))

    with recorded() as noise:
        found = net.elbo(x=x, y=y, N=100)
    with replayed(sorted(noise, key=lambda n: -n.ndim)):
        theirs = bound_of_pyro(model, guide, x, y)
    same(found, theirs, net)


TOPICS = """index n in data
w_n : nonnegative_integer[12]
z_n : real[3]
param topics : simplex[3, 12] = normal(1)
net encode = Linear(8) >> ReLU
net loc = Linear(3)
net scale = Linear(3) >> Softplus
m_n = sum(w_n)
p(z_n) = Normal(0, 1)
p(w_n | z_n, m_n) = Multinomial(m_n, probs = softmax(z_n) @ topics)
q(z_n | w_n) = Normal(loc(e), scale(e)) where e = encode(log1p(w_n))
elbo = sum_n (E_{q(z_n|w_n)}[log p(w_n|z_n,m_n)] - KL[q(z_n|w_n) || p(z_n)])
maximize elbo
"""


def counted(rows: int, words: int) -> Tensor:
    return torch.poisson(torch.full((rows, words), 2.0, dtype=torch.float64))


def test_topics_of_documents_by_minibatches() -> None:
    """Topics with a logistic normal prior, as in Pyro's tutorial (Srivastava & Sutton 2017); 5 documents of 40."""
    net = made(TOPICS)
    w = counted(5, 12)

    def model(w: Tensor) -> None:
        with pyro.plate("documents", 40, subsample=torch.arange(5)):
            z = pyro.sample("z", dist.Normal(torch.zeros(5, 3), 1.0).to_event(1))
            shares = z.softmax(-1) @ net.get("topics")
            # The total of an observed row is that of its counts.
            pyro.sample("w", dist.Multinomial(probs=shares, validate_args=False), obs=w)

    def guide(w: Tensor) -> None:
        with pyro.plate("documents", 40, subsample=torch.arange(5)):
            e = net.encode(w.log1p())
            pyro.sample("z", dist.Normal(net.loc(e), net.scale(e)).to_event(1))

    with recorded() as noise:
        found = net.elbo(w=w, N=40)
    with replayed(noise):
        theirs = bound_of_pyro(model, guide, w)
    same(found, theirs, net)


DIRICHLET = """index n in data
w_n : nonnegative_integer[12]
theta_n : simplex[3]
param topics : simplex[3, 12] = normal(1)
net encode = Linear(8) >> ReLU >> Linear(3) >> Softplus
m_n = sum(w_n)
p(theta_n) = Dirichlet([0.5, 0.5, 0.5])
p(w_n | theta_n, m_n) = Multinomial(m_n, probs = theta_n @ topics)
q(theta_n | w_n) = Dirichlet(encode(log1p(w_n)) + 0.5)
elbo = sum_n (E_{q(theta_n|w_n)}[log p(w_n|theta_n,m_n)] - KL[q(theta_n|w_n) || p(theta_n)])
maximize elbo
"""


def test_dirichlet_topics_have_pyros_mean() -> None:
    """Each draws its own shares: means and gradients over many draws, within five standard errors of both."""
    net = made(DIRICHLET)
    w, runs = counted(1, 12), 4000

    def model(w: Tensor) -> None:
        with pyro.plate("documents", runs):
            theta = pyro.sample("theta", dist.Dirichlet(torch.full((runs, 3), 0.5)))
            many = w.expand(runs, 12)
            pyro.sample("w", dist.Multinomial(int(w.sum()), probs=theta @ net.get("topics")), obs=many)

    def guide(w: Tensor) -> None:
        with pyro.plate("documents", runs):
            pyro.sample("theta", dist.Dirichlet(net.encode(w.log1p()).expand(runs, 3) + 0.5))

    groups = 20
    torch.manual_seed(1)
    parameters = list(net.parameters())
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    for _ in range(groups):
        ours = net.elbo(w=w.expand(runs, 1, 12)).mean()
        theirs = bound_of_pyro(model, guide, w) / runs
        for value, side in zip((ours, theirs), sides, strict=True):
            side.append(torch.cat([g.flatten() for g in value_and_gradient(value, parameters)]))
    a, b = (torch.stack(side) for side in sides)
    error = ((a.var(0) + b.var(0)) / groups).sqrt()
    assert ((a.mean(0) - b.mean(0)).abs() < 5 * error + 1e-9).all()


RATINGS = """index u in 1..U
index i in 1..I
r_{u,i} : real
a_u : real[3]
b_i : real[3]
param level : real
net own = Linear(3)
net other = Linear(3)
f_u : real[2]
g_i : real[2]
param a_scale, b_scale : positive = 0.4
p(a_u) = Normal(0, 1)
p(b_i) = Normal(0, 1)
p(r_{u,i} | a_u, b_i) = StudentT(3, sum(a_u * b_i) + level, 0.5)
q(a_u | f_u) = Normal(own(f_u), a_scale)
q(b_i | g_i) = Normal(other(g_i), b_scale)
elbo = ELBO[p || q]
maximize elbo
"""


def test_matrix_factorisation() -> None:
    """Users by items, whose factors are read from what is known of each."""
    net = made(RATINGS)
    r, f, g = torch.randn(4, 5), torch.randn(4, 2), torch.randn(5, 2)

    def model(r: Tensor, f: Tensor, g: Tensor) -> None:
        users, items = pyro.plate("users", 4, dim=-2), pyro.plate("items", 5, dim=-1)
        with users:
            a = pyro.sample("a", dist.Normal(torch.zeros(4, 1, 3), 1.0).to_event(1))
        with items:
            b = pyro.sample("b", dist.Normal(torch.zeros(5, 3), 1.0).to_event(1))
        with users, items:
            pyro.sample("r", dist.StudentT(3.0, (a * b).sum(-1) + net.level, 0.5), obs=r)

    def guide(r: Tensor, f: Tensor, g: Tensor) -> None:
        with pyro.plate("users", 4, dim=-2):
            pyro.sample("a", dist.Normal(net.own(f)[:, None], net.get("a_scale")).to_event(1))
        with pyro.plate("items", 5, dim=-1):
            pyro.sample("b", dist.Normal(net.other(g), net.get("b_scale")).to_event(1))

    with recorded() as noise:
        found = net.elbo(r=r, f=f, g=g)
    a, b = noise
    with replayed([a.reshape(4, 1, 3), b]):
        theirs = bound_of_pyro(model, guide, r, f, g)
    same(found, theirs, net)
