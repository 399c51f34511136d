"""Flows of couplings over a vector: NICE and RealNVP."""

from collections.abc import Callable
from typing import Any

from pgcompile.flows.ready import ReadyFlow
from pgcompile.runtime.transforms.additive import AdditiveCoupling
from pgcompile.runtime.transforms.affine import AffineCoupling
from pgcompile.runtime.transforms.coupling import AlternatingCouplings


class CouplingFlow(ReadyFlow):
    """Couplings that keep the even and the odd features in turn, or random halves.

    Args:
        features: number of features, at least 2.
        context: number of context features.
        transforms: number of couplings.
        random_masks: keep random halves instead of every other feature.
        options: of the coupling: hidden, act and, where it has them, slope.
    """

    coupling: Callable[..., Any]

    def __init__(
        self, features: int, context: int = 0, transforms: int = 3, random_masks: bool = False, **options: Any
    ) -> None:
        masks = ["random"] if random_masks else ["even", "odd"]
        layers = [
            type(self).coupling(features, context, mask=masks[i % len(masks)], **options) for i in range(transforms)
        ]
        super().__init__(layers if random_masks else [AlternatingCouplings(layers)], (features,), context)


class NICE(CouplingFlow):
    """Additive couplings (Dinh et al. 2014); arguments are those of `CouplingFlow`."""

    coupling = AdditiveCoupling


class RealNVP(CouplingFlow):
    """Affine couplings (Dinh et al. 2017); arguments are those of `CouplingFlow`.

    Examples:
        >>> import torch
        >>> flow = RealNVP(4, transforms=2, hidden=(8,))
        >>> flow().log_prob(torch.zeros(6, 4)).shape
        torch.Size([6])
    """

    coupling = AffineCoupling
