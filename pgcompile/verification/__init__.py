"""Translation validation: an emitted module against the reference interpreter, at random parameters and data."""

from pgcompile.verification.checks import Check
from pgcompile.verification.verify import verify

__all__ = ["Check", "verify"]
