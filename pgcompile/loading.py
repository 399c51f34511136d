"""The class of an emitted text as a class of Python: importable while it lives, and pickled with its program."""

import hashlib
import linecache
import sys
import weakref
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pgcompile.tracebacks import MAP_NAME

if TYPE_CHECKING:
    from pgcompile.compiled import Compiled

_CLASS = "__pgc_class__"
_DEAD: list[str] = []
"""Modules without a class. The next load pops them: garbage is collected while others go through `sys.modules`."""

_STATE_AFTER = 2
"""The place of the state in what `object.__reduce_ex__` gives."""


def load(program: "Compiled") -> type[Any]:
    """The class of a program's emitted text, in a module of its own.

    The module stands in `sys.modules` as long as the class lives, and until another is loaded: `torch.compile` imports
    the modules of the functions that it traces. Its name is no other's, so that a second compile of the same text does
    not see it.
    """
    while _DEAD:
        sys.modules.pop(_DEAD.pop(), None)
    digest = hashlib.sha256(program.source.encode()).hexdigest()[:12]
    filename = f"<pgcompile {program.class_name} {digest}>"
    linecache.cache[filename] = (len(program.source), None, program.source.splitlines(keepends=True), filename)
    module = ModuleType(f"pgcompile.emitted.{program.class_name}_{digest}_{id(program):x}")
    module.__dict__[MAP_NAME] = program.source_map
    # The text is pgcompile's own, printed from a checked plan; nothing of the program reaches it unprinted.
    exec(compile(program.source, filename, "exec"), module.__dict__)  # noqa: S102
    # Were the class in its module, `sys.modules` would hold it for good.
    found: type[Any] = module.__dict__.pop(program.class_name)
    module.__dict__[_CLASS] = weakref.ref(found)
    sys.modules[module.__name__] = module
    weakref.finalize(found, _DEAD.append, module.__name__)
    found.__reduce_ex__ = _reduced  # type: ignore[assignment]
    return found


def _reduced(self: Any, protocol: Any) -> tuple[Any, ...]:
    """The parts of pickles and copies: the program's text, which is compiled again where the class is not known."""
    program: Compiled = type(self).pgc_program
    state = object.__reduce_ex__(self, protocol)[_STATE_AFTER]
    name = type(self).__module__
    source = program.analysis.source
    return (
        program.restored,
        (name, source.text, source.name, program.class_name, program.constants, program.debug),
        state,
    )


def loaded(module: str) -> type[Any] | None:
    """The class in a module that this process has; None where it has none of that name."""
    known = sys.modules.get(module)
    found: type[Any] | None = None if known is None else known.__dict__[_CLASS]()
    return found
