"""Loops over places that are compiled some at a time have the values and gradients of the loop."""

import copy

import pytest
import torch

from pgcompile.training import Settings, Trainer, compiling
from tests.conftest import compiled
from tests.sequences.test_programs import TEXTS


@pytest.mark.parametrize("places", [3, 20])
def test_a_loop_in_parts_is_the_loop(places: int) -> None:
    torch.manual_seed(0)
    model = compiled(TEXTS["vrnn"]).Model()
    loss = compiling.compiled_losses(model, {"loss": model.loss}, "default")["loss"]
    x = (torch.rand(4, places, 12) < 0.4).float()
    found, slopes = [], []
    for compute in (model.loss, loss):
        torch.manual_seed(1)
        value = compute(x=x)
        value.backward()
        found.append(value.detach())
        slopes.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
        model.zero_grad()
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(slopes[0], slopes[1])


def test_a_copy_of_the_model_keeps_its_own_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    model = compiled(TEXTS["vrnn"]).Model()
    loss = compiling.compiled_losses(model, {"loss": model.loss}, "default")["loss"]
    x = (torch.rand(4, 18, 12) < 0.4).float()
    loss(x=x)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    torch.manual_seed(0)
    before = other.loss(x=x)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    torch.manual_seed(0)
    torch.testing.assert_close(other.loss(x=x), before)


def test_a_sequence_trains_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    x = (torch.rand(16, 18, 12) < 0.4).float()
    ends = []
    for compile in (None, "default"):
        torch.manual_seed(0)
        model = compiled(TEXTS["vrnn"]).Model()
        Trainer(model, Settings(epochs=2, batch_size=8, compile=compile, seed=1, ema=0.9)).fit({"x": x})
        ends.append([p.detach().clone() for p in model.parameters()])
    torch.testing.assert_close(*ends)
