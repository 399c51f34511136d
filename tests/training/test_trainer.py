"""Training: the numbers it gives, runs that are cut off, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import pgcompile as pgc
from pgcompile.training import DataError, Interrupted, Settings, Trainer, checkpoint, epochs, updates
from pgcompile.training.packing import pack, unpack
from pgcompile.training.updates import take_step, update
from tests.programs import ROOT

# No noise: a mixture of points whose gradient is known in closed form.
LINE = """
x : real[2]
y : real
param w : real[2]
param b : real
p(y|x) = Normal(sum(w * x) + b, 1)
fit = log p(y|x)
maximize fit using {using}
"""
VAE = """
x : boolean[16]
z : real[3]
net enc = Linear(8) >> ReLU
net loc = Linear(3)
net scale = Linear(3) >> Softplus
net dec = Linear(16)
p(z) = Normal(0, 1)
p(x|z) = Bernoulli(logits = dec(z))
q(z|x) = Normal(loc(h), scale(h)) where h = enc(x)
elbo = E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]
maximize elbo using Adam(lr = 1e-2)
"""


def rows(number: int = 96) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(number, 2, generator=generator)
    return {"x": x, "y": x @ torch.tensor([2.0, -1.0]) + 0.5 + 0.1 * torch.randn(number, generator=generator)}


def bits(number: int = 200) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {"x": (torch.rand(number, 16, generator=generator) < 0.4).float()}


def line(using: str = "SGD(lr = 0.1)", **settings: Any) -> Trainer:
    torch.manual_seed(0)
    return Trainer(pgc.compile(LINE.format(using=using)).Model(), device="cpu", **settings)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def by_hand(data: dict[str, torch.Tensor], w: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradient of the mean squared error over two."""
    error = data["x"] @ w + b - data["y"]
    return (error[:, None] * data["x"]).mean(0), error.mean()


def test_least_squares_are_found() -> None:
    data = rows()
    trainer = line(validation=0.0, batch_size=96)
    fitted = trainer.fit(data, epochs=400)
    design = torch.cat((data["x"], torch.ones(len(data["x"]), 1)), 1).double()
    solved = torch.linalg.lstsq(design, data["y"].double().unsqueeze(-1)).solution.squeeze(-1)
    found = torch.cat((trainer.model.w, trainer.model.b.reshape(1))).double()
    assert torch.allclose(found, solved, atol=1e-5)
    assert fitted.training[-1] < fitted.training[0]


@pytest.mark.parametrize("accumulate", [1, 3, 7])
def test_a_step_is_the_gradient_of_the_whole_batch(accumulate: int) -> None:
    data = {name: value[:21] for name, value in rows().items()}
    trainer = line(accumulate=accumulate)
    with torch.no_grad():
        trainer.model.w.copy_(torch.tensor([0.3, -0.7]))
        trainer.model.b.fill_(0.2)
    slope_w, slope_b = by_hand(data, torch.tensor([0.3, -0.7]), torch.tensor(0.2))
    trainer.step(**data)
    assert torch.allclose(trainer.model.w, torch.tensor([0.3, -0.7]) - 0.1 * slope_w, atol=1e-6)
    assert torch.allclose(trainer.model.b, 0.2 - 0.1 * slope_b, atol=1e-6)


def test_gradients_are_clipped_by_norm_and_by_value() -> None:
    data = rows()
    slope_w, slope_b = by_hand(data, torch.zeros(2), torch.tensor(0.0))
    whole = torch.cat((slope_w, slope_b.reshape(1)))
    trainer = line("SGD(lr = 1, clip_norm = 0.5)")
    trainer.step(**data)
    assert torch.allclose(-trainer.model.w, (whole * 0.5 / whole.norm())[:2], atol=1e-5)
    trainer = line("SGD(lr = 1, clip_value = 0.25)")
    trainer.step(**data)
    assert torch.allclose(-trainer.model.w, slope_w.clamp(-0.25, 0.25), atol=1e-6)
    trainer = line("SGD(lr = 1, clamp = 0.125)")
    trainer.step(**data)
    assert torch.allclose(trainer.model.w, (-slope_w).clamp(-0.125, 0.125), atol=1e-6)


