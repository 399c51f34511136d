"""Random programs against the reference interpreter: a short run; `make fuzz` is the long one."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pgcompile as pgc
from tests.fuzz.check import check_damage, check_program, check_soup
from tests.fuzz.programs import ProgramMaker, random_program

# Programs that showed faults once, each with its story in its first line.
REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.pgc"))


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pgc.ProgramWarning)
        yield


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_a_program_that_failed_once(path: Path) -> None:
    assert check_program(path.read_text(encoding="utf-8"), 0, full=True) == []


@pytest.mark.parametrize("seed", range(2000, 2016))
def test_a_random_program(seed: int) -> None:
    assert check_program(random_program(seed), seed, full=True) == []


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_random_programs_are_valid(random: Random) -> None:
    errors = [d for d in pgc.check(ProgramMaker(random).make()) if d.code.startswith("PGC")]
    assert errors == []


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_a_damaged_program_is_refused_at_the_damage(seed: int) -> None:
    assert check_damage(seed) == []


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_soup_is_answered_with_diagnostics(seed: int) -> None:
    assert check_soup(seed) == []
