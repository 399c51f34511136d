"""Sequences against Pixyz 0.3.3, whose classes hold the nets of an emitted module and draw with its noise."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from benchmarks.deep_markov import PROGRAM as DEEP_MARKOV
from benchmarks.pixyz_sequences import deep_markov_of_pixyz, vrnn_of_pixyz
from tests.conftest import compiled
from tests.peers.noise import recorded, replayed, value_and_gradient

pytest.importorskip("pixyz.distributions")

PLACES, ROWS = 6, 4

VRNN = """index t in 1..T
x_t : boolean[12]
z_t : real[3]
h_t : real[8]
net enc = Linear(10) >> ReLU
net loc = Linear(3)
net scale = Linear(3) >> Softplus
net prior = Linear(10) >> ReLU
net prior_loc = Linear(3)
net prior_scale = Linear(3) >> Softplus
net dec = Linear(10) >> ReLU >> Linear(12)
net cell = GRUCell
h_0 = 0
h_t = cell(z_t, x_t, h_{t-1})
p(z_t | h_{t-1}) = Normal(prior_loc(a), prior_scale(a)) where a = prior(h_{t-1})
p(x_t | z_t, h_{t-1}) = Bernoulli(logits = dec(z_t, h_{t-1}))
q(z_t | x_t, h_{t-1}) = Normal(loc(e), scale(e)) where e = enc(x_t, h_{t-1})
elbo = sum_t (E_{q(z_t|x_t,h_{t-1})}[log p(x_t|z_t,h_{t-1})] - KL[q(z_t|x_t,h_{t-1}) || p(z_t|h_{t-1})])
maximize elbo
"""


@pytest.fixture(autouse=True)
def in_double() -> Iterator[None]:
    """Both sides compute in float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def made(text: str) -> Any:
    torch.manual_seed(0)
    return compiled(text).Model().double()


def test_a_variational_recurrent_net() -> None:
    model = made(VRNN)
    x = (torch.rand(ROWS, PLACES, 12) < 0.4).double()
    with recorded() as noise:
        found = value_and_gradient(model.elbo(x=x), model.parameters())
    with replayed(noise[0]):
        loss = vrnn_of_pixyz(model).eval({"x": x.transpose(0, 1), "h_prev": torch.zeros(ROWS, 8)})
    torch.testing.assert_close(found, value_and_gradient(-loss, model.parameters()))


def test_the_deep_markov_model_of_the_tutorial() -> None:
    model = made(
        DEEP_MARKOV.format(side=8, channels=4, wide=6, hidden=9, each=5, both=6, latent=4, joined=12, corner=2, flat=24)
    )
    x, u = torch.randn(ROWS, PLACES, 3, 8, 8), torch.randn(ROWS, PLACES, 1)
    with recorded() as noise:
        found = value_and_gradient(model.elbo(x=x, u=u), model.parameters())
    given = {"x": x.transpose(0, 1), "u": u.transpose(0, 1), "z_prev": torch.zeros(ROWS, 4)}
    with replayed(noise[0]):
        loss = deep_markov_of_pixyz(model, PLACES).eval(given)
    torch.testing.assert_close(found, value_and_gradient(-loss, model.parameters()))
