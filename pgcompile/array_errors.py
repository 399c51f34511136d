"""Errors with which numpy, zipfile and Python itself answer while an array is read from a damaged file."""

import struct
import tokenize
import zipfile
import zlib

DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, SyntaxError, TypeError, IndexError)
"""The content is not what its format says; numpy reads headers as Python text."""

UNREADABLE = (
    *DAMAGED,
    OSError,
    ValueError,
    EOFError,
    KeyError,
    MemoryError,
    RuntimeError,
    OverflowError,
    NotImplementedError,
)
"""All of it: also what cannot be opened, is of another format, or does not fit into memory."""
