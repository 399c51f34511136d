"""What must hold of every valid program; `python -m tests.fuzz.check FIRST LAST` runs it over many seeds."""

import copy
import inspect
import subprocess
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

import pgcompile as pgc
from pgcompile.diagnostics import CompileError, Source
from pgcompile.model.names import identifier
from pgcompile.pipeline import parse_only
from pgcompile.program import Program
from pgcompile.syntax.format import format_program
from pgcompile.verification.harness import BATCH, Harness
from tests.fuzz.damage import damaged, soup
from tests.fuzz.programs import random_program


def check_program(text: str, seed: int, *, full: bool = False) -> list[str]:
    """Faults of the compiler that a valid program shows.

    Args:
        text: the program.
        seed: of its parameters, data and noise.
        full: also run it compiled, exported, vectorised, without a device, in bf16, and through ruff.
    """
    try:
        program = pgc.compile(text)
    except CompileError as error:
        return [f"valid program refused: {d.code} {d.message}" for d in error.diagnostics]
    faults = _formatting(text, program)
    faults += [f"not verified: {check}" for check in program.verify(seed=seed, runs=1200) if not check.passed]
    harness = Harness(program, None, seed)
    drawn = harness.module.sample((2,), harness.conditions())
    for name, value in drawn.items():
        if value.shape != (2, *program.analysis.model.spaces[name].shape):
            faults.append(f"sample of {name} has the shape {tuple(value.shape)}")
    if full:
        faults += _modes(harness)
        faults += _ruff(program.source)
    return faults


def _formatting(text: str, program: Program) -> list[str]:
    """Formatting changes neither the tree nor the module, and formatting twice is formatting once."""
    source = Source(text)
    tree = parse_only(source)
    formatted = format_program(tree, source)
    again = Source(formatted)
    faults = []
    if tree != parse_only(again):
        faults.append("formatting changed the tree")
    if format_program(parse_only(again), again) != formatted:
        faults.append("formatting twice is not formatting once")
    if pgc.compile(formatted).source != program.source:
        faults.append("formatting changed the emitted code")
    return faults


def _modes(harness: Harness) -> list[str]:
    """The module compiled without a graph break, exported, under vmap, on the meta device, and in bf16."""
    module: nn.Module = harness.module.float()
    faults = []
    values = {identifier(k): _single(v) for k, v in {**harness.observed, **harness.inputs}.items()}
    given = {k: _single(v) for k, v in harness.conditions().items()}
    bound, log_prob = _asked(module.bound, values), _asked(module.log_prob, values)
    eager = module.log_prob(**log_prob)

    torch._dynamo.reset()
    torch.manual_seed(1)
    value = torch.compile(module.bound, fullgraph=True, backend="eager")(**bound)
    torch.manual_seed(1)
    if not _close(value, module.bound(**bound)):
        faults.append("the compiled objective has another value")

    drawn = torch.compile(module.sample, fullgraph=True, backend="eager")((2,), given)
    faults += [f"the compiled sampler's {k} is not finite" for k, v in drawn.items() if not v.isfinite().all()]

    exported = torch.export.export(_Wrapped(module), (), kwargs=log_prob).module()(**log_prob)
    if not _close(exported, eager):
        faults.append("the exported log-density has another value")

    names = list(log_prob)
    batched = [k for k in names if k not in map(identifier, harness.inputs)]
    mapped = torch.func.vmap(lambda *rows: module.log_prob(**{**log_prob, **dict(zip(batched, rows, strict=True))}))(
        *(log_prob[k] for k in batched)
    )
    if not _close(mapped, eager):
        faults.append("the log-density under vmap has another value")

    torch.manual_seed(1)
    whole = module.loss(**_asked(module.loss, values))
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = module.loss(**_asked(module.loss, values))
    # Cancellation in a sum of densities of random parameters can cost more than bf16 itself: only its kind is checked.
    if whole.isfinite() and not half.isfinite():
        faults.append("the loss is not finite in bf16")

    meta = copy.deepcopy(module).to("meta")
    away = {k: v.to("meta") for k, v in values.items()}
    for method in (meta.loss, meta.terms, meta.log_prob):
        found = method(**_asked(method, away))
        tensors = found.values() if isinstance(found, dict) else [found]
        faults += [f"{method.__name__} left the device" for t in tensors if t.device.type != "meta"]
    drawn = meta.sample((2,), {k: v.to("meta") for k, v in given.items()})
    faults += [f"sample of {k} left the device" for k, v in drawn.items() if v.device.type != "meta"]
    if whole.shape != ():
        faults.append("the loss is not a scalar")
    if eager.shape != (BATCH,):
        faults.append("the log-density is not one number a data point")
    return faults


