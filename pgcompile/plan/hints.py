"""Names for values that nobody named."""

import re

from pgcompile.plan.ops import operation
from pgcompile.plan.values import Value


def default_hint(value: Value) -> str:
    """A name for a value that nobody named: after its operation, and after what it is made of where that tells more."""
    name = operation(value.op).hint or re.sub(r"\W", "_", value.op)
    inner = _name_of(value.args[0]) if value.args else None
    suffix = _SUFFIXES.get(value.op)
    if suffix is not None:
        return f"{inner}_{suffix}" if inner else suffix
    if value.op == "as_float" and value.args:
        return default_hint(value.args[0])
    if value.op == "log" and inner:
        return f"log_{inner}"
    if value.op == "module":
        return f"{value.attributes[0]!s}_out"
    return name


# What the value of an operation is called after its argument.
_SUFFIXES = {
    "as_double": "double",
    "at_least_tiny": "floored",
    "detach": "detached",
    "expand_as": "full",
    "expand_lead": "full",
    "over_batch": "all",
    "unsqueeze_axes": "aligned",
}


def _name_of(value: Value) -> str | None:
    """The name of a value, if it has one."""
    if value.op in ("argument", "attribute"):
        return str(value.attributes[0]).replace(".", "_")
    return value.hints[0] if value.hints else None
