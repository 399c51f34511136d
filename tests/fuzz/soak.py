"""Everything at random until the time is up: programs, texts, networks, data files, kills; prints a table.

`python -m tests.fuzz.soak MINUTES [FIRST]` starts at seed FIRST. The kinds take turns, each as often as it has used
less time than the others; faults are printed with their seed, and memory may not grow past `MOST_MEMORY`.
"""

import resource
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

import pgcompile as pgc
from tests.fuzz.check import check_damage, check_program, check_soup
from tests.fuzz.files import check_file
from tests.fuzz.kills import check_kill
from tests.fuzz.networks import check_network
from tests.fuzz.programs import random_program

MOST_MEMORY = 4 * 2**30  # bytes of this process, of which torch and its compiler need one


def _network(seed: int) -> list[str]:
    fault = check_network(seed)
    return [] if fault in (None, "refused") else [fault]


KINDS: dict[str, Callable[[int], list[str]]] = {
    "programs": lambda seed: check_program(random_program(seed), seed, full=seed % 8 == 0),
    "damaged programs": check_damage,
    "meaningless texts": check_soup,
    "networks": _network,
    "damaged data files": check_file,
    "killed runs": check_kill,
}


@dataclass
class Tally:
    """Trials of one kind: their number, time and faults."""

    tried: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    faults: dict[int, list[str]] = field(default_factory=dict)


def soak(minutes: float, first: int = 0) -> dict[str, Tally]:
    """Try all kinds for some minutes, each at least once."""
    tallies = {name: Tally() for name in KINDS}
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end or any(not tally.tried for tally in tallies.values()):
        name = min(KINDS, key=lambda kind: tallies[kind].seconds)
        tally = tallies[name]
        seed, start = first + tally.tried, time.monotonic()
        try:
            faults = KINDS[name](seed)
        except Exception as error:  # noqa: BLE001  # any exception is the fault that is looked for
            faults = [f"{type(error).__name__}: {error}", traceback.format_exc().splitlines()[-3]]
        spent = time.monotonic() - start
        tally.tried, tally.seconds, tally.slowest = tally.tried + 1, tally.seconds + spent, max(tally.slowest, spent)
        if faults:
            tally.faults[seed] = faults
            print("\n  ".join([f"{name}, seed {seed}:", *faults]), flush=True)
    return tallies


def memory() -> int:
    """The most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> int:
    """Soak, and print the table."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", pgc.ProgramWarning)
    minutes, first = float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    tallies = soak(minutes, first)
    print(f"{'kind':<20} {'tried':>7} {'faults':>7} {'slowest':>9}")
    for name, tally in tallies.items():
        print(f"{name:<20} {tally.tried:>7} {len(tally.faults):>7} {tally.slowest:>7.1f} s")
    print(f"memory: {memory() / 2**30:.2f} GiB at most")
    return int(memory() > MOST_MEMORY or any(tally.faults for tally in tallies.values()))


if __name__ == "__main__":
    raise SystemExit(main())
