"""The command line `pgc`. Each module of `pgcompile.cli.commands` is one command and has its name."""

from pgcompile.cli.group import main

__all__ = ["main"]
