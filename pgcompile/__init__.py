"""pgcompile: deep generative models written as formulas, compiled to PyTorch.

>>> import pgcompile as pgc
>>> pgc.check("p(x|z) p(z)")
[]
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgcompile.diagnostics import CompileError, Diagnostic, InternalError, ProgramWarning, Severity
from pgcompile.diagnostics.render import render
from pgcompile.tracebacks import explain_error

if TYPE_CHECKING:
    from pgcompile.program import Program
    from pgcompile.training import Trainer

__version__ = "0.1.0"
__all__ = [
    "CompileError",
    "Diagnostic",
    "InternalError",
    "Program",
    "ProgramWarning",
    "Trainer",
    "check",
    "compile",
    "explain_error",
]

Constants = dict[str, int | float]


def compile(
    program: str | Path | None = None,
    name: str | None = None,
    constants: Constants | None = None,
    *,
    model: str | None = None,
    objective: str | None = None,
    where: Mapping[str, str | float | list[Any]] | None = None,
    link: bool = False,
    debug: bool = False,
) -> Program:
    """Compile a program.

    Args:
        program: its text, or the path of a `.pgc` file.
        name: name of the emitted class; by default after the file, else `Model`.
        constants: sizes that replace those of `const` declarations.
        model: the quick form: a product of factors, `"p(x|z) p(z)"`.
        objective: the quick form: a formula to maximise; `"elbo = ..."` names it, `"minimize ..."` is a line.
        where: the quick form: what each variable, factor and net is, by the left side of its statement; numbers and
            lists may stand for themselves: `{"const D": 64}`.
        link: import special functions from pgcompile instead of copying them.
        debug: the module checks that its variables lie in their spaces, and stops at the first value that is not
            finite, naming it and its formula. It waits for the device at every line.

    Returns:
        The `Program`. Warnings about it are issued as `ProgramWarning`s, and are in its `.diagnostics`.

    Raises:
        CompileError: the program has errors; `.diagnostics` lists all of them.
        FileNotFoundError: there is no such file.

    Examples:
        >>> import pgcompile as pgc
        >>> program = pgc.compile(
        ...     model="p(x|z) p(z)",
        ...     objective="elbo = ELBO[p || q]",
        ...     where={
        ...         "x": "boolean[3]",
        ...         "z": "real[2]",
        ...         "net decoder": "Linear(3)",
        ...         "net loc": "Linear(2)",
        ...         "p(z)": "Normal(0, 1)",
        ...         "p(x|z)": "Bernoulli(logits = decoder(z))",
        ...         "q(z|x)": "Normal(loc(x), 1)",
        ...     },
        ... )
        >>> print(program)
        p(z,x) = p(z) p(x|z)
        with q(z|x)
          x : boolean[3]
          z : real[2]
          elbo = ELBO[p || q]
          maximize elbo using Adam
        >>> model = program.Model()
        >>> model.sample((16,))["x"].shape
        torch.Size([16, 3])

        All mistakes of a program are in one exception:

        >>> try:
        ...     pgc.compile("p(x|z) p(z|x)")
        ... except pgc.CompileError as error:
        ...     print([found.code for found in error.diagnostics])
        ['PGC203']
    """
    from pgcompile.program import compile_source
    from pgcompile.sources import read_source, source_of_parts

    if program is not None and (model or objective or where):
        raise TypeError("give either a program, or model, objective and where")
    source = read_source(program) if program is not None else source_of_parts(model, objective, where or {})
    compiled = compile_source(source, name, constants, link=link, debug=debug)
    for found in compiled.diagnostics:
        if found.severity is Severity.WARNING:
            warnings.warn(f"\n{render(found, colour=False)}", ProgramWarning, stacklevel=2)
    return compiled


def check(program: str | Path, constants: Constants | None = None) -> list[Diagnostic]:
    """The diagnostics of a program, in source order; a bad program is not an exception.

    Args:
        program: its text, or the path of a `.pgc` file.
        constants: sizes that replace those of `const` declarations.

    Returns:
        Errors, warnings and notes.

    Examples:
        >>> import pgcompile as pgc
        >>> (found,) = pgc.check("p(x|z) p(z|x)")
        >>> found.code, found.message
        ('PGC203', 'these factors cannot be multiplied: x and z condition on each other')
        >>> print(render(found, colour=False))
        error[PGC203]: these factors cannot be multiplied: x and z condition on each other
         --> <program>:1:1
          |
        1 | p(x|z) p(z|x)
          | ^^^^^^ ^^^^^^
          = cycle: z -> x -> z
          = help: a joint needs an order; write p(x|z) p(z) or p(z|x) p(x)
    """
    from pgcompile.pipeline import analyse
    from pgcompile.sources import read_source

    return analyse(read_source(program), constants).diagnostics


def __getattr__(name: str) -> Any:
    if name == "Program":
        from pgcompile.program import Program

        return Program
    if name == "Trainer":  # which loads torch
        from pgcompile.training import Trainer

        return Trainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
