"""Random networks of finite and Gaussian variables; `python -m tests.fuzz.networks 0 10000` checks many more."""

import warnings

import pytest

from tests.fuzz.networks import check_network


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_networks_agree_with_enumeration_and_gaussian_algebra(first: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        faults = {seed: fault for seed in range(first, first + 10) if (fault := check_network(seed)) is not None}
    assert not {seed: fault for seed, fault in faults.items() if fault != "refused"}
