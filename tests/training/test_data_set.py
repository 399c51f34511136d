"""Objectives of the whole data set, `index n in data`: in minibatches, in parts of them, and over processes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor

import pgcompile as pgc
from pgcompile.diagnostics import DataError
from pgcompile.training import Settings, Trainer
from pgcompile.training.rows import epoch_order, shuffled
from tests.conftest import compiled
from tests.programs import ROOT

# mu and w are global and drawn; z_n is integrated in closed form, so that all noise is that of the globals.
HIERARCHICAL = """
index n in data
x_n : real[3]
y_n : real
w : real[3]
mu : real
z_n : real
net enc = Linear(1)
param m : real[3] = [0.3, -0.2, 0.5]
param s : positive[3] = 0.3
param c : real
p(w) = Normal(0, 1)
p(mu) = Normal(0, 5)
p(z_n|mu) = Normal(mu, 1)
p(y_n|z_n, x_n, w) = Normal(z_n + dot(w, x_n), 0.5)
q(w) = Normal(m, s)
q(mu) = Normal(c, 0.2)
q(z_n|x_n, y_n) = Normal(enc(x_n, y_n)[0], 0.4)
elbo = ELBO[p || q]
maximize elbo using SGD(lr = 0.001)
"""
ROWS, BATCH, EPOCHS = 12, 5, 2  # batches of 5, 5 and 2: shares of 3 and 2 rows, and of one each

WORKER = """
import sys
import torch
import pgcompile as pgc
from pgcompile.training import exit_team
from tests.training.test_data_set import BATCH, EPOCHS, HIERARCHICAL, rows, weights
torch.randn_like = lambda like: torch.full_like(like, 0.7)  # the same noise in every process
model = pgc.compile(HIERARCHICAL).Model().double()
model.load_state_dict(weights())
out, accumulate = sys.argv[1:]
trainer = pgc.Trainer(model, batch_size=BATCH, validation=0.0, seed=4, device="cpu", accumulate=int(accumulate))
fitted = trainer.fit(rows(), epochs=EPOCHS)
if trainer.team.leads:
    torch.save({"weights": model.state_dict(), "losses": fitted.training}, out)
exit_team(0)
"""


def rows() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(ROWS, 3, generator=generator)
    return {"x": x, "y": x.sum(-1) + torch.randn(ROWS, generator=generator)}


def weights() -> dict[str, Tensor]:
    torch.manual_seed(5)
    found: dict[str, Tensor] = compiled(HIERARCHICAL).Model().double().state_dict()
    return found


def _minus_elbo(own: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    """By the definition, with torch's densities: the noise of w and mu is 0.7, z is integrated."""
    scale = F.softplus(own["free_s"])
    w, mu = own["m"] + 0.7 * scale, own["c"] + 0.7 * 0.2
    q_z = D.Normal((torch.cat((x, y.unsqueeze(-1)), -1) @ own["enc.weight"].T + own["enc.bias"])[:, 0], 0.4)
    # E_{q(z)} of a Gaussian log-density is that at the mean, less half the variance over that of the density.
    scored = D.Normal(q_z.loc + x @ w, 0.5).log_prob(y) - 0.5 * (0.4 / 0.5) ** 2
    local = (scored - D.kl_divergence(q_z, D.Normal(mu, 1.0))).sum()
    shared = D.kl_divergence(D.Normal(own["m"], scale), D.Normal(torch.zeros_like(scale), 1.0)).sum()
    shared = shared + D.kl_divergence(D.Normal(own["c"], 0.2), D.Normal(torch.zeros_like(mu), 5.0))
    return -(ROWS / len(y) * local - shared)


def _by_hand() -> tuple[dict[str, Tensor], list[float]]:
    own = {name: value.clone().requires_grad_() for name, value in weights().items()}
    data = {name: value.double() for name, value in rows().items()}
    index, losses = shuffled(ROWS, torch.Generator().manual_seed(4)), []
    for epoch in range(EPOCHS):
        total = 0.0
        for chunk in epoch_order(index, epoch, 4).split(BATCH):
            loss = _minus_elbo(own, data["x"][chunk], data["y"][chunk])
            total += float(loss.detach()) * len(chunk)
            slopes = torch.autograd.grad(loss, list(own.values()))
            with torch.no_grad():
                for value, slope in zip(own.values(), slopes, strict=True):
                    value -= 0.001 * slope
        losses.append(total / ROWS)
    return {name: value.detach() for name, value in own.items()}, losses


@pytest.mark.parametrize(("processes", "accumulate"), [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)])
def test_parts_and_processes_give_the_gradient_of_the_joined_batch(
    processes: int, accumulate: int, tmp_path: Path
) -> None:
    """N is that of all rows, what is shared counts once, and a last smaller batch stands for them all too."""
    script, out = tmp_path / "worker.py", tmp_path / "out.pt"
    script.write_text(WORKER)
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [*launch, str(script), str(out), str(accumulate)]
    run = subprocess.run(command, capture_output=True, cwd=ROOT, timeout=240, check=False)
    assert run.returncode == 0, run.stderr.decode()[-3000:]
    found, (expected, losses) = torch.load(out, weights_only=True), _by_hand()
    assert found["losses"] == pytest.approx(losses, rel=1e-6)
    for name, value in expected.items():
        torch.testing.assert_close(found["weights"][name], value, rtol=1e-9, atol=1e-11, msg=name)


