"""Names of variables at a place of an index, as a tree has them once its indices are read: `x_{t}`, `z_{t-1}`.

A name with braces is one of these and nothing else; the program itself may write `x_t`.
"""

import re

_PLACE = re.compile(r"(?P<base>.+)_\{(?P<places>[^{}]*)\}")
_SHIFT = re.compile(r"(?P<index>[^\W\d]\w*)(?P<offset>[-+]\d+)?")
_SUFFIXES = {0: "", -1: "_prev", 1: "_next"}


def place_name(base: str, places: "tuple[tuple[str, int], ...]") -> str:
    """`z_{t-1}` for z at one place before that of t."""
    return f"{base}_{{{','.join(f'{index}{offset:+d}' if offset else index for index, offset in places)}}}"


def places_of(name: str) -> "tuple[str, tuple[tuple[str, int], ...]] | None":
    """The variable and the places that a name stands for; None where it has no index."""
    found = _PLACE.fullmatch(name)
    if found is None:
        return None
    shifts = [_SHIFT.fullmatch(part) for part in found["places"].split(",")]
    if any(shift is None for shift in shifts):
        return None
    return found["base"], tuple((s["index"], int(s["offset"] or 0)) for s in shifts if s is not None)


def has_place(name: str) -> bool:
    """True if a name stands for a variable at a place."""
    return name.endswith("}")


def shown_place(name: str) -> str:
    """A name as people write it: `x_t` for `x_{t}`, `z_{t-1}` as it is."""
    found = _PLACE.fullmatch(name)
    if found is not None and found["places"].startswith("="):
        return f"{found['base']}_{found['places'][1:]}"
    return f"{found['base']}_{found['places']}" if found is not None and found["places"].isidentifier() else name


def python_name(name: str) -> str:
    """A name for Python: `x` for `x_{t}`, whose tensor has all places, `z_prev` for `z_{t-1}`."""
    return re.sub(r"_\{([^{}]*)\}", lambda found: _suffix(found[1]), name)


def _suffix(places: str) -> str:
    if places.startswith("="):
        return f"_{places[1:]}" if places[1:].isdigit() else "_last"
    if places.startswith("<"):
        return "_past"
    if re.fullmatch(r"1:[a-z]\w*", places):
        return "_upto"
    offsets = [int(s["offset"] or 0) for s in map(_SHIFT.fullmatch, places.split(",")) if s is not None]
    if len(offsets) < len(places.split(",")):
        return "_all"
    return "".join(_SUFFIXES.get(k, f"_{'prev' if k < 0 else 'next'}{abs(k)}") for k in offsets)
