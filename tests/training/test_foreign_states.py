"""State files that are well formed and of another make: taken where all fits, refused by name where not."""

import copy
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import pgcompile as pgc
from pgcompile.training import DataError, Settings, fit

PROGRAM = """
x : real[3]
z : real[2]
net e = Linear(2)
net d = Linear(3)
p(z) = Normal(0, 1)
p(x|z) = Normal(d(z), 1)
q(z|x) = Normal(e(x), 1)
elbo = ELBO[p || q]
maximize elbo using Adam(lr = 1e-3, schedule = plateau, ema = 0.9)
"""
DATA = {"x": np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)}
VALUES: list[Any] = [None, "a", -3, 1e400, True, [], {}, [[1]], {"__tensor__": "nowhere"}]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two passes."""
    out = tmp_path_factory.mktemp("runs") / "sound"
    fit(pgc.compile(PROGRAM), DATA, out, Settings(epochs=2, batch_size=16, device="cpu"))
    return out


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in nested lists and dicts."""
    if path:
        yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, (*path, key))


def go_on(sound: Path, to: Path, tensors: dict[str, torch.Tensor], run: Any) -> str | None:
    """What is said where the run cannot go on; None where it does."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(sound, to)
    save_file(tensors, to / "state.safetensors", metadata={"format": "pt", "run": json.dumps(run)})
    try:
        fit(pgc.compile(PROGRAM), DATA, to, Settings(epochs=3, batch_size=16, device="cpu"), resume=True)
    except DataError as error:
        return str(error)
    return None


def read(sound: Path) -> tuple[dict[str, torch.Tensor], Any]:
    with safe_open(str(sound / "state.safetensors"), framework="pt") as file:
        return {k: file.get_tensor(k) for k in file.keys()}, json.loads(file.metadata()["run"])  # noqa: SIM118


def test_the_sound_one_goes_on(sound: Path, tmp_path: Path) -> None:
    assert go_on(sound, tmp_path / "run", *read(sound)) is None


@pytest.mark.parametrize("seed", range(60))
def test_something_else_in_a_place(seed: int, sound: Path, tmp_path: Path) -> None:
    pick = random.Random(seed)
    tensors, run = read(sound)
    changed = copy.deepcopy(run)
    *above, last = pick.choice(list(places(run)))
    inside = changed
    for key in above:
        inside = inside[key]
    if pick.random() < 0.2:
        del inside[last]
    else:
        inside[last] = pick.choice(VALUES)
    said = go_on(sound, tmp_path / "run", tensors, changed)
    assert said is None or "state" in said or "the run" in said or "not finite" in said


@pytest.mark.parametrize("seed", range(20))
def test_another_tensor_in_a_place(seed: int, sound: Path, tmp_path: Path) -> None:
    pick = random.Random(seed)
    tensors, run = read(sound)
    name = pick.choice(sorted(tensors))
    change = pick.choice(
        [lambda v: v.reshape(-1), lambda v: v[None], lambda v: v.double() * torch.nan, lambda v: v[:0]]
    )
    tensors[name] = change(tensors[name].reshape(-1) if not tensors[name].dim() else tensors[name]).contiguous()
    said = go_on(sound, tmp_path / "run", tensors, run)
    assert said is None or "state" in said or "not finite" in said
