"""Ready-made flows: lazy distributions over a vector or an image, from the transforms that programs use.

Options are those of the transform, by the same names; each flow is a `pgcompile.lazy.Flow` whose `transform.module` is
the `ComposedTransform` that a program would emit.
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
