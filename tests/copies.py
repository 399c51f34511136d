"""A copy of the compiler to which a test adds something, to count what that costs and to use it."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree, ignore_patterns

from tests.programs import ROOT


@dataclass
class Copy:
    """A copy of the compiler in a folder of its own.

    Args:
        folder: where it is.
        touched: the files that were written or changed, by their paths in the repository.
    """

    folder: Path
    touched: set[str] = field(default_factory=set)

    def write(self, path: str, text: str) -> None:
        """Add a file."""
        target = self.folder / path
        assert not target.exists(), f"{path} is there already"
        target.write_text(text, encoding="utf-8")
        self.touched.add(path)

    def insert(self, path: str, before: str, text: str) -> None:
        """Add text to a file before the only place where `before` stands."""
        target = self.folder / path
        old = target.read_text(encoding="utf-8")
        assert old.count(before) == 1, f"{before!r} stands {old.count(before)} times in {path}"
        target.write_text(old.replace(before, text + before), encoding="utf-8")
        self.touched.add(path)

    def run(self, code: str) -> str:
        """Run Python with the copy in the place of the compiler.

        Args:
            code: the program; `pgc` is the copy, and `verified(text)` compiles a program and asserts that the reference
                agrees with every number of its module.

        Returns:
            What it printed.
        """
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _HEAD + code],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        place, _, rest = done.stdout.partition("\n")
        assert place.startswith(str(self.folder)), f"{place} is not the copy"
        return rest


_HEAD = """
import pgcompile as pgc

print(pgc.__file__)

def verified(text):
    program = pgc.compile(text)
    checks = program.verify(runs=960)
    wrong = [str(check) for check in checks if check.skipped or not check.passed]
    assert checks and not wrong, "\\n".join(wrong)
    return program

"""


def copied(folder: Path) -> Copy:
    """A copy of the compiler in `folder`."""
    for part in ("pgcompile", "grammar"):
        copytree(ROOT / part, folder / part, ignore=ignore_patterns("__pycache__"))
    return Copy(folder)
