"""Python names for the things of a program."""

import builtins
import keyword
import re

from pgcompile.model.factors import Factor, FactorInstance
from pgcompile.plan.ops import operation
from pgcompile.plan.values import Value

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


def default_hint(value: Value) -> str:
    """A name for a value that nobody named: after its operation, and after what it is made of where that tells more."""
    name = operation(value.op).hint or re.sub(r"\W", "_", value.op)
    inner = _name_of(value.args[0]) if value.args else None
    suffix = _SUFFIXES.get(value.op)
    if suffix is not None:
        return f"{inner}_{suffix}" if inner else suffix
    if value.op == "log" and inner:
        return f"log_{inner}"
    if value.op == "module":
        return f"{value.attributes[0]!s}_out"
    return name


# What the value of an operation is called after its argument.
_SUFFIXES = {
    "detach": "detached",
    "expand_as": "full",
    "expand_lead": "full",
    "over_batch": "all",
    "unsqueeze_axes": "aligned",
}


def _name_of(value: Value) -> str | None:
    """The name of a value, if it has one."""
    if value.op == "argument":
        return str(value.attributes[0])
    return value.hints[0] if value.hints else None
