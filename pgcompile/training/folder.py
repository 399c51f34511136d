"""The folder of a run: whose it is, that one run writes to it at a time, and that a fresh one starts in a clean one."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Any

import torch

from pgcompile.diagnostics import DataError
from pgcompile.training.rows import Rows

STATE = "state.safetensors"
_MADE = ("model.safetensors", "best.safetensors", STATE, "log.jsonl", "losses.json", "model.py")
_PICTURES = ("loss.png", "samples.png", "reconstructions.png", "latents.png")
_LOCK = ".running"
_SAMPLED = 64  # rows that tell one file of data from another


def check_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse to write over a run that nobody gave up.

    Raises:
        DataError: there is a run, and neither `resume` nor `overwrite` is asked for.
    """
    if not (resume or overwrite) and any((out / name).exists() for name in _MADE[:3]):
        raise DataError(
            f"{out} holds a run: go on with it by --resume, replace it by --overwrite, or give another --out"
        )


def clear_folder(out: Path, *, resume: bool) -> None:
    """Clear what a run that was killed left behind and, for a fresh run, what one before it made."""
    for left in out.glob(f".{STATE}.*"):
        left.unlink(missing_ok=True)
    for name in () if resume else (*_MADE, *_PICTURES):
        (out / name).unlink(missing_ok=True)


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold a folder while a run writes to it; the lock goes with the process, however it ends.

    Raises:
        DataError: another run writes there now.
    """
    try:
        import fcntl
    except ImportError:  # not on this system: runs are told apart by their folders alone
        yield
        return
    out.mkdir(parents=True, exist_ok=True)
    with (out / _LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise DataError(
                f"another run writes to {out} (process {file.read().strip()}): give another --out"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            (out / _LOCK).unlink(missing_ok=True)


def fingerprint(text: str, rows: Rows | None) -> dict[str, Any]:
    """The marks of a run: the program as it is formatted, and its data by size and some of its rows."""
    found: dict[str, Any] = {"program": text}
    if rows is not None and len(rows):
        sampled = min(len(rows), _SAMPLED)
        # In whole numbers: a float32 holds no row number above 2^24.
        at = torch.arange(sampled) * (len(rows) - 1) // max(1, sampled - 1)
        taken = rows.take(at)
        digest = hashlib.sha256()
        for name in sorted(taken):
            digest.update(name.encode())
            digest.update(taken[name].detach().cpu().contiguous().float().numpy().tobytes())
        shapes = {name: list(value.shape[1:]) for name, value in sorted(taken.items())}
        found["data"] = {"rows": len(rows), "shapes": shapes, "digest": digest.hexdigest()}
    return found


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The differences between a run and what it would go on with, a line each."""
    found = [
        line
        for line in unified_diff(before.get("program", "").splitlines(), now["program"].splitlines(), lineterm="", n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]
    old, new = before.get("data"), now.get("data")
    if old != new and old is not None and new is not None:
        same = all(old[key] == new[key] for key in ("rows", "shapes"))
        what = "other numbers in the rows" if same else f"{_shown(old)}, now {_shown(new)}"
        found.append(f"the data: {what}")
    return found


def _shown(data: dict[str, Any]) -> str:
    return f"{data['rows']} rows of {json.dumps(data['shapes'])}"