def test_the_emitted_step_does_what_the_trainer_does() -> None:
    using = "Adam(lr = 0.05, clip_norm = 1, schedule = cosine, warmup = 2, steps = 9)"
    data = rows()
    trainer = line(using, validation=0.0, batch_size=96)
    trainer.fit(data, epochs=7)
    torch.manual_seed(0)
    model = pgc.compile(LINE.format(using=using)).Model()
    made = model.optimizers()
    schedules = model.schedules(made, steps=7)
    for _ in range(7):
        model.train_step(made, **data)
        for schedule in schedules:
            schedule.step()
    for name, value in model.state_dict().items():
        assert torch.allclose(value, trainer.model.state_dict()[name], atol=1e-6), name


def test_schedules_are_what_they_say() -> None:
    model = pgc.compile(LINE.format(using="SGD(lr = 1, schedule = cosine, warmup = 3, steps = 13)")).Model()
    made = model.optimizers()
    (schedule,) = model.schedules(made, steps=99)
    seen = []
    for _ in range(15):
        seen.append(made[0].param_groups[0]["lr"])
        made[0].step()
        schedule.step()
    expected = [0.25, 0.5, 0.75] + [(1 + np.cos(np.pi * min(k / 10, 1))) / 2 for k in range(12)]
    assert np.allclose(seen, expected)


def test_an_input_is_driven() -> None:
    text = VAE.replace("- KL", "- beta KL").replace("maximize", "input beta : real = linear(0, 2, 8)\nmaximize")
    model = pgc.compile(text).Model()
    assert [model.inputs_at(step)["beta"] for step in (0, 2, 4, 8, 100)] == [0.0, 0.5, 1.0, 2.0, 2.0]
    trainer = Trainer(model, device="cpu", batch_size=50, validation=0.0)
    trainer.fit(bits(), epochs=1)
    assert float(trainer.state.inputs_at(trainer.run.step)["beta"]) == 1.0
    fixed = Trainer(pgc.compile(text).Model(), device="cpu", inputs={"beta": 0.25})
    assert float(fixed.state.inputs_at(5)["beta"]) == 0.25


def test_the_average_of_weights() -> None:
    trainer = line("SGD(lr = 0.1, ema = 0.5)")
    data = rows()
    history = []
    for _ in range(4):
        trainer.step(**data)
        history.append(trainer.model.w.detach().clone())
    expected = history[0]
    for now in history[1:]:
        expected = 0.5 * expected + 0.5 * now
    assert torch.allclose(trainer.shown.w, expected, atol=1e-6)


def _run(trainer: Trainer, folder: Path, **more: Any) -> None:
    trainer.fit(bits(), epochs=4, out=folder, **more)


USING = "Adam(lr = 1e-2, schedule = linear, warmup = 3, ema = 0.9)"


PLATEAU = "Adam(lr = 3, schedule = plateau(factor = 0.5, patience = 0, min_lr = 0.001), warmup = 3)"


