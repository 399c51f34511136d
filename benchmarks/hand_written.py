"""The VAE a good engineer writes by hand: same nets, same objective, same number of lines of thought."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class HandWrittenVae(nn.Module):
    """A VAE of `size` binary pixels; attribute names are those of the emitted module, so that weights can be shared."""

    def __init__(self, size: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.hidden = nn.Sequential(nn.Linear(size, hidden), nn.ReLU())
        self.loc = nn.Linear(hidden, latent)
        self.scale = nn.Sequential(nn.Linear(hidden, latent), nn.Softplus())
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, size))

    def elbo(self, x: Tensor) -> Tensor:
        """Evidence lower bound of each example."""
        h = self.hidden(x)
        loc, scale = self.loc(h), self.scale(h)
        z = loc + scale * torch.randn_like(loc)
        logits = self.decoder(z)
        log_px = -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
        kl = (0.5 * (loc.square() + scale.square() - 1.0) - scale.log()).sum(-1)
        return log_px - kl

    def loss(self, x: Tensor) -> Tensor:
        """Minus the batch mean of the bound."""
        return -self.elbo(x).mean()


def vae_program(size: int, hidden: int, latent: int) -> str:
    """The same model as a program."""
    return f"""
x : boolean[{size}]
z : real[{latent}]
net hidden  = Linear({hidden}) >> ReLU
net decoder = Linear({hidden}) >> ReLU >> Linear({size})
net loc     = Linear({latent})
net scale   = Linear({latent}) >> Softplus
p(z)   = Normal(0, 1)
p(x|z) = Bernoulli(logits = decoder(z))
q(z|x) = Normal(loc(h), scale(h))  where  h = hidden(x)
elbo = E_{{q(z|x)}}[log p(x|z)] - KL[q(z|x) || p(z)]
maximize elbo using Adam(lr = 1e-3)
"""
