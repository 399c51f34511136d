"""Sequences against Pixyz 0.3.3, whose classes hold the nets of an emitted module and draw with its noise."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

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

# The tutorial "Action Conditional Deep Markov Model" of Pixyz, with smaller frames and nets.
DEEP_MARKOV = """index t in 1..T
x_t : real[3, 8, 8]
u_t : real[1]
e_t : real[5]
h_t : real[12]
z_t : real[4]
net frame = Conv2d(4, 4, stride = 2, padding = 1) >> ReLU >> Conv2d(6, 4, stride = 2, padding = 1) >> ReLU
            >> Flatten >> Linear(9) >> ReLU >> Linear(5) >> ReLU
net both = GRU(6, bidirectional = true)
net join = Linear(12) >> Tanh
net loc = Linear(4)
net scale = Linear(4) >> Softplus
net move = Linear(7) >> ReLU
net move_loc = Linear(4)
net move_scale = Linear(4) >> Softplus
net emit = Linear(9) >> ReLU >> Linear(24) >> ReLU >> Unflatten((6, 2, 2))
           >> ConvTranspose2d(4, 4, stride = 2, padding = 1) >> ReLU >> ConvTranspose2d(3, 4, stride = 2, padding = 1)
z_0 = 0
e_t = frame(x_t)
h_{1:T} = both(e_{1:T})
p(z_t | z_{t-1}, u_t) = Normal(move_loc(m), move_scale(m)) where m = move(z_{t-1}, u_t)
p(x_t | z_t) = Normal(emit(z_t), 1)
q(z_t | z_{t-1}, u_t, h_t) = Normal(loc(c), scale(c)) where c = 0.5 * (h_t + join(z_{t-1}, u_t))
elbo = sum_t (E_{q(z_t|z_{t-1},u_t,h_t)}[log p(x_t|z_t)] - KL[q(z_t|z_{t-1},u_t,h_t) || p(z_t|z_{t-1},u_t)])
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


def vrnn_of_pixyz(nets: Any) -> Any:
    """A loss of Pixyz, minus the bound of each sequence."""
    from pixyz.distributions import Bernoulli, Deterministic, Normal
    from pixyz.losses import IterativeLoss, KullbackLeibler, LogProb

    class Encoder(Normal):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(var=["z"], cond_var=["x", "h_prev"], name="q")
            self.enc, self.loc_net, self.scale_net = nets.enc, nets.loc, nets.scale

        def forward(self, x: Tensor, h_prev: Tensor) -> dict[str, Tensor]:
            e = self.enc(torch.cat((x, h_prev), -1))
            return {"loc": self.loc_net(e), "scale": self.scale_net(e)}

    class Prior(Normal):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(var=["z"], cond_var=["h_prev"], name="p")
            self.prior, self.loc_net, self.scale_net = nets.prior, nets.prior_loc, nets.prior_scale

        def forward(self, h_prev: Tensor) -> dict[str, Tensor]:
            a = self.prior(h_prev)
            return {"loc": self.loc_net(a), "scale": self.scale_net(a)}

    class Decoder(Bernoulli):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(var=["x"], cond_var=["z", "h_prev"], name="p")
            self.dec = nets.dec

        def forward(self, z: Tensor, h_prev: Tensor) -> dict[str, Tensor]:
            return {"probs": torch.sigmoid(self.dec(torch.cat((z, h_prev), -1)))}

    class Recurrence(Deterministic):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(var=["h"], cond_var=["x", "z", "h_prev"], name="f")
            self.cell = nets.cell

        def forward(self, x: Tensor, z: Tensor, h_prev: Tensor) -> dict[str, Tensor]:
            return {"h": self.cell(torch.cat((z, x), -1), h_prev)}

    encoder = Encoder()
    step = (KullbackLeibler(encoder, Prior()) - LogProb(Decoder())).expectation(encoder * Recurrence())
    return IterativeLoss(step, series_var=["x"], update_value={"h": "h_prev"})


def deep_markov_of_pixyz(nets: Any) -> Any:
    """The loss of the tutorial, minus the bound of each sequence."""
    from pixyz.distributions import Deterministic, Normal
    from pixyz.losses import Expectation, IterativeLoss, KullbackLeibler, LogProb

    class Recurrent(Deterministic):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(var=["h"], cond_var=["x"])
            self.frame, self.both = nets.frame, nets.both

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            each = self.frame(x.flatten(0, 1)).reshape(*x.shape[:2], -1)
            states, _ = nn.GRU.forward(self.both, each.transpose(0, 1))  # the emitted class gives the states alone
            return {"h": states.transpose(0, 1)}

    class Generator(Normal):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(var=["x"], cond_var=["z"])
            self.emit = nets.emit

        def forward(self, z: Tensor) -> dict[str, Any]:
            return {"loc": self.emit(z), "scale": torch.tensor(1.0)}

    class Inference(Normal):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(var=["z"], cond_var=["h", "z_prev", "u"])
            self.join, self.loc_net, self.scale_net = nets.join, nets.loc, nets.scale

        def forward(self, h: Tensor, z_prev: Tensor, u: Tensor) -> dict[str, Tensor]:
            c = 0.5 * (h + self.join(torch.cat((z_prev, u), 1)))
            return {"loc": self.loc_net(c), "scale": self.scale_net(c)}

    class Prior(Normal):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(var=["z"], cond_var=["z_prev", "u"])
            self.move, self.loc_net, self.scale_net = nets.move, nets.move_loc, nets.move_scale

        def forward(self, z_prev: Tensor, u: Tensor) -> dict[str, Tensor]:
            m = self.move(torch.cat((z_prev, u), 1))
            return {"loc": self.loc_net(m), "scale": self.scale_net(m)}

    encoder = Inference()
    step = -Expectation(encoder, LogProb(Generator())) + KullbackLeibler(encoder, Prior())
    over = IterativeLoss(step, max_iter=PLACES, series_var=["x", "h", "u"], update_value={"z": "z_prev"})
    return Expectation(Recurrent(), over)


def test_a_variational_recurrent_net() -> None:
    model = made(VRNN)
    x = (torch.rand(ROWS, PLACES, 12) < 0.4).double()
    with recorded() as noise:
        found = value_and_gradient(model.elbo(x=x), model.parameters())
    with replayed(noise[0]):
        loss = vrnn_of_pixyz(model).eval({"x": x.transpose(0, 1), "h_prev": torch.zeros(ROWS, 8)})
    torch.testing.assert_close(found, value_and_gradient(-loss, model.parameters()))


def test_the_deep_markov_model_of_the_tutorial() -> None:
    model = made(DEEP_MARKOV)
    x, u = torch.randn(ROWS, PLACES, 3, 8, 8), torch.randn(ROWS, PLACES, 1)
    with recorded() as noise:
        found = value_and_gradient(model.elbo(x=x, u=u), model.parameters())
    given = {"x": x.transpose(0, 1), "u": u.transpose(0, 1), "z_prev": torch.zeros(ROWS, 4)}
    with replayed(noise[0]):
        loss = deep_markov_of_pixyz(model).eval(given)
    torch.testing.assert_close(found, value_and_gradient(-loss, model.parameters()))