@pytest.mark.parametrize(
    ("stop", "using"), [(3, USING), (8, USING), (17, USING), (3, PLATEAU), (14, PLATEAU), (20, PLATEAU)]
)
def test_a_run_that_is_cut_off_goes_on_to_the_same_numbers(
    stop: int, using: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mid-epoch, at its end, with schedule, average and noise."""
    text = VAE.replace("Adam(lr = 1e-2)", using)
    settings = Settings(device="cpu", batch_size=32, log_every=4)

    def fresh() -> Trainer:
        torch.manual_seed(1)
        return Trainer(pgc.compile(text).Model(), settings)

    whole = fresh()
    _run(whole, tmp_path / "whole")
    cut = fresh()

    def interrupted(*arguments: Any) -> dict[str, torch.Tensor]:
        found = take_step(*arguments)
        if cut.run.step == stop:
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="goes on with --resume"):
        patch.setattr(epochs, "take_step", interrupted)
        _run(cut, tmp_path / "cut")
    again = fresh()
    torch.manual_seed(77)  # the noise is that of the run, not of the process
    _run(again, tmp_path / "cut", resume=True)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    assert torch.equal(whole.shown.dec.weight, again.shown.dec.weight)
    assert again.run.training == pytest.approx(whole.run.training, rel=1e-12)
    assert again.run.validation == whole.run.validation
    rates = [t.players[0].optimizer.param_groups[0]["lr"] for t in (whole, again)]
    assert rates[0] == rates[1]
    if using == PLATEAU:
        assert rates[0] < 3
        assert whole.players[0].schedule.state_dict() == again.players[0].schedule.state_dict()


def test_a_finished_run_goes_on_for_more_epochs(tmp_path: Path) -> None:
    trainer = line(validation=0.0)
    trainer.fit(rows(), epochs=2, out=tmp_path)
    more = line(validation=0.0)
    more.fit(rows(), epochs=5, out=tmp_path, resume=True)
    whole = line(validation=0.0)
    whole.fit(rows(), epochs=5)
    assert torch.equal(more.model.w, whole.model.w)
    steps = [json.loads(text)["step"] for text in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)


def test_a_run_of_another_program_is_refused(tmp_path: Path) -> None:
    line(validation=0.0).fit(rows(), epochs=1, out=tmp_path)
    other = Trainer(pgc.compile(VAE).Model(), device="cpu")
    with pytest.raises(DataError, match="of another program"):
        other.fit(bits(), epochs=1, out=tmp_path, resume=True)
    with pytest.raises(DataError, match="no run to go on with"):
        other.fit(bits(), epochs=1, out=tmp_path / "none", resume=True)
    (tmp_path / "state.safetensors").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="not a run"):
        other.fit(bits(), epochs=1, out=tmp_path, resume=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_save_first(number: int, tmp_path: Path) -> None:
    program = tmp_path / "m.pgc"
    program.write_text(VAE)
    np.savez(tmp_path / "d.npz", x=bits(2000)["x"].numpy())
    command = [sys.executable, "-m", "pgcompile", "train", str(program), "--data", str(tmp_path / "d.npz")]
    command += ["--out", str(tmp_path / "run"), "--device", "cpu"]
    process = subprocess.Popen([*command, "--epochs", "100000"], stderr=subprocess.PIPE, cwd=ROOT)
    log = tmp_path / "run" / "log.jsonl"
    for _ in range(600):
        if log.exists() and log.stat().st_size:
            break
        time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert b"goes on with --resume" in errors
    assert (tmp_path / "run" / "state.safetensors").is_file()


def test_a_kill_while_writing_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = line(validation=0.0)
    trainer.fit(rows(), epochs=1, out=tmp_path)
    before = (tmp_path / "state.safetensors").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"No space left on device.*last checkpoint is kept"):
        trainer.fit(rows(), epochs=2, out=tmp_path, resume=True)
    assert (tmp_path / "state.safetensors").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_a_loss_that_is_no_number_names_term_and_step(tmp_path: Path) -> None:
    text = """
x : real
param s : real = 0.5
p(x) = Normal(0, 1)
good = log p(x)
bad = log(s - x)
total = good + bad
maximize total using SGD(lr = 0)
"""
    data = {"x": torch.cat((torch.full((64,), -1.0), torch.full((1,), 2.0)))}
    trainer = Trainer(pgc.compile(text).Model(), device="cpu", batch_size=1, validation=0.0, seed=3)
    with pytest.raises(DataError, match=r"loss became nan at step \d+ of epoch 1; the term bad, total is not finite"):
        trainer.fit(data, epochs=1, out=tmp_path)
    assert torch.isfinite(trainer.model.s)


def test_low_precision_reaches_the_same_loss_within_its_noise() -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        torch.manual_seed(0)
        trainer = Trainer(pgc.compile(VAE).Model(), device="cpu", precision=precision, validation=0.0, batch_size=50)
        losses[precision] = trainer.fit(bits(), epochs=30).training
    assert losses["bf16"][0] == pytest.approx(losses["fp32"][0], rel=0.02)
    assert losses["bf16"][-1] == pytest.approx(losses["fp32"][-1], rel=0.05)


def test_a_compiled_step_is_the_eager_step() -> None:
    found = []
    for mode in (None, "default"):
        torch._dynamo.reset()
        trainer = line("Adam(lr = 0.1, clip_norm = 1)", compile=mode)
        for _ in range(3):
            trainer.step(**rows())
        found.append(weights(trainer))
    for name, value in found[0].items():
        assert torch.allclose(value, found[1][name], atol=1e-6), name


class _Synchronisations(TorchDispatchMode):
    """Counts what would wait for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.__name__.split(".")[0] in ("_local_scalar_dense", "nonzero", "is_nonzero", "equal"):
            self.found.append(function.__name__)
        return function(*args, **(kwargs or {}))


def test_a_step_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """But on the CPU, where looking at each loss costs nothing."""
    torch.manual_seed(0)
    text = VAE.replace("Adam(lr = 1e-2)", "Adam(lr = 1e-2, clip_norm = 1, schedule = linear, warmup = 2, ema = 0.9)")
    trainer = Trainer(pgc.compile(text).Model(), device="cpu", accumulate=2)
    monkeypatch.setattr(updates, "_check_finite", lambda *_: None)
    trainer.step(**bits())
    with _Synchronisations() as mode:
        trainer.step(**bits())
    assert mode.found == []


def test_the_same_seed_repeats_a_run(tmp_path: Path) -> None:
    for name in ("a", "b"):
        torch.manual_seed(4)
        trainer = Trainer(pgc.compile(VAE).Model(), device="cpu", batch_size=32)
        trainer.fit(bits(), epochs=2)
        trainer.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_early_stopping_and_the_best_weights(tmp_path: Path) -> None:
    """Too large a rate: the validation loss only grows."""
    trainer = line("SGD(lr = 1.5)", validation=0.5, patience=3)
    fitted = trainer.fit(rows(), epochs=100, out=tmp_path)
    assert fitted.best is not None
    assert len(fitted.training) == fitted.best + 3
    best = line()
    best.load(tmp_path / "best.safetensors")
    assert fitted.validation[fitted.best - 1] == min(fitted.validation)
    assert not torch.equal(best.model.w, trainer.model.w)


def test_evaluation_is_the_mean_over_all_rows() -> None:
    data = rows(50)
    trainer = line(batch_size=16)
    with torch.no_grad():
        trainer.model.w.copy_(torch.tensor([1.0, 1.0]))
    found = trainer.evaluate(data)["fit"]
    error = (data["x"].sum(-1) - data["y"]).double()
    assert found == pytest.approx(float((-0.5 * error.square() - 0.5 * np.log(2 * np.pi)).mean()), rel=1e-6)


def test_every_player_changes_its_own_weights_only() -> None:
    text = """
x : real[2]
z : real[2]
net g = Linear(2)
net d = Linear(4) >> ReLU >> Linear(1)
p(z) = Normal(0, 1)
p(x|z) = Delta(g(z))
critic = E_{p(x,z)}[d(x)[0]] - E_{data(x)}[d(x)[0]]
maximize critic wrt d using SGD(lr = 0.1)
minimize critic wrt g using SGD(lr = 0.1)
"""
    torch.manual_seed(0)
    trainer = Trainer(pgc.compile(text).Model(), device="cpu")
    values = {"x": torch.randn(32, 2)}
    for player, own, other in ((0, "d", "g"), (1, "g", "d")):
        before = weights(trainer)
        update(trainer.state, trainer.players[player], values)
        after = weights(trainer)
        assert any(not torch.equal(before[n], after[n]) for n in before if n.startswith(own))
        assert all(torch.equal(before[n], after[n]) for n in before if n.startswith(other))
    # One climbs where the other descends.
    losses = [float(getattr(trainer.model, p.name)(**values).detach()) for p in trainer.players]
    names = [p.name for p in trainer.players]
    assert names == ["loss_critic_max", "loss_critic_min"]
    assert np.sign(losses[0]) != np.sign(losses[1])


def test_what_it_refuses() -> None:
    with pytest.raises(TypeError, match="compile --train"):
        Trainer(torch.nn.Linear(1, 1))
    with pytest.raises(ValueError, match="precision"):
        line(precision="int3")
    with pytest.raises(TypeError, match="epoch_count"):
        line(epoch_count=3)
    with pytest.raises(DataError, match="observes"):
        line().fit(None)
    with pytest.raises(DataError, match="no array x"):
        line().fit({"xs": torch.zeros(3, 2), "y": torch.zeros(3)})
    with pytest.raises(DataError, match="nothing to optimise"):
        Trainer(pgc.compile("x : real\nparam m : real\np(x) = Normal(m, 1)\ns = log p(x)").Model())


def test_states_are_packed_without_loss() -> None:
    state = {"a": [1, 2.5, None, True], "b": {3: torch.arange(4), 5: ("x", torch.ones(2, 3).T)}, "c": "text"}
    tensors, text = pack(state)
    again = unpack(tensors, text)
    assert again["a"] == state["a"]
    assert torch.equal(again["b"][3], torch.arange(4))
    assert again["b"][5][0] == "x"
    assert torch.equal(again["b"][5][1], torch.ones(3, 2))
    with pytest.raises(TypeError, match=r"state\.f is"):
        pack({"f": print})


def test_a_hand_loop() -> None:
    """As docs/training.md has it."""
    torch.manual_seed(0)
    model = pgc.compile(VAE).Model()
    (optimizer,) = model.optimizers()
    data = bits()["x"]
    first = float(model.train_step([optimizer], x=data)["loss"])
    for _ in range(100):
        last = float(model.train_step([optimizer], x=data)["loss"])
    assert last < first


def test_weights_come_back(tmp_path: Path) -> None:
    trainer = Trainer(pgc.compile(VAE).Model(), device="cpu")
    trainer.save(tmp_path / "m.safetensors")
    other = Trainer(pgc.compile(VAE).Model(), device="cpu")
    other.load(tmp_path / "m.safetensors")
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name])
    assert checkpoint.restore(other.model, tmp_path / "m.safetensors").steps == {}


