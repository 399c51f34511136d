"""Programs with indices: verified place by place, trained, drawn, and written in one form."""

import inspect
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

import pgcompile as pgc
from pgcompile.diagnostics import DataError, Source
from pgcompile.model.data_spaces import data_names, data_spaces
from pgcompile.pipeline import parse_only
from pgcompile.syntax.format import format_program
from pgcompile.syntax.places import python_name
from pgcompile.training import Settings, Trainer
from pgcompile.vocabulary.spaces import ANY, KINDS
from tests.conftest import compiled

FOLDER = Path(__file__).parent / "programs"
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.pgc"))}


def data_of(program: pgc.Program, rows: int, places: int) -> dict[str, torch.Tensor]:
    """Random rows of every variable that may be data, by the names that they have in Python."""
    generator = torch.Generator().manual_seed(0)
    model, found = program.analysis.model, {}
    for name in data_names(model):
        space = data_spaces(model)[name]
        shape = tuple(places if size == ANY else size for size in space.shape)
        values = torch.rand(rows, *shape, generator=generator)
        if space.kind == "category":
            count = min(space.categories or 0, places if not space.shape else 10)
            found[name] = 1 + (values * (count - 1)).long() if not space.shape else (values * count).long()
        else:
            found[name] = (values < 0.5).float() if KINDS["boolean"].name == space.kind else values
    return found


@pytest.mark.parametrize("name", TEXTS)
def test_it_is_what_the_program_says_place_by_place(name: str) -> None:
    assert [str(check) for check in compiled(TEXTS[name]).verify() if not check.passed] == []


@pytest.mark.parametrize("name", TEXTS)
def test_it_trains_and_draws(name: str) -> None:
    program = compiled(TEXTS[name])
    torch.manual_seed(0)
    model = program.Model()
    data = data_of(program, 6, 4)
    wanted = inspect.signature(model.loss).parameters
    batch = {k: v for k, v in data.items() if k in wanted}
    optimizers = model.optimizers()
    losses = [float(model.train_step(optimizers, **batch)["loss"]) for _ in range(3)]
    assert all(torch.isfinite(torch.tensor(losses)))
    lengths = [k for k in inspect.signature(model.sample).parameters if k not in ("shape", "given")]
    given = {name: data[name][:3] for name in _conditions(program)}
    drawn = model.sample((5, 2), given=given, **dict.fromkeys(lengths, 3))
    spaces = data_spaces(program.analysis.model)
    for variable, value in drawn.items():
        if _is_drawn(program, variable):
            size = [3 for _ in _indices(program, variable)]
            event = spaces[variable].shape[len(size) :]
            assert tuple(value.shape) == (5, 2, *size, *event)


def _conditions(program: pgc.Program) -> list[str]:
    """What the sampler must be given; of the programs here, variables of a row each."""
    assert program.generative is not None
    model = program.analysis.model
    names = [v.name for v in program.generative.parents]
    return [python_name(n) for n in names if n not in model.deterministic and n not in model.indices.lags]


def _is_drawn(program: pgc.Program, variable: str) -> bool:
    assert program.generative is not None
    return variable in {python_name(name) for name in program.generative.target_names}


def _indices(program: pgc.Program, variable: str) -> tuple[str, ...]:
    carried = program.analysis.model.indices.carried
    return next((own for name, own in carried.items() if name.partition("_{")[0] == variable), ())


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("width", [88, 120])
def test_the_emitted_text_is_formatted(name: str, width: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.py"
        path.write_text(compiled(TEXTS[name]).source, encoding="utf-8")
        for command in (["format", "--diff", f"--line-length={width}"], ["check", "--select=E9,F"]):
            done = subprocess.run([sys.executable, "-m", "ruff", *command, str(path)], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", TEXTS)
def test_formatting_keeps_the_program(name: str) -> None:
    source = Source(TEXTS[name], name)
    program = parse_only(source)
    text = format_program(program, source)
    again = Source(text, name)
    assert parse_only(again).statements == program.statements
    assert format_program(parse_only(again), again) == text


@pytest.mark.parametrize("name", ["vrnn", "dmm", "pad", "gru"])
def test_full_graph(name: str) -> None:
    program = compiled(TEXTS[name])
    torch.manual_seed(0)
    model = program.Model()
    data = data_of(program, 3, 3)
    batch = {k: v for k, v in data.items() if k in inspect.signature(model.loss).parameters}
    torch.manual_seed(1)
    eager = model.loss(**batch)
    step = torch.compile(model.loss, fullgraph=True, backend="aot_eager")
    torch.manual_seed(1)
    torch.testing.assert_close(step(**batch), eager)


@pytest.mark.parametrize("name", ["vrnn", "dmm", "pad"])
def test_other_devices_and_precisions(name: str) -> None:
    program = compiled(TEXTS[name])
    data = data_of(program, 3, 3)
    model = program.Model()
    batch = {k: v for k, v in data.items() if k in inspect.signature(model.loss).parameters}
    with torch.autocast("cpu", torch.bfloat16):
        assert model.loss(**batch).isfinite()
    assert model.double().loss(**{k: v.double() if v.is_floating_point() else v for k, v in batch.items()}).isfinite()
    meta = program.Model().to("meta")
    assert meta.loss(**{k: v.to("meta") for k, v in batch.items()}).device.type == "meta"


def test_a_list_of_sequences_is_filled_up() -> None:
    program = compiled(TEXTS["pad"])
    size = program.analysis.model.spaces["x_{t}"].shape[0]
    counts = (3, 5, 1, 4, 2, 6)
    rows = [(torch.rand(n, size) < 0.5).float() for n in counts]
    filled = torch.full((6, 6, size), 0.0)
    for row, to in zip(rows, filled, strict=True):
        to[: len(row)] = row
    ends = []
    for data in ({"x": rows}, {"x": filled, "T": torch.tensor(counts)}):
        torch.manual_seed(0)
        model = program.Model()
        trainer = Trainer(model, Settings(epochs=1, batch_size=3, validation=0.0, seed=1))
        trainer.fit(data)
        ends.append([p.detach().clone() for p in model.parameters()])
        assert trainer.evaluate(data)
    torch.testing.assert_close(*ends)


def test_unequal_sequences_need_an_index_that_says_so() -> None:
    rows = [torch.zeros(n, 12) for n in (3, 5)]
    with pytest.raises(DataError, match=r"x have 3 to 5 places: `index t in 1\.\.T padded`"):
        Trainer(compiled(TEXTS["vrnn"]).Model(), Settings(epochs=1)).fit({"x": rows})
