"""A plan becomes Python source: the module that its user reads, ships and keeps."""

from pgcompile.emit.module import Emitted, emit

__all__ = ["Emitted", "emit"]