def test_evaluation_is_at_the_end_of_a_schedule(tmp_path: Path) -> None:
    """Also of weights that were loaded: they are those of a trained model."""
    text = VAE.replace("- KL", "- beta KL").replace("maximize", "input beta : real = linear(0, 2, 8)\nmaximize")
    program = pgc.compile(text)
    trainer = Trainer(program.Model(), device="cpu")
    trainer.save(tmp_path / "m.safetensors")
    other = Trainer(program.Model(), device="cpu", batch_size=200)
    other.load(tmp_path / "m.safetensors")
    torch.manual_seed(3)
    found = other.evaluate(bits())["elbo"]
    torch.manual_seed(3)
    expected = float(other.model.eval().elbo(bits()["x"], beta=2.0).detach().double().mean())
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_step_takes_arrays_and_says_what_is_missing() -> None:
    data = rows()
    trainer, other = line(), line()
    trainer.step(x=data["x"].double().numpy(), y=data["y"].double())
    other.step(**data)
    assert torch.allclose(trainer.model.w, other.model.w, atol=1e-6)
    with pytest.raises(DataError, match="needs y"):
        trainer.step(x=data["x"])
    with pytest.raises(DataError, match="and not z"):
        trainer.step(**data, z=data["y"])
    with pytest.raises(DataError, match="no rows"):
        trainer.step(x=data["x"][:0], y=data["y"][:0])


