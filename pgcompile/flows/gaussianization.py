"""Gaussianization flow: elementwise maps with rotations between them."""

from typing import Any

from pgcompile.flows.ready import ReadyFlow
from pgcompile.runtime.transforms.bijection import Bijection
from pgcompile.runtime.transforms.gaussianization import Gaussianization
from pgcompile.runtime.transforms.linear import Rotation


class GF(ReadyFlow):
    """Gaussianization flow (Meng et al. 2020): elementwise Gaussianizations with rotations between them.

    Args:
        features: number of features.
        context: number of context features.
        transforms: number of Gaussianizations.
        options: of `Gaussianization`: components, bound, shrink, hidden, act.
    """

    def __init__(self, features: int, context: int = 0, transforms: int = 3, **options: Any) -> None:
        layers: list[Bijection] = []
        for _ in range(transforms):
            layers += [Rotation(features)] if layers else []
            layers.append(Gaussianization(features, context, **options))
        super().__init__(layers, (features,), context)
