"""`terms(x=x, per="t")`: terms at each place, whose sum over the places is the term."""

import inspect

import pytest
import torch
import torch.distributions as D
import torch.nn.functional as F

from tests.conftest import compiled
from tests.sequences.test_by_hand import made
from tests.sequences.test_programs import TEXTS, data_of

CHAIN = """
index t in 1..T padded
x_t : real[2]
z_t : real[3]
net move = Linear(3)
net dec = Linear(2)
net enc = Linear(3)
z_0 = 0
p(z_t | z_{t-1}) = Normal(move(z_{t-1}), 0.5)
p(x_t | z_t) = Normal(dec(z_t), 0.3)
q(z_t | z_{t-1}, x_t) = Normal(enc(z_{t-1}, x_t), 0.4)
rec = sum_t E_{q(z_t|z_{t-1},x_t)}[log p(x_t|z_t)]
kl = sum_t KL[q(z_t|z_{t-1},x_t) || p(z_t|z_{t-1})]
elbo = rec - 0.5 * kl
"""


def test_a_variational_recurrent_net_place_by_place() -> None:
    model = made(TEXTS["vrnn"])
    x = (torch.rand(5, 7, 12) < 0.4).double()
    torch.manual_seed(3)
    found = model.terms(x=x, per="t")["elbo"]
    torch.manual_seed(3)
    noise = torch.randn(7, 5, 3, dtype=torch.float64)
    h, expected = torch.zeros(5, 8, dtype=torch.float64), []
    for t in range(7):
        e = model.enc(torch.cat((x[:, t], h), -1))
        q = D.Normal(model.loc(e), model.scale(e))
        z = q.loc + q.scale * noise[t]
        logits = model.decoder(torch.cat((z, h), -1))
        scored = -F.binary_cross_entropy_with_logits(logits, x[:, t], reduction="none").sum(-1)
        prior = D.Normal(torch.zeros_like(z), model.prior(h))
        expected.append(scored - D.kl_divergence(q, prior).sum(-1))
        h = model.gru(torch.cat((z, x[:, t]), -1), h)
    torch.testing.assert_close(found, torch.stack(expected, -1))


def test_padded_places_are_zero_and_sums_of_terms_are_split() -> None:
    model, lengths = made(CHAIN), torch.tensor([6, 3, 1])
    x = torch.randn(3, 6, 2, dtype=torch.float64)
    for row, length in enumerate(lengths):
        x[row, length:] = torch.nan
    torch.manual_seed(2)
    noise = torch.randn(6, 3, 3, dtype=torch.float64)
    z, rec, kl = torch.zeros(3, 3, dtype=torch.float64), [], []
    for t in range(6):
        q = D.Normal(model.enc(torch.cat((z, x[:, t].nan_to_num()), -1)), 0.4)
        prior = D.Normal(model.move(z), 0.5)
        z = q.loc + 0.4 * noise[t]
        inside = lengths > t
        scored = D.Normal(model.dec(z), 0.3).log_prob(x[:, t].nan_to_num()).sum(-1)
        rec.append(torch.where(inside, scored, 0.0))
        kl.append(torch.where(inside, D.kl_divergence(q, prior).sum(-1), 0.0))
    for method, expected in ((model.rec, rec), (model.kl, kl)):
        torch.manual_seed(2)
        torch.testing.assert_close(method(x=x, T=lengths, per="t"), torch.stack(expected, -1))
    torch.manual_seed(2)
    found = model.terms(x=x, T=lengths, per="t")
    assert found.keys() == {"rec", "kl", "elbo"}
    for term in found.values():
        assert term.shape == (3, 6)
        assert (term[1, 3:] == 0).all() and (term[2, 1:] == 0).all() and (term[0] != 0).all()
    torch.manual_seed(2)
    whole = model.terms(x=x, T=lengths)
    for name, term in found.items():
        torch.testing.assert_close(term.sum(-1), whole[name])
    slopes = torch.autograd.grad(found["rec"].sum(), list(model.dec.parameters()))
    own = torch.autograd.grad(whole["rec"].sum(), list(model.dec.parameters()))
    for a, b in zip(slopes, own, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_what_can_be_split_adds_up(name: str) -> None:
    """Every program: for each index that the class takes, what it gives is the terms without their last axis."""
    program = compiled(TEXTS[name])
    if not hasattr(program.Model, "terms"):
        return
    torch.manual_seed(0)
    model = program.Model().double().eval()
    batch = {k: v.double() if v.is_floating_point() else v for k, v in data_of(program, 5, 4).items()}
    wanted = inspect.signature(model.terms).parameters
    batch = {k: v for k, v in batch.items() if k in wanted}
    known = [index for index in program.analysis.model.indices.ranges if f'if per == "{index}":' in program.source]
    for index in known:
        torch.manual_seed(1)
        found = model.terms(**batch, per=index)
        torch.manual_seed(1)
        whole = model.terms(**batch)
        assert found.keys() <= whole.keys()
        if found.keys() == whole.keys():  # otherwise other terms have drawn in between
            for term, value in found.items():
                torch.testing.assert_close(value.sum(-1), whole[term], msg=f"{index} of {term}")


def test_most_programs_can_be_split() -> None:
    split = {name for name, text in TEXTS.items() if "if per == " in compiled(text).source}
    assert {"vrnn", "pad", "arx", "lag2", "plate_of_sequences", "transformer"} <= split
    assert split.isdisjoint({"plate", "ratings", "bayesian_net"})  # with terms that stand beside the sums


def test_another_index_is_refused() -> None:
    model = made(CHAIN)
    x, lengths = torch.zeros(2, 3, 2, dtype=torch.float64), torch.tensor([3, 3])
    with pytest.raises(ValueError, match="is no sum over 'n': per can be \"t\""):
        model.terms(x=x, T=lengths, per="n")
    with pytest.raises(ValueError, match="rec is no sum over 'n': per can be \"t\""):
        model.rec(x=x, T=lengths, per="n")


def test_a_variable_of_that_name_keeps_it() -> None:
    model = made("index t in 1..T\nper_t : real\np(per_t) = Normal(0, 1)\nfit = sum_t log p(per_t)")
    x = torch.randn(2, 3, dtype=torch.float64)
    torch.testing.assert_close(model.terms(per=x)["fit"], D.Normal(0.0, 1.0).log_prob(x).sum(-1))


def test_both_indices_of_a_table() -> None:
    model = made(
        "index u in 1..U\nindex i in 1..I\nr_{u,i} : real\nparam m : real\np(r_{u,i}) = Normal(m, 1)\n"
        "fit = 2 * sum_u sum_i log p(r_{u,i})\nreg = -m^2\ntotal = fit + reg"
    )
    r = torch.randn(3, 4, 5, dtype=torch.float64)
    scored = 2 * D.Normal(model.m, 1.0).log_prob(r)
    found = model.terms(r=r, per="u")
    assert found.keys() == {"fit"}
    torch.testing.assert_close(found["fit"], scored.sum(-1))
    torch.testing.assert_close(model.terms(r=r, per="i")["fit"], scored.sum(-2))
    with pytest.raises(ValueError, match='terms is no sum over \'t\': per can be "u" or "i"'):
        model.terms(r=r, per="t")
