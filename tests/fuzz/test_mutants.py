"""The faults that `python -m tests.fuzz.mutants` puts into the compiler still have their places."""

from pathlib import Path

import pytest

import pgcompile
from tests.fuzz.mutants import MUTANTS

ROOT = Path(pgcompile.__file__).parent


@pytest.mark.parametrize("mutant", MUTANTS, ids=[m.what for m in MUTANTS])
def test_a_mutant_has_its_target(mutant) -> None:  # type: ignore[no-untyped-def]
    assert (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.right) == 1
    assert mutant.right != mutant.wrong
