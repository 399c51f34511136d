"""Random programs against the reference interpreter: a short run; `make fuzz` is the long one."""

import warnings
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pgcompile as pgc
from pgcompile.diagnostics import CompileError
from tests.fuzz.check import check_program
from tests.fuzz.programs import ProgramMaker, random_program

# Seeds whose programs showed faults once.
REGRESSIONS = [1, 10, 16, 18, 23]


@pytest.mark.parametrize("seed", [*REGRESSIONS, *range(2000, 2012)])
def test_a_random_program(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pgc.ProgramWarning)
        assert check_program(random_program(seed), seed, full=True) == []


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_random_programs_are_valid(random: Random) -> None:
    errors = [d for d in pgc.check(ProgramMaker(random).make()) if d.code.startswith("PGC")]
    assert errors == []


def damaged(text: str, random: Random) -> tuple[str, str]:
    """A valid program with one thing broken, and what was broken."""
    lines = text.splitlines()
    factors = [i for i, line in enumerate(lines) if line.startswith(("p(", "q("))]
    spaces = [i for i, line in enumerate(lines) if line[:2] in ("x_", "z_")]
    at = random.choice(factors)
    match random.choice(["drop", "rename", "swap", "duplicate"]):
        case "drop":
            prior = next(i for i in factors if lines[i].startswith("p(z_"))
            del lines[prior]
            return "\n".join(lines), "drop"
        case "rename":
            lines[at] = lines[at].replace("(", "(un", 1)
            return "\n".join(lines), "rename"
        case "swap":
            index = random.choice(spaces)
            lines[index] = lines[index].split(":")[0] + ": one_hot[7]"
            return "\n".join(lines), "swap"
        case _:
            lines.append(lines[at])
            return "\n".join(lines), "duplicate"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_a_damaged_program_is_refused(random: Random) -> None:
    """Dropped, renamed, swapped or doubled: an error, and never another exception."""
    text, what = damaged(ProgramMaker(random).make(), random)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pgc.ProgramWarning)
        try:
            pgc.compile(text)
        except CompileError as error:
            assert error.diagnostics, what
            return
    # Without its prior a latent can still be drawn by q and scored by what is left.
    assert what in ("drop", "swap", "rename"), f"a program with a {what} was accepted"
