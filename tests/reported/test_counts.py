"""Counts of words: a Multinomial whose number of outcomes each data point has for itself."""

import pytest
import torch
import torch.distributions as D

import pgcompile as pgc

TOPICS = """
x : nonnegative_integer[5]
n : nonnegative_integer
z : real[2]
net d = Linear(5)
net e = Linear(2)
p(z) = Normal(0, 1)
p(x|z,n) = Multinomial(n, {form} = {value})
q(z|x) = Normal(e(x), 0.5)
elbo = E_{{q(z|x)}}[log p(x|z,n)] - KL[q(z|x) || p(z)]
score = log p(x|z,n)
drawn = E_{{p(x|z,n)}}[sum(x^2)]
maximize elbo using Adam(lr = 1e-2)
"""


@pytest.mark.parametrize(("form", "value"), [("logits", "d(z)"), ("probs", "softmax(d(z))")])
def test_each_row_has_its_own_number_of_outcomes(form: str, value: str) -> None:
    program = pgc.compile(TOPICS.format(form=form, value=value))
    assert [check for check in program.verify(runs=300) if not check.passed] == []
    model = program.Model().double()
    x = torch.tensor([[1.0, 0, 2, 0, 1], [0, 0, 0, 0, 0], [3, 3, 0, 1, 2]]).double()
    n, z = x.sum(-1), torch.randn(3, 2).double()
    rows = [D.Multinomial(int(c), logits=s).log_prob(v) for c, s, v in zip(n, model.d(z), x, strict=True)]
    torch.testing.assert_close(model.score(x=x, z=z, n=n), torch.stack(rows))
    found = model.factor("p(x|z,n)")(z, n)
    torch.testing.assert_close(found.log_prob(x), torch.stack(rows))
    torch.testing.assert_close(found.mean, n[:, None] * model.d(z).softmax(-1))


def test_draws_have_the_number_and_the_shares() -> None:
    model = pgc.compile(TOPICS.format(form="logits", value="d(z)")).Model()
    torch.manual_seed(0)
    n, z = torch.tensor([0.0, 3.0, 40.0]), torch.randn(3, 2)
    drawn = model.sample((), given={"z": z.expand(4000, 3, 2), "n": n.expand(4000, 3)})["x"].reshape(-1, 3, 5)
    assert torch.equal(drawn.sum(-1), n.expand(len(drawn), 3))
    shares = drawn[:, 2].mean(0) / 40
    # The deviation of a share over 4,000 draws of 40 is at most 0.5 / sqrt(160,000) = 0.0013.
    torch.testing.assert_close(shares, model.d(z)[2].softmax(-1), atol=0.007, rtol=0)


def test_a_number_of_the_program_stays_torchs_multinomial() -> None:
    source = pgc.compile("x : nonnegative_integer[3]\np(x) = Multinomial(6, probs = [0.2, 0.3, 0.5])\nl = log p").source
    assert "D.Multinomial(" in source
    assert "VaryingMultinomial" not in source


def test_counts_of_another_number_are_impossible() -> None:
    model = pgc.compile(TOPICS.format(form="logits", value="d(z)")).Model()
    x, z = torch.tensor([[1.0, 0, 2, 0, 1], [0, 0, 0, 0, 0]]), torch.randn(2, 2)
    assert model.score(x=x, z=z, n=torch.tensor([5.0, 1.0])).tolist() == [-torch.inf, -torch.inf]
    assert model.factor("p(x|z,n)")(z, torch.tensor([5.0, 1.0])).log_prob(x).tolist() == [-torch.inf, -torch.inf]