class _Wrapped(nn.Module):
    """`log_prob` as a forward, which is what can be exported."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, **values: Tensor) -> Tensor:
        return self.module.log_prob(**values)


def _single(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-3, atol=1e-3, equal_nan=True)


def _ruff(source: str) -> list[str]:
    """Whether the emitted file is clean and formatted."""
    ruff = Path(sys.executable).with_name("ruff")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.py"
        path.write_text(source, encoding="utf-8")
        faults = []
        for command in (
            ["check", "--isolated", "--select", "E,F,W,I,B,UP", "--ignore", "E501,B905"],
            ["format", "--isolated", "--check"],
        ):
            run = subprocess.run([ruff, *command, str(path)], capture_output=True, text=True, check=False)
            if run.returncode:
                faults.append(f"ruff {command[0]}: {run.stdout.strip()[:400]}{run.stderr.strip()[:200]}")
    return faults


def _asked(method: Any, values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in values.items() if k in inspect.signature(method).parameters}


def check_damage(seed: int) -> list[str]:
    """A program broken in a known place: refused, and an error points at a place that tells of it."""
    broken = damaged(seed)
    try:
        pgc.compile(broken.text)
    except CompileError as error:
        if any(broken.tells(d) for d in error.diagnostics):
            return []
        places = "; ".join(f"{d.code} line {d.line}: {d.message}" for d in error.diagnostics)
        return [f"{broken.what}, and no error points at it: {places}"]
    return [f"accepted with {broken.what}"]


def check_soup(seed: int) -> list[str]:
    """Text that means nothing: diagnostics, and nothing else is raised."""
    pgc.check(soup(seed))
    return []


# What a long run finds wrong is kept here; a fault that is mended moves to tests/fuzz/regressions.
FOUND = Path("runs/fuzz")
TEXTS = {"valid": random_program, "damaged": lambda seed: damaged(seed).text, "soup": soup}


def main() -> int:
    """Print every fault with its seed."""
    first, last = int(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", pgc.ProgramWarning)
    bad = {"valid": 0, "damaged": 0, "soup": 0}
    checks = {
        "valid": lambda seed: check_program(random_program(seed), seed, full=seed % 4 == 0),
        "damaged": check_damage,
        "soup": check_soup,
    }
    for seed in tqdm(range(first, last), unit="program", disable=not sys.stderr.isatty()):
        for kind, check in checks.items():
            try:
                faults = check(seed)
            except Exception as error:  # noqa: BLE001  # any other exception is the fault that is looked for
                faults = [f"{type(error).__name__}: {error}", traceback.format_exc().splitlines()[-3]]
            if faults:
                bad[kind] += 1
                kept = FOUND / f"{kind}_{seed}.pgc"
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(TEXTS[kind](seed), encoding="utf-8")
                tqdm.write("\n  ".join([f"seed {seed}, {kind} ({kept}):", *faults]))
    print(f"{last - first} programs of each kind; with faults: {bad}")
    return int(any(bad.values()))


if __name__ == "__main__":
    raise SystemExit(main())
