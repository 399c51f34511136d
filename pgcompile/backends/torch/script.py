"""A training script for an emitted module, which needs torch and numpy and nothing of pgcompile."""

from collections.abc import Mapping

from pgcompile.backends.torch.layout import safe_comment
from pgcompile.model.model import Model
from pgcompile.model.names import identifier
from pgcompile.model.training import OptimiseLine, loss_name
from pgcompile.vocabulary.spaces import Space, contains


def script(
    model: Model, class_name: str, module: str, arguments: dict[str, tuple[str, ...]], coupled: str | None = None
) -> str:
    """The text of the script.

    Args:
        model: the program's model, with its training lines.
        class_name: the emitted class.
        module: name of the emitted module, from which the script imports it.
        arguments: of each loss method, the names of its arguments.
        coupled: a term that compares the rows of a batch with each other, if there is one.
    """
    lines = model.optimise
    inputs = {identifier(t.name) for t in model.tensors.values() if t.kind == "input"}
    wanted = sorted({name for names in arguments.values() for name in names} - inputs)
    given = sorted({name for names in arguments.values() for name in names} & inputs)
    spaces = {identifier(v): model.spaces[v] for v in model.variables if v in model.spaces}
    whole = sorted(name for name in wanted if spaces[name].kind == "category")
    players = "\n".join(_player(line, lines, arguments) for line in lines)
    each = "; ".join(f"{line.direction} {line.objective} using {line.optimiser}" for line in lines)
    filled = _TEMPLATE
    for mark, text in (
        ("@EACH@", safe_comment(each)),
        ("@MODULE@", module),
        ("@CLASS@", class_name),
        ("@PLAYERS@", players),
        ("@OBSERVED@", _literal(tuple(wanted))),
        ("@INPUTS@", _literal(tuple(given))),
        ("@WHOLE@", _literal(tuple(whole))),
        ("@COUPLED@", safe_comment(f"  # {coupled} compares them") if coupled else ""),
        ("@LEAST@", "2" if coupled else "1"),
        ("@SHAPES@", _entries({name: spaces[name].shape for name in wanted})),
        ("@BOUNDS@", _entries({name: _bounds(spaces[name]) for name in wanted if _bounds(spaces[name])})),
    ):
        filled = filled.replace(mark, text)
    return filled


def _entries(values: Mapping[str, object]) -> str:
    """The entries of a dict, one a line."""
    return "".join(f"\n    {_literal(name)}: {_literal(value)}," for name, value in values.items()) + "\n" * bool(
        values
    )


def _bounds(space: Space) -> tuple[float, float] | None:
    """The least and the largest value of a space that has both."""
    if space.kind == "category":
        return 0, (space.categories or 1) - 1
    return (0, 1) if contains("unit_interval", space.kind) or contains("boolean", space.kind) else None


def _literal(value: object) -> str:
    """A value of names, numbers and None as ruff writes it."""
    return repr(value).replace("'", '"')


def _player(line: OptimiseLine, lines: list[OptimiseLine], arguments: dict[str, tuple[str, ...]]) -> str:
    recipe = line.recipe
    name = loss_name(line, lines)
    facts = {
        "loss": name,
        "arguments": arguments[name],
        "updates": recipe.updates,
        "clip_norm": recipe.clip_norm,
        "clip_value": recipe.clip_value,
        "clamp": recipe.clamp,
    }
    entries = "\n".join(f"        {_literal(key)}: {_literal(value)}," for key, value in facts.items())
    return f"    {{\n{entries}\n    }},"


