"""Ctrl-C and SIGTERM while training: the step is finished, the run is saved, then it ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """Training was asked to stop, and has saved what it had.

    Args:
        number: of the signal.
        where: what was saved, for people.
    """

    def __init__(self, number: int, where: str) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}: {where}")
        self.number = number


@dataclass
class Request:
    """The signal that came, if one did."""

    number: int | None = None


@contextmanager
def interrupts() -> Iterator[Request]:
    """Note signals instead of dying of them; a second Ctrl-C ends at once. Only the main thread hears signals."""
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        if request.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.number = number

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
