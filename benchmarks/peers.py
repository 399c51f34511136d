"""The same VAE in Pixyz and in Pyro, for those that are installed.

Pixyz 0.3.3 is what users have; pip from 24.1 on refuses its metadata and takes 0.3.2, which computes otherwise:
`pip install "pip<24.1"`, then `pip install pixyz==0.3.3 pyro-ppl`.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from benchmarks.hand_written import HandWrittenVae

Step = Callable[[Tensor], Any]


def versions() -> str:
    """What is compared with, for the head of the page."""
    found = []
    for package in ("pixyz", "pyro-ppl", "zuko"):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def peer_steps(size: int, hidden: int, latent: int) -> dict[str, Step]:
    """One update of a VAE of these sizes, by the peer's own way of training."""
    found: dict[str, Step] = {}
    if find_spec("pixyz") is not None and importlib.metadata.version("pixyz") == "0.3.3":
        found["Pixyz"] = _pixyz(size, hidden, latent)
    if find_spec("pyro") is not None:
        found["Pyro"] = _pyro(size, hidden, latent)
    return found


def _pixyz(size: int, hidden: int, latent: int) -> Step:
    from pixyz.distributions import Bernoulli, Normal
    from pixyz.losses import Expectation, KullbackLeibler
    from pixyz.models import Model

    nets = HandWrittenVae(size, hidden, latent)

    class Posterior(Normal):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(var=["z"], cond_var=["x"], name="q")
            self.hidden, self.loc_net, self.scale_net = nets.hidden, nets.loc, nets.scale

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            h = self.hidden(x)
            return {"loc": self.loc_net(h), "scale": self.scale_net(h)}

    class Decoder(Bernoulli):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(var=["x"], cond_var=["z"], name="p")
            self.decoder = nets.decoder

        def forward(self, z: Tensor) -> dict[str, Tensor]:
            return {"probs": torch.sigmoid(self.decoder(z))}

    p, q = Decoder(), Posterior()
    prior = Normal(loc=torch.tensor(0.0), scale=torch.tensor(1.0), var=["z"], features_shape=[latent], name="prior")
    loss = (KullbackLeibler(q, prior) - Expectation(q, p.log_prob())).mean()
    model = Model(loss, distributions=[p, q], optimizer=torch.optim.Adam, optimizer_params={"lr": 1e-3})
    return lambda x: model.train({"x": x.clone()})  # the same tensor twice is an error there


def _pyro(size: int, hidden: int, latent: int) -> Step:
    import pyro
    import pyro.distributions as dist
    from pyro.infer import SVI, TraceMeanField_ELBO

    nets = HandWrittenVae(size, hidden, latent)

    def model(x: Tensor) -> None:
        pyro.module("decoder", nets.decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(len(x), latent), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=nets.decoder(z), validate_args=False).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        for name in ("hidden", "loc", "scale"):
            pyro.module(name, getattr(nets, name))
        with pyro.plate("data", len(x)):
            h = nets.hidden(x)
            pyro.sample("z", dist.Normal(nets.loc(h), nets.scale(h)).to_event(1))

    pyro.clear_param_store()
    pyro.enable_validation(False)
    engine = SVI(model, guide, pyro.optim.Adam({"lr": 1e-3}), TraceMeanField_ELBO())
    return lambda x: engine.step(x)
