"""The `pgc` command group: finds its commands, and turns the product's own exceptions into messages.

Exit status: 0 fine, 1 the program or its data has errors, 2 the command was misused, 3 a fault of pgcompile
(`pgc query` also exits with 3 for the answer no).
"""

import pkgutil
import sys
from importlib import import_module

import click

from pgcompile.cli import commands
from pgcompile.cli.messages import print_diagnostics
from pgcompile.diagnostics import CompileError, DataError, InternalError, MissingPart, RequestError
from pgcompile.tracebacks import explained


class CommandGroup(click.Group):
    """The commands of `pgcompile.cli.commands`, imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, sorted."""
        return sorted(module.name for module in pkgutil.iter_modules(commands.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The `command` of the module of that name; None where there is no such module."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"{commands.__name__}.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; its errors become messages on stderr and exit codes, here and nowhere else."""
        try:
            with explained():
                return super().invoke(ctx)
        except CompileError as error:
            print_diagnostics(error.diagnostics)
            sys.exit(1)
        except (MissingPart, RequestError) as error:
            raise click.UsageError(str(error)) from None
        except DataError as error:
            raise click.ClickException(str(error)) from None
        except InternalError as error:
            click.echo(f"internal error: {error}", err=True)
            sys.exit(3)
        except OSError as error:
            raise click.ClickException(
                f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
            ) from None


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pgcompile")
def main() -> None:
    """Deep generative models written as formulas, compiled to PyTorch."""
