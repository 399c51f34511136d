"""A family of which a part is left, by its distribution function and the inverse of that, in double precision."""

import math
from typing import Any

import torch
import torch.distributions as D
from torch import Tensor


class TruncatedFamily(D.Distribution):
    """A distribution of numbers between two bounds, or beyond one."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, whole: D.Distribution, low: Tensor | None, high: Tensor | None) -> None:
        self.whole, self.low, self.high = whole, low, high
        shapes = [end.shape for end in (low, high) if end is not None]
        super().__init__(torch.broadcast_shapes(whole.batch_shape, *shapes), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> D.Distribution:
        """The same for more batch dimensions."""
        low, high = (None if end is None else end.expand(batch_shape) for end in (self.low, self.high))
        return TruncatedFamily(self.whole.expand(batch_shape), low, high)

    def _below(self, value: Tensor) -> Tensor:
        """The distribution function of the whole; 0 and 1 outside its support."""
        least = getattr(self.whole.support, "lower_bound", -math.inf)
        most = getattr(self.whole.support, "upper_bound", math.inf)
        inner = torch.where(value > least, value, self.whole.icdf(torch.full_like(value, 0.5)))
        inner = torch.where(inner < most, inner, self.whole.icdf(torch.full_like(value, 0.5)))
        found = self.whole.cdf(inner)
        return torch.where(value <= least, 0.0, torch.where(value >= most, 1.0, found))

    def _ends(self) -> tuple[Tensor, Tensor]:
        """The shares of the whole below both bounds."""
        one = torch.ones(self.batch_shape, dtype=torch.float64)
        low = 0 * one if self.low is None else self._below(self.low.expand(self.batch_shape))
        high = one if self.high is None else self._below(self.high.expand(self.batch_shape))
        return low, high

    def _inside(self, value: Tensor) -> Tensor:
        """Whether a value is between the bounds."""
        inside = torch.ones_like(value, dtype=torch.bool)
        inside = inside if self.low is None else inside & (value >= self.low)
        return inside if self.high is None else inside & (value <= self.high)

    def log_prob(self, value: Tensor) -> Tensor:
        """The whole density over the mass between the bounds."""
        low, high = self._ends()
        return torch.where(self._inside(value), self.whole.log_prob(value) - (high - low).log(), -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        """The share of the mass between the bounds that is below a value."""
        low, high = self._ends()
        held = value if self.low is None else torch.maximum(value, self.low)
        held = held if self.high is None else torch.minimum(held, self.high)
        share: Tensor = (self._below(held) - low) / (high - low)
        return share

    def icdf(self, value: Tensor) -> Tensor:
        """By that of the whole."""
        low, high = self._ends()
        found: Tensor = self.whole.icdf(low + value * (high - low))
        return found

    @property
    def median(self) -> Tensor:
        """The value that half of the mass is below."""
        return self.icdf(torch.full(self.batch_shape, 0.5, dtype=torch.float64))

    @property
    def mean(self) -> Tensor:
        """The integral of the inverse distribution function, by doubly exponential nodes (Takahasi & Mori 1974)."""
        places = torch.linspace(-3.6, 3.6, 721, dtype=torch.float64)
        steep = math.pi / 2 * places.sinh()
        levels = torch.sigmoid(2 * steep)
        weights = math.pi / 2 * places.cosh() * 2 * torch.sigmoid(2 * steep) * torch.sigmoid(-2 * steep) * 0.01
        nodes = levels[(..., *[None] * len(self.batch_shape))].expand(len(places), *self.batch_shape)
        values = self.icdf(nodes)
        kept = torch.where(values.isfinite(), values, 0.0)
        total: Tensor = (weights[(..., *[None] * len(self.batch_shape))] * kept).sum(0)
        return total

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws by the inverse distribution function."""
        return self.icdf(torch.rand((*sample_shape, *self.batch_shape), dtype=torch.float64))
