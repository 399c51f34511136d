"""Ready-made flows: lazy distributions over a vector or an image, from the transforms that programs use.

Options are those of the transform, by the same names; each flow is a `pgcompile.lazy.Flow` whose `transform.module` is
the `ComposedTransform` that a program would emit.

>>> import torch
>>> flow = NSF(features=2, context=3, transforms=2, hidden=(16,))
>>> x, log_density = flow(torch.randn(8, 3)).rsample_and_log_prob((5,))
>>> x.shape, log_density.shape
(torch.Size([5, 8, 2]), torch.Size([5, 8]))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributions as D
from torch import Tensor, nn

from pgcompile.lazy import Flow, LazyBijection, LazyDistribution, UnconditionalDistribution
from pgcompile.runtime.transforms.additive import AdditiveCoupling
from pgcompile.runtime.transforms.affine import AffineCoupling, InverseAutoregressive, MaskedAutoregressive
from pgcompile.runtime.transforms.bernstein import Bernstein
from pgcompile.runtime.transforms.bijection import Bijection
from pgcompile.runtime.transforms.composed import ComposedTransform
from pgcompile.runtime.transforms.continuous import Continuous
from pgcompile.runtime.transforms.coupling import AlternatingCouplings
from pgcompile.runtime.transforms.functions import Softclip
from pgcompile.runtime.transforms.gaussianization import Gaussianization
from pgcompile.runtime.transforms.images import ActNorm, Conv1x1, ImageCoupling, MultiScale, Squeeze
from pgcompile.runtime.transforms.linear import Rotation
from pgcompile.runtime.transforms.networks import ContextMLP
from pgcompile.runtime.transforms.neural import NeuralAutoregressive, UnconstrainedMonotonic
from pgcompile.runtime.transforms.spline import CircularSplineAutoregressive, SplineAutoregressive
from pgcompile.runtime.transforms.sum_of_squares import SumOfSquares


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
        >>> flow = RealNVP(4, transforms=2, hidden=(8,))
        >>> flow().log_prob(torch.zeros(6, 4)).shape
        torch.Size([6])
    """

    coupling = AffineCoupling


class AutoregressiveFlow(ReadyFlow):
    """Autoregressive transforms in ascending and descending order in turn, or in random orders.

    Args:
        features: number of features.
        context: number of context features.
        transforms: number of transforms.
        random_order: random orders instead of ascending and descending in turn.
        clip: bound of soft clips between transforms, None for none: they keep values where the next one moves them.
        options: of the transform.
    """

    transform_class: Callable[..., Any]
    clip: float | None = None

    def __init__(
        self,
        features: int,
        context: int = 0,
        transforms: int = 3,
        random_order: bool = False,
        clip: float | None = None,
        *,
        base: LazyDistribution | None = None,
        **options: Any,
    ) -> None:
        orders = ["random"] if random_order else ["ascending", "descending"]
        given = {"order", "adjacency"} & {*options}
        bound = type(self).clip if clip is None else clip
        layers: list[Bijection] = []
        for i in range(transforms):
            order = {} if given else {"order": orders[i % len(orders)]}
            layers += [Softclip((features,), bound)] if bound is not None and layers else []
            layers.append(type(self).transform_class(features, context, **order, **options))
        super().__init__(layers, (features,), context, base=base)


class MAF(AutoregressiveFlow):
    """Masked autoregressive flow (Papamakarios et al. 2017): density in one pass, draws step by step.

    Options are those of `MaskedAutoregressive`: hidden, act, order, passes, adjacency, slope.

    Examples:
        >>> flow = MAF(3, context=2, hidden=(8,))
        >>> flow(torch.zeros(2)).log_prob(torch.zeros(6, 3)).shape
        torch.Size([6])
    """

    transform_class = MaskedAutoregressive


class IAF(AutoregressiveFlow):
    """Inverse autoregressive flow (Kingma et al. 2016): draws in one pass, density of other values step by step.

    Options are those of `InverseAutoregressive`: hidden, act, order, passes, adjacency, slope.
    """

    transform_class = InverseAutoregressive


class NSF(AutoregressiveFlow):
    """Neural spline flow (Durkan et al. 2019). Features beyond the bound are not moved: standardise them.

    Options are those of `SplineAutoregressive`: bins, bound, slope, hidden, act, order, passes, adjacency.
    """

    transform_class = SplineAutoregressive


class NCSF(AutoregressiveFlow):
    """Neural circular spline flow (Rezende et al. 2020) over angles in [-pi, pi), with a uniform base.

    Args:
        features: number of features.
        margin: by how much the base is wider than the circle at each end, against rounding.
        options: as of `AutoregressiveFlow`, and of `CircularSplineAutoregressive`: bins, slope, hidden, act, order,
            passes, adjacency.
    """

    transform_class = CircularSplineAutoregressive

    def __init__(self, features: int, context: int = 0, *, margin: float = 1e-5, **options: Any) -> None:
        end = torch.full((features,), math.pi + margin)
        base = UnconditionalDistribution(D.Uniform, low=-end, high=end, buffer=True, validate_args=False)
        super().__init__(features, context, base=base, **options)


class SOSPF(AutoregressiveFlow):
    """Sum-of-squares polynomial flow (Jaini et al. 2019).

    Options are those of `SumOfSquares`: degree, polynomials, bound, slope, hidden, act, order, passes, adjacency.
    """

    transform_class = SumOfSquares
    clip = 11.0


class NAF(AutoregressiveFlow):
    """Neural autoregressive flow (Huang et al. 2018).

    Options are those of `NeuralAutoregressive`: signal, network, bound, hidden, act, order, passes, adjacency.
    """

    transform_class = NeuralAutoregressive
    clip = 11.0


class UNAF(AutoregressiveFlow):
    """Unconstrained neural autoregressive flow (Wehenkel & Louppe 2019).

    Options are those of `UnconstrainedMonotonic`: signal, network, points, bound, and those of the masked net.
    """

    transform_class = UnconstrainedMonotonic
    clip = 11.0


class BPF(AutoregressiveFlow):
    """Bernstein polynomial flow (Arpogaus et al. 2022). Features beyond the bound are not moved: standardise them.

    Options are those of `Bernstein`: degree, bound, hidden, act, order, passes, adjacency.
    """

    transform_class = Bernstein


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


class CNF(ReadyFlow):
    """Continuous flow (Chen et al. 2018; Grathwohl et al. 2019).

    Args:
        features: number of features.
        context: number of context features.
        options: of `Continuous`: hidden, act, freqs, solver, steps, atol, rtol, trace.

    Examples:
        >>> CNF(2, hidden=(8,), solver="rk4", steps=4)().sample((6,)).shape
        torch.Size([6, 2])
    """

    def __init__(self, features: int, context: int = 0, **options: Any) -> None:
        super().__init__([Continuous(features, context, **options)], (features,), context)


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
