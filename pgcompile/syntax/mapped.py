"""A tree with its parts changed."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from pgcompile.syntax import tree


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """A node with its parts changed; what does not change is the same object."""
    if isinstance(value, tuple):
        parts = tuple(change(v) if isinstance(v, tree.Node) else mapped(v, change) for v in value)
        return parts if any(a is not b for a, b in zip(parts, value, strict=True)) else value
    if not isinstance(value, tree.Node):
        return value
    changed = {}
    for item in fields(value):
        old = getattr(value, item.name)
        new = change(old) if isinstance(old, tree.Node) else mapped(old, change)
        if new is not old:
            changed[item.name] = new
    return replace(value, **changed) if changed else value
