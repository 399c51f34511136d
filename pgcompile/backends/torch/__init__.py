"""A plan becomes Python source: the module that its user reads, ships and keeps."""

from pgcompile.backends.torch.module_class import Emitted, emit

__all__ = ["Emitted", "emit"]
