"""Lazy distributions and transforms: modules that give a distribution or a transform for a context.

The protocol is zuko's: condition in, distribution out. What a program's `model.factor(...)` gives is called in the same
way. A transform maps data to the base. Objects of torch and of zuko may stand wherever one of these does: a transform
is asked for `call_and_ladj` where it has it, for `__call__` and `log_abs_det_jacobian` where it has not.
"""

from pgcompile.lazy.bijections import LazyBijection, LazyComposedTransform
from pgcompile.lazy.factors import LazyFactor, with_lazy_factors
from pgcompile.lazy.flows import Flow, NormalizingFlow
from pgcompile.lazy.peers import link_zuko
from pgcompile.lazy.protocol import LazyDistribution, LazyTransform
from pgcompile.lazy.transforms import Composed, call_and_ladj
from pgcompile.lazy.unconditional import Unconditional, UnconditionalDistribution, UnconditionalTransform

__all__ = [
    "Composed",
    "Flow",
    "LazyBijection",
    "LazyComposedTransform",
    "LazyDistribution",
    "LazyFactor",
    "LazyTransform",
    "NormalizingFlow",
    "Unconditional",
    "UnconditionalDistribution",
    "UnconditionalTransform",
    "call_and_ladj",
    "link_zuko",
    "with_lazy_factors",
]
