"""The examples with indices train on the data that ships, and what they learn is what is there."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import pgcompile as pgc
from pgcompile.cli import main
from tests.conftest import compiled
from tests.programs import ROOT

FOLDER = ROOT / "examples" / "sequences"
DATA = ROOT / "examples" / "data"
# A few epochs, and a loss that a model which learned nothing of the sequence does not reach: the entropy of independent
# pixels, or of letters.
REACHES = {
    "vrnn": ("rows", 3, 29.0),
    "deep_markov": ("rows", 3, 33.0),
    "characters": ("characters", 15, 2.65),
    "transformer": ("characters", 10, 2.75),
}


def test_every_example_is_listed() -> None:
    listed = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    for path in FOLDER.glob("*.pgc"):
        assert f"(sequences/{path.name})" in listed


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.pgc")))
def test_it_is_clean_and_verified(name: str) -> None:
    text = (FOLDER / f"{name}.pgc").read_text(encoding="utf-8")
    assert [d.code for d in pgc.check(text) if d.code[0] in "PW"] == []
    assert [str(check) for check in compiled(text).verify() if not check.passed] == []


@pytest.mark.parametrize("name", REACHES)
def test_it_learns(name: str) -> None:
    file, epochs, bound = REACHES[name]
    torch.manual_seed(0)
    model = pgc.compile(FOLDER / f"{name}.pgc").Model()
    x = np.load(DATA / f"{file}.npz")["x"]
    pgc.Trainer(model, epochs=epochs, validation=0.0).fit({"x": x}, progress=False)
    with torch.no_grad():
        assert (
            float(model.loss(x=torch.as_tensor(x).long() if file == "characters" else torch.as_tensor(x).float()))
            < bound
        )


def test_the_schools_have_the_published_mean() -> None:
    """Gelman et al. (2013), section 5.5: a common mean of about 8 less shrinkage, here 4.4 with a spread of 3.3."""
    torch.manual_seed(0)
    model = pgc.compile(FOLDER / "eight_schools.pgc").Model()
    with np.load(DATA / "schools.npz") as data:
        rows = dict(data)
    pgc.Trainer(model, epochs=1500, validation=0.0).fit(rows, progress=False)
    assert abs(float(model.m_mu) - 4.4) < 1.0
    assert abs(float(torch.nn.functional.softplus(model.free_d_mu)) - 3.3) < 0.8


def test_the_topics_are_the_bars_that_the_documents_are_made_of() -> None:
    """Griffiths & Steyvers (2004), section 3: ten topics, each a row or a column of a grid of words."""
    torch.manual_seed(0)
    model = pgc.compile(FOLDER / "topics.pgc").Model()
    pgc.Trainer(model, epochs=100, validation=0.0).fit({"w": np.load(DATA / "bars.npz")["w"]}, progress=False)
    grid = torch.eye(5)
    bars = torch.cat([torch.stack([row.reshape(shape).expand(5, 5) for row in grid]) for shape in ((5, 1), (1, 5))])
    shares = model.get("topics").detach() @ bars.reshape(10, 25).T
    assert int((shares.max(0).values > 0.75).sum()) >= 8


def test_ratings_that_nobody_gave_are_foretold() -> None:
    """The data are products of three numbers a user and an item, seen with noise of 0.3; others spread by 1.8."""
    torch.manual_seed(0)
    model = pgc.compile(FOLDER / "ratings.pgc").Model()
    with np.load(DATA / "ratings.npz") as data:
        rows = dict(data)
    whole = torch.as_tensor(rows.pop("whole")[0])
    unknown = torch.as_tensor(rows["r"][0]).isnan()
    pgc.Trainer(model, epochs=1000, validation=0.0).fit(rows, progress=False)
    errors = (model.a_loc @ model.b_loc.T - whole)[unknown]
    assert float(errors.detach().square().mean().sqrt()) < 0.4


def test_a_tracked_pendulum_is_nearer_than_it_is_seen() -> None:
    """Seen with noise of 0.2 at each place; the first ten places are those of finding its speed."""
    torch.manual_seed(0)
    model = pgc.compile(FOLDER / "tracking.pgc").Model()
    with np.load(DATA / "track.npz") as data:
        x, truth = (torch.as_tensor(data[name].astype("float32")) for name in ("x", "truth"))
    pgc.Trainer(model, epochs=60, batch_size=20, validation=0.0).fit({"x": x[:160].numpy()}, progress=False)
    z, tracked = model.factor("q(z_1|x_1)")(x=x[160:, 0]).mean, []
    with torch.no_grad():
        for t in range(1, 40):
            z = model.factor("q(z_t|z_{t-1},x_t)")(z_prev=z, x=x[160:, t]).mean
            tracked.append(model.see(z))
    errors = torch.stack(tracked, 1)[:, 9:] - truth[160:, 10:]
    assert float(errors.square().mean().sqrt()) < 0.15


@pytest.mark.parametrize("name", ["ratings", "tracking"])
def test_the_command_trains_it(name: str, tmp_path: Path) -> None:
    file = {"ratings": "ratings", "tracking": "track"}[name]
    given = ["--data", str(DATA / f"{file}.npz"), "--validation", "0", "--epochs", "1", "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(main, ["train", str(FOLDER / f"{name}.pgc"), *given])
    assert done.exit_code == 0, done.output


def test_files_are_where_the_examples_say(tmp_path: Path) -> None:
    for path in FOLDER.glob("*.pgc"):
        text = path.read_text(encoding="utf-8")
        named = [word for word in text.split() if word.startswith("examples/data/")]
        assert named
        assert all((ROOT / name).is_file() for name in named)
