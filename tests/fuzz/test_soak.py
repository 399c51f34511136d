"""The short form of `make soak`."""

import warnings

import pytest

from tests.fuzz import soak
from tests.fuzz.files import check_file


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_damaged_data_files(first: int) -> None:
    assert {seed: faults for seed in (50121, *range(first, first + 50)) if (faults := check_file(seed))} == {}


def test_every_kind_in_turn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tallies = soak.soak(0.02, first=1)
    assert {name: tally.faults for name, tally in tallies.items() if tally.faults} == {}
    assert all(tally.tried for tally in tallies.values())
    assert soak.memory() < soak.MOST_MEMORY
