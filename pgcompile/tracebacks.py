"""The formula and the user's line behind an error that was raised in an emitted method."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType, TracebackType
from typing import TYPE_CHECKING, Any

from pgcompile.diagnostics.render import render_place

if TYPE_CHECKING:
    from pgcompile.backends.source_map import SourceMap
    from pgcompile.plan.origin import Origin

MAP_NAME = "__pgcompile_source_map__"
"""The global of a class made in memory that holds the source map of its text."""


def explain_error(error: BaseException, source_map: SourceMap | None = None) -> str | None:
    """The place of the program that an error in an emitted method comes from.

    Args:
        error: an exception with its traceback.
        source_map: the map of an emitted file that was imported; a class made by `Program.Model` brings its own.

    Returns:
        The formula, its line of the program and carets under it; None where no emitted line takes part, or where the
        line comes from no place of the program.

    Examples:
        >>> import pgcompile as pgc, torch
        >>> program = pgc.compile("x, z : real[3]\\nnet f = Linear(3)\\np(x|z) = Normal(f(z), 1)\\nfit = log p(x|z)")
        >>> model = program.Model()
        >>> model.f = torch.nn.Linear(4, 3)  # of the wrong size
        >>> try:
        ...     model.fit(x=torch.zeros(3), z=torch.zeros(3))
        ... except RuntimeError as error:
        ...     print(explain_error(error))
        in p(x|z), in log p(x|z), in fit
         --> <program>:3:1
          |
        3 | p(x|z) = Normal(f(z), 1)
          | ^^^^^^
    """
    frame = error.__traceback__
    found: tuple[SourceMap, tuple[Origin, ...]] | None = None
    while frame is not None:
        known = frame.tb_frame.f_globals.get(MAP_NAME) or (source_map if _is_emitted(frame) else None)
        if known is not None and known.at(frame.tb_lineno):
            found = known, known.at(frame.tb_lineno)
        frame = frame.tb_next
    if found is None:
        return None
    known, (nearest, *around) = found
    within = "".join(f", in {origin.label}" for origin in around)
    return f"in {nearest.label}{within}\n{render_place(known.program, nearest.span)}"


def _is_emitted(frame: TracebackType) -> bool:
    """True if a frame runs in a file that says on its first lines that it was compiled."""
    return "compiled by pgcompile" in str(frame.tb_frame.f_globals.get("__doc__") or "")


class explained:
    """A context in which an error that passes gets a note with the place of the program it comes from."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            place = explain_error(error)
            if place is not None and place not in getattr(error, "__notes__", ()):
                error.add_note(place)


def explain_errors_of(model: type[Any]) -> None:
    """Let every method of an emitted class add that note to its errors.

    Only for debug modules, which watch every value and so wait for the device in any case: other classes keep their
    methods as they were emitted, for `torch.compile` and `torch.export`.
    """
    for name, method in list(vars(model).items()):
        if isinstance(method, FunctionType) and name != "__init__":
            setattr(model, name, _explained(method))


def _explained(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        with explained():
            return method(*args, **kwargs)

    return call
