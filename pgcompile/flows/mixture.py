"""Gaussian mixture as a lazy distribution: the model that flows are compared with."""

from typing import Any

import torch
import torch.distributions as D
from torch import Tensor, nn

from pgcompile.lazy import LazyDistribution
from pgcompile.runtime.transforms.networks import ContextMLP


class GMM(LazyDistribution):
    """Gaussian mixture whose weights, means and covariances are learned, or given by a net over the context.

    Args:
        features: number of features.
        context: number of context features, 0 for learned parameters.
        components: number of components.
        covariance: `full`, `diagonal` or `spherical`.
        tied: one covariance for all components.
        epsilon: added to the scales.
        hidden: hidden units of the net.
        act: activation of the net.

    Raises:
        ValueError: an unknown kind of covariance.
    """

    def __init__(
        self,
        features: int,
        context: int = 0,
        components: int = 2,
        covariance: str = "full",
        tied: bool = False,
        epsilon: float = 1e-6,
        hidden: tuple[int, ...] = (64, 64),
        act: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        if covariance not in ("full", "diagonal", "spherical"):
            raise ValueError(f"there is no covariance {covariance!r}: write full, diagonal or spherical")
        self.features, self.covariance, self.epsilon = features, covariance, epsilon
        several = 1 if tied else components
        scales = several * (1 if covariance == "spherical" else features)
        below = several * features * (features - 1) // 2 if covariance == "full" else 0
        self.components, self.sizes = components, (components, components * features, scales, below)
        self.net = ContextMLP(context, sum(self.sizes), hidden, act) if context else None
        if context == 0:
            self.phi = nn.Parameter(torch.randn(sum(self.sizes)))

    def forward(self, context: Any = None) -> D.MixtureSameFamily:
        """The mixture for a context [..., C]; batch shape [...], event shape [features]."""
        phi: Tensor = self.net(context) if self.net is not None else self.phi
        logits, loc, log_scale, below = phi.split(self.sizes, -1)
        batch = logits.shape[:-1]
        loc = loc.reshape(*batch, self.components, self.features)
        width = 1 if self.covariance == "spherical" else self.features
        scale = (log_scale.exp() + self.epsilon).reshape(*batch, -1, width)
        parts: D.Distribution
        if self.covariance == "full":
            strict = scale.new_zeros(*scale.shape, self.features)
            mask = torch.ones_like(strict, dtype=torch.bool).tril(-1)
            strict = torch.masked_scatter(strict, mask, below)
            tril = (torch.diag_embed(scale) + strict).expand(*loc.shape, self.features)
            parts = D.MultivariateNormal(loc, scale_tril=tril, validate_args=False)
        else:
            normal = D.Normal(loc, scale.expand(loc.shape), validate_args=False)
            parts = D.Independent(normal, 1, validate_args=False)
        which = D.Categorical(logits=logits, validate_args=False)
        return D.MixtureSameFamily(which, parts, validate_args=False)
