"""Sequences by Pixyz's own classes, which hold the nets of an emitted module."""

from typing import Any

import torch
from torch import Tensor, nn


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


def deep_markov_of_pixyz(nets: Any, places: int) -> Any:
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
    over = IterativeLoss(step, max_iter=places, series_var=["x", "h", "u"], update_value={"z": "z_prev"})
    return Expectation(Recurrent(), over)