_TEMPLATE = '''"""Trains @CLASS@: @EACH@.

python train.py --data data.npz
torchrun --nproc-per-node=2 train.py --data data.npz
"""

import argparse
import contextlib
import json
import math
import os
import signal
import struct
import sys
import tempfile
import time

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from @MODULE@ import @CLASS@

OBSERVED = @OBSERVED@
INPUTS = @INPUTS@
WHOLE = @WHOLE@  # variables that are indices
LEAST = @LEAST@  # rows of a batch@COUPLED@
SHAPES = {@SHAPES@}
BOUNDS = {@BOUNDS@}
PLAYERS = [
@PLAYERS@
]


class Losses(nn.Module):
    """The losses of a model as one `forward`, which DistributedDataParallel wraps."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, name, **given):
        return getattr(self.model, name)(**given)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="an .npz with an array for each variable")
    parser.add_argument("--out", default="model.safetensors", help="the weights")
    parser.add_argument("--resume", action="store_true", help="start from the weights")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--batch-size", type=int, default=128, help="of all processes")
    parser.add_argument("--accumulate", type=int, default=1, help="parts of a batch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    parser.add_argument("--compile", action="store_true", help="compile the losses")
    for name in INPUTS:
        parser.add_argument(f"--{name}", type=float, help=f"the input {name}")
    options = parser.parse_args()
    if OBSERVED and not options.data:
        parser.error(f"give --data with {', '.join(OBSERVED)}")
    if LEAST > 1 and options.accumulate > 1:
        parser.error("the rows of a batch are compared: leave out --accumulate")

    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    device = choose_device(options.device)
    if size > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    torch.manual_seed(options.seed)
    model = @CLASS@().to(device)
    if options.resume:
        model.load_state_dict(read(options.out, model.state_dict()))
    torch.manual_seed(options.seed + rank)  # noise of its own for each process
    rows = load(options.data, device) if OBSERVED else {}
    count = len(next(iter(rows.values()))) if rows else 100 * options.batch_size
    steps = math.ceil(count / options.batch_size)

    optimizers = model.optimizers()
    schedules = []
    if hasattr(model, "schedules"):
        schedules = model.schedules(optimizers, steps * options.epochs)
    losses = Losses(model)
    if size > 1:
        losses = nn.parallel.DistributedDataParallel(
            losses, find_unused_parameters=len(PLAYERS) > 1
        )
    if options.compile:
        losses = torch.compile(losses)
    autocast = contextlib.nullcontext()
    if options.bf16:
        autocast = torch.autocast(device.type, dtype=torch.bfloat16)

    def play(player, optimizer, batch, given, weight):
        parts = options.accumulate
        with autocast:
            return update(losses, player, optimizer, batch, given, weight, parts)

    asked = []  # a signal: the epoch's weights are written, then it ends
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.append(1))
    model.train()
    step = 0
    for epoch in range(options.epochs):
        start, total = time.monotonic(), torch.zeros((), device=device)
        taken = 0  # rows; a last batch of too few is left out
        shuffled = torch.Generator().manual_seed(options.seed * 1000003 + epoch)
        order = torch.randperm(count, generator=shuffled)
        for chunk in order.split(options.batch_size):
            mine = chunk[rank::size]
            if len(chunk) < LEAST * size:
                continue
            taken += len(chunk)
            given = {
                n: torch.tensor(v, device=device)
                for n in INPUTS
                if (v := getattr(options, n)) is not None
            }
            if hasattr(model, "inputs_at"):
                given = {**tensors(model.inputs_at(step), device), **given}
            batch = {n: value[mine.to(device)] for n, value in rows.items()}
            weight = len(mine) * size / len(chunk)
            for number, (player, optimizer) in enumerate(zip(PLAYERS, optimizers)):
                for _ in range(player["updates"]):
                    seen = play(player, optimizer, batch, given, weight)
                if number == 0:
                    total += seen * len(chunk)
            for schedule in schedules:
                schedule.step()
            step += 1
        if size > 1:
            dist.all_reduce(total)
        mean = float(total) / size / max(taken, 1)
        if not math.isfinite(mean):
            raise SystemExit(f"the loss became {mean} in epoch {epoch + 1}")
        for schedule in schedules:
            if hasattr(schedule, "watch"):
                schedule.watch(mean)
        if rank == 0:
            seconds = time.monotonic() - start
            print(f"epoch {epoch + 1}: loss {mean:.4f}, {steps / seconds:.0f} steps/s")
        stop = torch.tensor(len(asked), device=device)
        if size > 1:
            dist.all_reduce(stop)
        if rank == 0 and (stop or epoch + 1 == options.epochs or epoch % 10 == 9):
            write(model.state_dict(), options.out)
        if stop:
            break
    if size > 1:
        # Threads of the group may outlive the interpreter, and then abort the process.
        dist.barrier()
        sys.stdout.flush()
        os._exit(0)


def update(losses, player, optimizer, batch, given, weight, parts):
    """One update of what a line trains; nothing else asks for a gradient meanwhile."""
    own = [p for group in optimizer.param_groups for p in group["params"]]
    mine = {id(p) for p in own}
    others = [p for p in losses.parameters() if id(p) not in mine and p.requires_grad]
    for parameter in others:
        parameter.requires_grad_(False)
    optimizer.zero_grad()
    seen = 0.0
    pieces = {n: v.chunk(parts) for n, v in batch.items() if n in player["arguments"]}
    known = {n: v for n, v in given.items() if n in player["arguments"]}
    number = len(next(iter(pieces.values()))) if pieces else 1
    for i in range(number):
        part = {n: piece[i] for n, piece in pieces.items()}
        share = weight
        if part:
            name = next(iter(part))
            share = weight * len(part[name]) / len(batch[name])
        last = i + 1 == number or not hasattr(losses, "no_sync")
        with contextlib.nullcontext() if last else losses.no_sync():
            loss = losses(player["loss"], **part, **known) * share
            with torch.autocast(loss.device.type, enabled=False):
                loss.backward()
        seen = seen + loss.detach()
    for parameter in others:
        parameter.requires_grad_(True)
    if player["clip_value"] is not None:
        nn.utils.clip_grad_value_(own, player["clip_value"])
    if player["clip_norm"] is not None:
        nn.utils.clip_grad_norm_(own, player["clip_norm"])
    optimizer.step()
    if player["clamp"] is not None:
        with torch.no_grad():
            for parameter in own:
                parameter.clamp_(-player["clamp"], player["clamp"])
    return seen


def tensors(numbers, device):
    return {n: torch.tensor(float(v), device=device) for n, v in numbers.items()}


def choose_device(name):
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def load(path, device):
    """The observed variables, rows first."""
    with np.load(path, allow_pickle=False) as content:
        missing = [n for n in OBSERVED if n not in content.files]
        if missing:
            raise SystemExit(f"{path} has no array {missing[0]}")
        kinds = {n: np.int64 if n in WHOLE else np.float32 for n in OBSERVED}
        found = {n: content[n].astype(kinds[n]) for n in OBSERVED}
    for name, array in found.items():
        if (shape := array.shape[1:]) != SHAPES[name]:
            raise SystemExit(f"{name} has rows of {shape}, not {SHAPES[name]}")
        low, high = BOUNDS.get(name, (-math.inf, math.inf))
        if not np.isfinite(array).all() or array.min() < low or array.max() > high:
            raise SystemExit(f"{name} has values outside {low} to {high}, or none")
    return {n: torch.from_numpy(a).to(device) for n, a in found.items()}


DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16",
    torch.bfloat16: "BF16", torch.int64: "I64", torch.int32: "I32",
    torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def write(state, path):
    """Weights in the safetensors format, through a file beside it."""
    head, body, end = {}, [], 0
    for name, tensor in state.items():
        tensor = tensor.detach().cpu().contiguous()
        data = tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
        place = [end, end + len(data)]
        shape = list(tensor.shape)
        kind = DTYPES[tensor.dtype]
        head[name] = {"dtype": kind, "shape": shape, "data_offsets": place}
        body.append(data)
        end = place[1]
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(body))
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)


DAMAGED = AttributeError, KeyError, RuntimeError, TypeError, ValueError


def read(path, own):
    """Weights in the safetensors format, for a model with the state `own`."""
    kinds = {text: dtype for dtype, text in DTYPES.items()}
    state = {}
    try:
        with open(path, "rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            head = json.loads(file.read(min(size, os.path.getsize(path))))
            body = file.read()
        for name in [name for name in head if name != "__metadata__"]:
            first, last = head[name]["data_offsets"]
            raw = torch.frombuffer(bytearray(body[first:last]), dtype=torch.uint8)
            found = raw.view(kinds[head[name]["dtype"]])
            state[name] = found.reshape(head[name]["shape"])
    except OSError as error:
        raise SystemExit(f"{path} cannot be read: {error.strerror}") from None
    except (*DAMAGED, struct.error):
        raise SystemExit(f"{path} does not hold weights, or is damaged") from None
    for name in [*own, *state]:
        if name not in state or name not in own or state[name].shape != own[name].shape:
            raise SystemExit(f"{path} is of another model: {name} does not fit")
        if not state[name].double().isfinite().all():
            raise SystemExit(f"{path} has a weight that is no number: {name}")
    return state


if __name__ == "__main__":
    main()
'''
