"""Glow: a flow over images, in levels."""

import math
from collections.abc import Sequence

from pgcompile.flows.ready import ReadyFlow
from pgcompile.runtime.transforms.bijection import Bijection
from pgcompile.runtime.transforms.images import ActNorm, Conv1x1, ImageCoupling, MultiScale, Squeeze


class Glow(ReadyFlow):
    """Glow (Kingma & Dhariwal 2018): levels of squeeze, steps of normalisation, convolution and coupling, and split.

    Args:
        shape: [C, H, W]; H and W are divided by two at each level.
        context: number of context features.
        levels: number of levels.
        steps: steps of each level.
        hidden: channels of the nets.
        lu: hold the 1x1 convolutions as products of triangles.

    Raises:
        ValueError: the image cannot be halved that often.
    """

    def __init__(
        self,
        shape: Sequence[int],
        context: int = 0,
        levels: int = 2,
        steps: int = 4,
        hidden: int = 64,
        lu: bool = True,
    ) -> None:
        channels, height, width = shape
        if height % 2**levels or width % 2**levels:
            raise ValueError(f"an image of {height} x {width} cannot be halved {levels} times: take fewer levels")
        transforms, out_shape = self._level((channels, height, width), context, levels, steps, hidden, lu)
        super().__init__(transforms, tuple(shape), context, out_shape)

    @classmethod
    def _level(
        cls, shape: tuple[int, int, int], context: int, levels: int, steps: int, hidden: int, lu: bool
    ) -> tuple[list[Bijection], tuple[int, ...]]:
        """The transforms of a level and of those after it, and the event shape they end in."""
        channels, height, width = shape
        inside = (4 * channels, height // 2, width // 2)
        layers: list[Bijection] = [Squeeze()]
        for _ in range(steps):
            layers += [ActNorm(inside), Conv1x1(inside, lu), ImageCoupling(inside, context, hidden)]
        if levels == 1:
            return layers, inside
        half = (2 * channels, height // 2, width // 2)
        inner, ends = cls._level(half, context, levels - 1, steps, hidden, lu)
        return [*layers, MultiScale(inside, inner, ends)], (math.prod(inside),)
