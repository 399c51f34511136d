"""Wall time of whole cold commands, and of compiling models of many factors."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import pgcompile as pgc

ROOT = Path(__file__).parent.parent


def command_seconds(*arguments: str, rounds: int = 7) -> float:
    """Median wall time of `pgc ARGUMENTS`, the interpreter's start included."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "pgcompile", *arguments], check=True, capture_output=True, cwd=ROOT)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compile_seconds(shape: str, size: int) -> float:
    """Time to compile a chain or a binary tree of `size` Normal factors."""
    lines = [", ".join(f"x{i}" for i in range(size)) + " : real", "p(x0) = Normal(0, 1)"]
    for i in range(1, size):
        parent = i - 1 if shape == "chain" else (i - 1) // 2
        lines.append(f"p(x{i}|x{parent}) = Normal(x{parent}, 1)")
    text = "\n".join(lines)
    start = time.perf_counter()
    pgc.compile(text)
    return time.perf_counter() - start
