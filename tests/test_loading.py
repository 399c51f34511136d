"""The class of a compiled program under torch's compiler, in pickles, copies and other processes."""

import copy
import gc
import io
import pickle
import sys
from collections.abc import Callable

import pytest
import torch
import torch.multiprocessing as mp
from torch import nn

import pgcompile as pgc

TEXT = (
    "const D = 3\nx : real[D]\nnet f = Linear(D)\nparam m : real[D]\np(x) = Normal(f(m), 1)\nl = log p(x)\nmaximize l\n"
)


def test_a_function_that_calls_a_loss_compiles_in_one_graph() -> None:
    model = pgc.compile(TEXT).Model()
    step = torch.compile(lambda x: model.loss(x=x), fullgraph=True, backend="aot_eager")
    x = torch.randn(5, 3)
    torch.testing.assert_close(step(x), model.loss(x=x))


def _saved(model: nn.Module) -> nn.Module:
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    found: nn.Module = torch.load(buffer, weights_only=False)
    return found


@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), _saved])  # noqa: S301
def test_a_copy_computes_the_same_with_weights_of_its_own(again: Callable[[nn.Module], nn.Module]) -> None:
    model = pgc.compile(TEXT).Model()
    other = again(model)
    x = torch.randn(5, 3)
    torch.testing.assert_close(other.l(x=x), model.l(x=x))
    with torch.no_grad():
        other.m.add_(1.0)
    assert (model.m == 0).all()
    assert type(other) is type(model)


def _loss(model: nn.Module, x: torch.Tensor, found: "mp.Queue[float]") -> None:
    found.put(float(model.loss(x=x).detach()))


def test_another_process_compiles_the_program_again() -> None:
    model = pgc.compile(TEXT, constants={"D": 2}).Model()
    x = torch.randn(5, 2)
    context = mp.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_loss, args=(pickle.loads(pickle.dumps(model)), x, queue))  # noqa: S301
    process.start()
    found = queue.get(timeout=120)
    process.join()
    assert found == pytest.approx(float(model.loss(x=x).detach()))


def test_a_class_that_nobody_holds_leaves_no_module() -> None:
    before = {name for name in sys.modules if name.startswith("pgcompile.emitted.")}
    program = pgc.compile(TEXT)
    program.Model()
    (mine,) = {name for name in sys.modules if name.startswith("pgcompile.emitted.")} - before
    del program
    gc.collect()
    pgc.compile(TEXT).Model()
    assert mine not in sys.modules
