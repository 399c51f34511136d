"""Every notebook of Pixyz that needs no index, and what its users write, as programs: they verify, train and draw."""

from pathlib import Path

import pytest
import torch

import pgcompile as pgc
from pgcompile.training import Settings, Trainer
from pgcompile.vocabulary.spaces import Space

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.pgc"))
NOTHING_TO_TRAIN = {"tut2"}
"""Programs of tutorials without a line to train."""


def rows(space: Space, count: int, generator: torch.Generator) -> torch.Tensor:
    """Random data in a space."""
    shape = (count, *space.shape)
    match space.kind:
        case "category":
            return torch.randint(0, space.categories or 2, shape, generator=generator)
        case "one_hot":
            index = torch.randint(0, shape[-1], shape[:-1], generator=generator)
            return torch.nn.functional.one_hot(index, shape[-1]).float()
        case "boolean":
            return torch.randint(0, 2, shape, generator=generator).float()
        case "nonnegative_integer":
            return torch.randint(0, 16, shape, generator=generator).float()
        case "unit_interval":
            return torch.rand(shape, generator=generator)
        case "positive":
            return 0.1 + torch.rand(shape, generator=generator)
        case _:
            return torch.randn(shape, generator=generator)


@pytest.mark.parametrize("name", NAMES)
def test_a_program_verifies(name: str) -> None:
    program = pgc.compile(FOLDER / f"{name}.pgc")
    assert [str(check) for check in program.verify(runs=60) if not check.passed] == []


@pytest.mark.parametrize("name", [n for n in NAMES if n not in NOTHING_TO_TRAIN])
def test_a_program_trains_and_draws(name: str) -> None:
    program = pgc.compile(FOLDER / f"{name}.pgc")
    generator = torch.Generator().manual_seed(0)
    spaces = program.analysis.model.spaces
    data = {n: rows(spaces[n], 24, generator) for n in program.analysis.model.variables if n in spaces}
    inputs = {t.name: 0.5 for t in program.analysis.model.tensors.values() if t.kind == "input"}
    ramps = program.analysis.model.ramps
    chosen = {n: v for n, v in inputs.items() if n not in ramps}
    trainer = Trainer(program.Model(), Settings(batch_size=12, seed=0, validation=0.0, inputs=chosen))
    fitted = trainer.fit(data, epochs=2)
    assert len(fitted.training) == 2
    assert all(torch.isfinite(torch.tensor(loss)) for loss in fitted.training)
    part = program.generative
    if part is not None and hasattr(trainer.model, "sample"):
        given = {name: data[name][:3] for name in part.parent_names}
        drawn = trainer.model.eval().sample(() if given else (3,), given)
        assert all(value.shape[0] == 3 for value in drawn.values())
