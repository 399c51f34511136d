"""Atomic writing of files."""

import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> Path:
    """Write a file through a temporary one beside it, so that readers see the old file or the whole new one.

    A link is followed: the file that it leads to is replaced. What is no regular file, as a device or a pipe, is
    written to.

    Raises:
        OSError: the folder cannot be written to, or the disk is full; the old file is then untouched.
    """
    if _is_special(path):
        with path.open("wb") as device:
            device.write(data)
        return path
    asked, path = path, Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return asked


def _is_special(path: Path) -> bool:
    """True for devices, pipes and sockets, and for whatever a path of the system leads to, as /dev/stdout."""
    return path.absolute().parts[1:2] in (("dev",), ("proc",)) or (path.exists() and not path.is_file())


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
