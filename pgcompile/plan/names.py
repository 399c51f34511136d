"""Python names for the things of a program."""

import builtins
import keyword

from pgcompile.model.factors import Factor, FactorInstance

_RESERVED = {"self", "torch", "math", "nn", "F", "D", "Tensor", "shape", "given", "name", "values", *dir(builtins)}


def identifier(name: str) -> str:
    """A name that is free in the emitted module: itself, or itself with an underscore."""
    return f"{name}_" if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in _RESERVED else name


def factor_attribute(factor: Factor) -> str:
    """`q_z_given_x` for `q(z|x)`."""
    head = "_".join((factor.name, *factor.targets))
    return f"{head}_given_{'_'.join(factor.parents)}" if factor.parents else head


def density_name(atom: FactorInstance) -> str:
    """`log_p_xz`, for the log-density of a factor."""
    return f"log_{atom.factor.name}_{''.join(map(str, atom.targets))}"
