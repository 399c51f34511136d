"""Exact counts: the emitted module dispatches no more operations than one written by hand."""

from importlib import import_module

import pytest
import torch
from torch import Tensor

import pgcompile as pgc
from benchmarks.counting import dispatches
from benchmarks.hand_losses import HAND
from benchmarks.hand_written import HandWrittenVae, vae_program
from tests.programs import EXAMPLES, ROOT


@pytest.mark.parametrize("nets", [(784, 512, 64), (16, 16, 2)])
def test_the_vae(nets: tuple[int, int, int]) -> None:
    """One more than naively: the logarithm of a scale that may underflow costs eleven, ten are saved elsewhere."""
    model = pgc.compile(vae_program(*nets)).Model()
    hand = HandWrittenVae(*nets)
    hand.load_state_dict(model.state_dict())
    x = (torch.rand(16, nets[0]) > 0.5).float()
    torch.manual_seed(0)
    found = model.loss(x)
    torch.manual_seed(0)
    torch.testing.assert_close(found, hand.loss(x))
    assert dispatches(model, lambda: model.loss(x)) <= dispatches(hand, lambda: hand.loss(x)) + 1


@pytest.mark.parametrize("name", sorted(HAND))
def test_every_example(name: str) -> None:
    """Same value from the same noise, in no more operations, but for a look at the labels' range on the CPU."""
    model = pgc.compile(EXAMPLES[name]).Model().eval()
    image = (torch.rand(16, 64) > 0.5).float()
    values: dict[str, Tensor | float] = {"grey": image} if name == "factor_analysis" else {"x": image}
    if name in ("conditional_vae", "classifier", "mvae"):
        values["y"] = torch.randint(0, 10, (16,))
    inputs = {"beta": 0.5} if name == "beta_vae" else {}
    torch.manual_seed(0)
    found = model.loss(**values, **inputs)
    torch.manual_seed(0)
    torch.testing.assert_close(found, HAND[name](model, **values), rtol=1e-4, atol=1e-4)
    mine = dispatches(model, lambda: model.loss(**values, **inputs))
    looks = 3 if name == "classifier" else 0  # `aminmax`, and the reading of both ends
    assert mine <= dispatches(model, lambda: HAND[name](model, **values)) + looks


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "benchmarks").glob("*.py") if p.stem[0] != "_"))
def test_the_benchmarks_know_the_compiler_as_it_is(name: str) -> None:
    """They are run by hand, so that a name that they miss would be found late."""
    import_module(f"benchmarks.{name}")
