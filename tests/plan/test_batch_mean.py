"""A loss as few large sums is the mean of the objective."""

import pytest
import torch

from tests.conftest import compiled

PROGRAM = """
x : {space}
z : real[2]
net e = Linear(4)
net d = Linear(6)
p(z) = Normal(0, 1)
p(x|z) = {decoder}
q(z|x) = Normal(m, softplus(s)) where (m, s) = e(x)
elbo = {elbo}
{direction} elbo using Adam
"""
MEAN_OF_DRAWS = "E_{q; samples=5}[log p(x|z)] - KL[q || p]"


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("elbo", ["ELBO[p || q]", MEAN_OF_DRAWS, "2 E_{q; samples=3}[log p(x|z)] + E_q[log p(z)]"])
@pytest.mark.parametrize(
    ("space", "decoder"), [("boolean[6]", "Bernoulli(logits = d(z))"), ("real[6]", "Normal(d(z), 0.5)")]
)
def test_a_loss_is_the_mean_over_the_batch(direction: str, elbo: str, space: str, decoder: str) -> None:
    program = compiled(PROGRAM.format(space=space, decoder=decoder, elbo=elbo, direction=direction))
    model = program.Model().double()
    for shape in ((1,), (7,), (3, 4)):
        x = torch.rand(*shape, 6, dtype=torch.float64).round()
        torch.manual_seed(0)
        loss = model.loss(x)
        torch.manual_seed(0)
        mean = model.elbo(x).mean()
        torch.testing.assert_close(loss, -mean if direction == "maximize" else mean, rtol=1e-12, atol=1e-12)


def test_a_loss_over_several_draws_has_statements_of_its_own() -> None:
    program = compiled("""
        x, y : boolean[6]
        z : real[2]
        net e = Linear(4)
        net d = Linear(6)
        net f = Linear(6)
        p(z) = Normal(0, 1)
        p(x|z) = Bernoulli(logits = d(z))
        p(y|z) = Bernoulli(logits = f(z))
        q(z|x) = Normal(m, softplus(s)) where (m, s) = e(x)
        elbo = E_q[log p(x|z) + log p(y|z)] + E_{q; samples=5}[log p(y|z)] - KL[q || p]
        maximize elbo using Adam
    """)
    assert "self.elbo(" not in program.source.split("def loss(")[1].split("def ")[0]
    model = program.Model().double()
    x, y = torch.rand(2, 7, 6, dtype=torch.float64).round()
    torch.manual_seed(0)
    loss = model.loss(x, y)
    torch.manual_seed(0)
    torch.testing.assert_close(loss, -model.elbo(x, y).mean(), rtol=1e-12, atol=1e-12)
