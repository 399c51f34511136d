"""Flows over a base that is fixed, the class that ready-made flows share."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributions as D
from torch import Tensor

from pgcompile.lazy import Flow, LazyBijection, LazyDistribution, UnconditionalDistribution
from pgcompile.runtime.transforms.bijection import Bijection
from pgcompile.runtime.transforms.composed import ComposedTransform


class StandardNormal(D.Normal):
    """A normal distribution whose noise torch can also draw under `vmap`, where torch's own cannot."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Pathwise draws."""
        loc = self.loc.expand(self._extended_shape(torch.Size(sample_shape)))
        draws: Tensor = loc + self.scale * torch.randn_like(loc)
        return draws


class ReadyFlow(Flow):
    """Transforms over a base that is fixed: a standard normal if no other is given."""

    def __init__(
        self,
        transforms: Sequence[Bijection],
        shape: Sequence[int],
        context: int,
        out_shape: Sequence[int] | None = None,
        base: LazyDistribution | None = None,
    ) -> None:
        composed = ComposedTransform(transforms, tuple(shape), None if out_shape is None else tuple(out_shape), context)
        if base is None:
            shape = composed.out_shape
            base = UnconditionalDistribution(
                StandardNormal, loc=torch.zeros(shape), scale=torch.ones(shape), buffer=True, validate_args=False
            )
        super().__init__(LazyBijection(composed), base)
