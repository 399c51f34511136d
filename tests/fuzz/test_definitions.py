"""The judge's own definitions: they agree with a sound compiler's, and each wrong reading of the compiler's fails."""

import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import pgcompile as pgc
from pgcompile.vocabulary.functional import Functional
from pgcompile.vocabulary.functionals import functionals
from tests.fuzz.definitions import DEFINITIONS, FORMULAS, MISREADINGS, Misreading, program

ROOT = Path(pgc.__file__).parent


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pgc.ProgramWarning)
        yield


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_verifies(name: str) -> None:
    checks = pgc.compile(program(name)).verify(runs=1200)
    assert [str(check) for check in checks if not check.passed] == []


@pytest.mark.parametrize("fault", MISREADINGS, ids=[fault.what for fault in MISREADINGS])
def test_a_misread_formula_fails(fault: Misreading, monkeypatch: pytest.MonkeyPatch) -> None:
    _misread(fault, monkeypatch)
    checks = pgc.compile(program(fault.formula)).verify(runs=600)
    failed = [check for check in checks if not check.passed]
    assert failed, "the misreading was not noticed"


def test_a_module_made_again_without_a_fault_verifies(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `_misread` does beside its fault is not what fails."""
    for file, line in (
        ("objective/functionals/expectations.py", "    def _divergence("),
        ("objective/resolve.py", "class Objectives:"),
        ("vocabulary/functionals/elbo.py", "FUNCTIONAL = Functional("),
    ):
        _misread(Misreading("none", "ELBO", file, line, line), monkeypatch)
    checks = pgc.compile(program("ELBO")).verify(runs=600)
    assert [str(check) for check in checks if not check.passed] == []


def test_definitions_of_the_vocabulary_are_misread() -> None:
    """Every functional that a definition states, and at least twenty ways to state it wrongly."""
    stated = {f"vocabulary/functionals/{f.name.lower()}.py" for f in functionals().values() if f.definition is not None}
    assert stated <= {fault.file for fault in DEFINITIONS}
    assert len(DEFINITIONS) >= 20
    assert all(fault.file.startswith("vocabulary/functionals/") for fault in DEFINITIONS)


def test_a_difference_names_what_both_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = {fault.what: fault for fault in MISREADINGS}
    _misread(faults["samples of an expectation ignored"], monkeypatch)
    checks = pgc.compile(program("samples")).verify(runs=600)
    details = [check.detail for check in checks if not check.passed]
    assert "samples of q(z|x): the formula says 3, the compiler 1" in details
    _misread(faults["the sides of KL"], monkeypatch)
    checks = pgc.compile(program("KL")).verify(runs=600)
    details = [check.detail for check in checks if not check.passed]
    assert "the formula averages over q(z|x), the compiler over p(z)" in details


def _misread(fault: Misreading, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a fault into the running compiler: the module is made again, and its users get what it defines."""
    path = ROOT / fault.file
    text = path.read_text(encoding="utf-8")
    assert text.count(fault.right) == 1, f"the fault `{fault.what}` has lost its target in {fault.file}"
    name = "pgcompile." + fault.file.removesuffix(".py").replace("/", ".")
    functionals()  # the registry is filled once: before the fault, and so not with it
    sound = import_module(name)
    broken = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, broken)
    exec(compile(text.replace(fault.right, fault.wrong), str(path), "exec"), broken.__dict__)  # noqa: S102
    for user, module in list(sys.modules.items()):
        if user.startswith("pgcompile.") and module is not broken:
            for attribute, value in list(vars(module).items()):
                if getattr(value, "__module__", None) == name and vars(sound).get(attribute) is value:
                    monkeypatch.setattr(module, attribute, vars(broken)[attribute])
    if "FUNCTIONAL" in vars(broken):
        # Every user asks the registry, whose tables of words are made from it once: words are not what is misread.
        stated = broken.FUNCTIONAL
        assert functionals()[stated.name] is sound.FUNCTIONAL
        assert _words(stated) == _words(sound.FUNCTIONAL)
        monkeypatch.setitem(functionals(), stated.name, stated)


def _words(functional: Functional) -> tuple[object, ...]:
    """The spellings that the grammar and the messages know a functional by."""
    return functional.name, functional.spellings, functional.also_called, functional.takes_net
