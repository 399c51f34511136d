"""What must hold of every valid program; `python -m tests.fuzz.check FIRST LAST` runs it over many seeds."""

import sys
import traceback
import warnings

import torch

import pgcompile as pgc
from pgcompile.compiler import parse_only
from pgcompile.diagnostics import CompileError, Source
from pgcompile.syntax.format import format_program
from tests.fuzz.programs import random_program


def check_program(text: str, seed: int, *, full: bool = False) -> list[str]:
    """Faults of the compiler that a valid program shows."""
    try:
        program = pgc.compile(text)
    except CompileError as error:
        return [f"valid program refused: {d.code} {d.message}" for d in error.diagnostics]
    faults = []
    source = Source(text)
    formatted = format_program(parse_only(source), source)
    if pgc.compile(formatted).source != program.source:
        faults.append("formatting changed the emitted code")
    faults += [f"not verified: {check}" for check in program.verify(seed=seed, runs=96) if not check.passed]
    model = program.Model()
    drawn = model.sample((2,))
    for name, value in drawn.items():
        if value.shape != (2, *program.analysis.model.spaces[name].shape):
            faults.append(f"sample of {name} has the shape {tuple(value.shape)}")
    values = {k: v for k, v in drawn.items() if k.startswith("x")}
    loss = model.loss(**_asked(model.loss, values))
    if loss.shape != ():
        faults.append("the loss is not a scalar")
    if full:
        torch._dynamo.reset()
        torch.compile(model.bound, fullgraph=True, backend="eager")(**_asked(model.bound, values))
    return faults


def _asked(method, values):  # type: ignore[no-untyped-def]
    import inspect

    return {k: v for k, v in values.items() if k in inspect.signature(method).parameters}


def main() -> int:
    """Print every fault with its seed."""
    first, last = int(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", pgc.ProgramWarning)
    bad = 0
    for seed in range(first, last):
        text = random_program(seed)
        try:
            faults = check_program(text, seed)
        except Exception as error:  # noqa: BLE001  # any other exception is the fault that is looked for
            faults = [f"{type(error).__name__}: {error}", traceback.format_exc().splitlines()[-3]]
        if faults:
            bad += 1
            print(f"seed {seed}:", *faults, sep="\n  ")
    print(f"{last - first} programs, {bad} with faults")
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main())