def test_a_run_goes_on_with_its_own_order(tmp_path: Path) -> None:
    line(validation=0.0).fit(rows(), epochs=1, out=tmp_path)
    with pytest.raises(DataError, match="batch-size 128"):
        line(validation=0.0, batch_size=7).fit(rows(), epochs=2, out=tmp_path, resume=True)
    with pytest.raises(DataError, match="whole run"):
        line().load(tmp_path / "state.safetensors")
    with pytest.raises(DataError, match="there is no file"):
        line().load(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="ema"):
        line(ema=2.0)


def test_tensorboard_events(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    line(validation=0.25, tensorboard=True, log_every=1).fit(rows(), epochs=2, out=tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    logged = [json.loads(text) for text in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [entry["loss"] for entry in logged if "loss" in entry]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(losses, rel=1e-5)
    assert len(events.Scalars("validation")) == 2


def test_a_plateau_is_torchs() -> None:
    using = "SGD(lr = 0.8, schedule = plateau(factor = 0.5, patience = 2, min_lr = 0.15))"
    model = pgc.compile(LINE.format(using=using)).Model()
    (optimizer,) = optimizers = model.optimizers()
    (made,) = model.schedules(optimizers, 10)
    other = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.8)
    wanted = torch.optim.lr_scheduler.ReduceLROnPlateau(other, factor=0.5, patience=2, min_lr=0.15, threshold=0)
    losses = [3, 2, 2, 2.5, 2, 2, 2, 2, 1, 5, 5, 5, 5, 5, 5, 5, 5, 5, 0.5, -1, -1, -1, -1, -1, -1]
    for loss in losses:
        made.step()
        made.watch(float(loss))
        wanted.step(loss)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(other.param_groups[0]["lr"])
    assert optimizer.param_groups[0]["lr"] == 0.15


def test_a_plateau_after_a_warm_up_goes_by_the_rows_held_out() -> None:
    using = "SGD(lr = 1e-9, schedule = plateau(factor = 0.5, patience = 1), warmup = 3)"
    trainer = line(using, validation=0.25, batch_size=48)
    seen = []
    taken = epochs.take_step

    def noting(state: Any, *rest: Any) -> dict[str, torch.Tensor]:
        seen.append(state.players[0].optimizer.param_groups[0]["lr"])
        return taken(state, *rest)

    epochs.take_step, before = noting, epochs.take_step
    try:
        trainer.fit(rows(), epochs=9)
    finally:
        epochs.take_step = before
    steps = len(seen) // 9
    assert seen[:4] == pytest.approx([0.25e-9, 0.5e-9, 0.75e-9, 1e-9])
    # What the loop did with the losses that it saw, by hand.
    best, waited, rate = np.inf, 0, 1e-9
    for epoch, loss in enumerate(trainer.run.validation[:-1], 1):
        best, waited = (loss, 0) if loss < best else (best, waited + 1)
        if waited > 1:
            rate, waited = rate / 2, 0
        if epoch * steps >= 4:
            assert seen[epoch * steps] == pytest.approx(rate)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("schedule = plateau(factor = 2)", "`2` is not a value of factor"),
        ("schedule = plateau(patience = 1.5)", "`1.5` is not a value of patience"),
        ("schedule = plateau(0.5, 3, -1)", "`-1` is not a value of min_lr"),
        ("schedule = plateau(gamma = 0.5)", "plateau has no option gamma"),
        ("schedule = plateau, steps = 10", "plateau goes by the loss"),
    ],
)
def test_what_is_said_of_a_wrong_plateau(option: str, message: str) -> None:
    found = pgc.check(LINE.format(using=f"SGD(lr = 1, {option})"))
    assert any(message in d.message for d in found), found


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("step", [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01]),
        ("one_cycle", [0.04, 0.28, 0.76, 1, 0.950484, 0.811745, 0.611261, 0.388740, 0.188255, 0.049516, 0]),
    ],
)
def test_schedules_that_change_course(schedule: str, factors: list[float]) -> None:
    """One cycle is torch's `OneCycleLR` with a 25th to begin with and nothing at the end."""
    program = pgc.compile(
        "x : real\nparam m : real\np(x) = Normal(m, 1)\nl = log p(x)\n"
        f"maximize l using SGD(lr = 1, schedule = {schedule}, steps = 10)\n"
    )
    model = program.Model()
    (optimizer,) = optimizers = model.optimizers()
    (made,) = model.schedules(optimizers, 10)
    found = []
    for _ in range(11):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made.step()
    assert found == pytest.approx(factors, abs=1e-5)


def test_a_term_that_nothing_trains_may_ask_for_more_than_the_data(tmp_path: Path) -> None:
    text = "x, y : real\nnet f = Linear(1)\na = (f(x)[0])^2\nb = (x - y)^2\nminimize a using Adam(lr = 1e-2)"
    trainer = Trainer(pgc.compile(text).Model(), batch_size=8, log_every=1)
    trainer.fit({"x": torch.randn(16)}, epochs=2)
    assert set(trainer.evaluate({"x": torch.randn(16)})) == {"a"}
    assert set(trainer.evaluate({"x": torch.randn(16), "y": torch.randn(16)})) >= {"a"}