def test_the_number_of_data_points_is_that_of_the_data_at_hand() -> None:
    """A second fit, an evaluation and a step count their own rows; the settings may say another number."""
    program = compiled(HIERARCHICAL)
    data = rows()
    first = {name: value[:6] for name, value in data.items()}
    trainer = Trainer(program.Model(), Settings(epochs=1, validation=0.0, device="cpu"))
    with torch.no_grad():
        trainer.model.free_s.fill_(-40.0)  # w is its mean
    for given in (data, first):
        torch.manual_seed(3)
        found = trainer.evaluate(given)["elbo"]
        torch.manual_seed(3)
        assert found == pytest.approx(trainer.model.elbo(**given).item(), rel=1e-5)
    trainer.fit(data)
    assert trainer.state.inputs["N"] == ROWS
    trainer.fit(first)
    assert trainer.state.inputs["N"] == 6
    torch.manual_seed(3)
    found = trainer.evaluate(data)["elbo"]
    torch.manual_seed(3)
    assert found == pytest.approx(trainer.model.elbo(**data).item(), rel=1e-5)
    said = Trainer(program.Model(), Settings(epochs=1, validation=0.0, device="cpu", inputs={"N": 50}))
    said.fit(data)
    assert said.state.inputs["N"] == 50
    assert set(Trainer(program.Model(), Settings(device="cpu")).step(**data)) == {"loss"}


def test_the_rows_held_out_stand_for_the_data_that_is_trained_on() -> None:
    """The validation loss is comparable with the training loss: sums over rows are scaled, divergences are not."""
    x = torch.ones(40, 1)
    program = compiled(
        "index n in data\nx_n : real[1]\nparam m : real[1] = 1\nparam t : real = 1\nw : real\nq(w) = Normal(t, 1)\n"
        "p(w) = Normal(0, 1)\np(x_n) = Normal(m, 1)\nfit = sum_n log p(x_n) - KL[q(w) || p(w)]\n"
        "maximize fit using SGD(lr = 0)"
    )
    trainer = Trainer(program.Model(), Settings(epochs=1, batch_size=7, validation=0.25, device="cpu"))
    fitted = trainer.fit({"x": x})
    expected = -(30 * float(D.Normal(1.0, 1.0).log_prob(torch.tensor(1.0))) - 0.5)
    assert fitted.training == pytest.approx([expected], rel=1e-5)
    assert fitted.validation == pytest.approx([expected], rel=1e-5)


@pytest.mark.parametrize(
    "formula", ["IWAE[p || q; samples=4]", "exp(sum_n log p(y_n|w) / 9)", "(sum_n log p(y_n|w))^2"]
)
def test_a_function_of_a_sum_over_the_data_is_not_taken_in_parts(formula: str) -> None:
    text = (
        "index n in data\ny_n : real\nw : real\nparam m : real\np(w) = Normal(0, 1)\np(y_n|w) = Normal(w, 1)\n"
        "q(w) = Normal(m, 1)\nbound = FORMULA\nmaximize bound"
    )
    if "w)" in formula:
        text = text.replace("FORMULA", f"E_{{q(w)}}[{formula}]")
    program = pgc.compile(text.replace("FORMULA", formula))
    assert program.whole_data == "bound"
    Trainer(program.Model(), batch_size=8, device="cpu")
    with pytest.raises(DataError, match=r"bound is a function of a sum over the data, .* leave out accumulate"):
        Trainer(program.Model(), batch_size=8, accumulate=2, device="cpu")


@pytest.mark.parametrize("name", ["bayesian_net", "eight_schools", "topics", "vrnn"])
def test_sums_over_the_data_are_taken_in_parts(name: str) -> None:
    assert pgc.compile(ROOT / "examples" / "sequences" / f"{name}.pgc").whole_data is None


def test_a_run_over_data_points_goes_on_bit_for_bit(tmp_path: Path) -> None:
    program = pgc.compile(ROOT / "examples" / "sequences" / "eight_schools.pgc")
    generator = torch.Generator().manual_seed(0)
    data = {"y": 10 * torch.randn(20, generator=generator), "s": 5 + torch.rand(20, generator=generator)}

    def trained(epochs: tuple[int, ...], out: Path) -> dict[str, Tensor]:
        for number, count in enumerate(epochs):
            torch.manual_seed(9)
            trainer = Trainer(program.Model(), Settings(batch_size=6, accumulate=2, device="cpu"))
            trainer.fit(data, epochs=count, out=out, resume=number > 0)
        found: dict[str, Tensor] = trainer.model.state_dict()
        return found

    whole, parts = trained((5,), tmp_path / "whole"), trained((2, 5), tmp_path / "parts")
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())
