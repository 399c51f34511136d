"""One code of the catalogue."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One code.

    Args:
        code: such as `PGC203`.
        title: what is wrong, in a few words.
        wrong: a program that gets this code and no other error or warning.
        right: the mended program, which gets neither.
        compiled: whether the code is found while compiling rather than while checking.
    """

    code: str
    title: str
    wrong: str
    right: str
    compiled: bool = False
