"""Ready-made flows: lazy distributions over a vector or an image, from the transforms that programs use.

Options are those of the transform, by the same names; each flow is a `pgcompile.lazy.Flow` whose `transform.module` is
the `ComposedTransform` that a program would emit.

>>> import torch
>>> flow = NSF(features=2, context=3, transforms=2, hidden=(16,))
>>> x, log_density = flow(torch.randn(8, 3)).rsample_and_log_prob((5,))
>>> x.shape, log_density.shape
(torch.Size([5, 8, 2]), torch.Size([5, 8]))
"""

from pgcompile.flows.autoregressive import BPF, IAF, MAF, NAF, NCSF, NSF, SOSPF, UNAF, AutoregressiveFlow
from pgcompile.flows.continuous import CNF
from pgcompile.flows.coupling import NICE, CouplingFlow, RealNVP
from pgcompile.flows.gaussianization import GF
from pgcompile.flows.glow import Glow
from pgcompile.flows.mixture import GMM
from pgcompile.flows.ready import ReadyFlow, StandardNormal

__all__ = [
    "BPF",
    "CNF",
    "GF",
    "GMM",
    "IAF",
    "MAF",
    "NAF",
    "NCSF",
    "NICE",
    "NSF",
    "SOSPF",
    "UNAF",
    "AutoregressiveFlow",
    "CouplingFlow",
    "Glow",
    "ReadyFlow",
    "RealNVP",
    "StandardNormal",
]
