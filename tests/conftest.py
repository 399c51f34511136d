"""Shared by all tests: golden files and their promotion, a compiler that keeps what it compiled."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

import pgcompile as pgc
from pgcompile.program import Program

# Tests run side by side already: threads inside each would fight for the same cores.
torch.set_num_threads(1)

GOLDEN = Path(__file__).parent / "golden"
collect_ignore = ["golden"]  # emitted modules are compared as text


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--promote", action="store_true", help="accept what the tests found as the new golden files")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with a golden file; `--promote` writes it."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--promote"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"no golden file {name}: run `pytest --promote` and review it"
        assert text == path.read_text(encoding="utf-8")

    return compare


@cache
def compiled(text: str) -> Program:
    """A program, compiled once for all tests of a run."""
    return pgc.compile(text)
