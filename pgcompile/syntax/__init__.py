"""Text to a tree of dataclasses with spans, and back to text. LaTeX and Unicode spellings end here."""

from pgcompile.syntax.parse import parse

__all__ = ["parse"]
