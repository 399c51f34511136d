"""Flows of autoregressive transforms over a vector, by their transforms."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.distributions as D

from pgcompile.flows.ready import ReadyFlow
from pgcompile.lazy import LazyDistribution, UnconditionalDistribution
from pgcompile.runtime.transforms.affine import InverseAutoregressive, MaskedAutoregressive
from pgcompile.runtime.transforms.bernstein import Bernstein
from pgcompile.runtime.transforms.bijection import Bijection
from pgcompile.runtime.transforms.functions import Softclip
from pgcompile.runtime.transforms.neural import NeuralAutoregressive, UnconstrainedMonotonic
from pgcompile.runtime.transforms.spline import CircularSplineAutoregressive, SplineAutoregressive
from pgcompile.runtime.transforms.sum_of_squares import SumOfSquares


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
