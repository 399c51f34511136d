"""Python names for the things of a program: the emitted class is written with them, and is asked by them."""

import builtins
import keyword

from pgcompile.model.factors import Factor, FactorInstance
from pgcompile.model.tensors import TensorValue
from pgcompile.syntax.places import has_place, python_name
from pgcompile.vocabulary.reserved import HELPERS, LOCALS

_TAKEN = frozenset({"self", "torch", "math", "nn", "F", "D", "Tensor", *HELPERS, *LOCALS, *dir(builtins)})

MAPS = {
    "positive": "softplus",
    "nonnegative": "softplus",
    "unit_interval": "sigmoid",
    "simplex": "softmax",
    "lower_cholesky": "lower_cholesky",
    "positive_definite": "positive_definite",
}
"""Spaces that a free parameter reaches through a map from the reals, and the plan operation that is the map."""


def identifier(name: str) -> str:
    """A name that is free in the emitted module: itself, or itself with an underscore."""
    name = python_name(name) if has_place(name) or "}_" in name else name
    return f"{name}_" if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in _TAKEN else name


def factor_attribute(factor: Factor) -> str:
    """`q_z_given_x` for `q(z|x)`."""
    head = "_".join((factor.name, *map(python_name, factor.targets)))
    return f"{head}_given_{'_'.join(map(python_name, factor.parents))}" if factor.parents else head


def density_name(atom: FactorInstance) -> str:
    """`log_p_xz`, for the log-density of a factor."""
    return f"log_{atom.factor.name}_{''.join(python_name(v.name) for v in atom.targets)}"


def is_mapped(tensor: TensorValue) -> bool:
    """True if a parameter is stored as free numbers and mapped into its space."""
    return tensor.kind == "param" and tensor.space.kind in MAPS


def attribute_name(tensor: TensorValue) -> str:
    """`w`, or `free_w` where what is stored is not yet in the space."""
    return f"free_{tensor.name}" if is_mapped(tensor) else tensor.name
