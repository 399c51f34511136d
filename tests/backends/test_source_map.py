"""The source map: every line of a method leads back to the program, and an error tells the user's line."""

import ast
import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import pgcompile as pgc
from pgcompile.cli import main
from pgcompile.program import Program
from tests.conftest import compiled
from tests.programs import EXAMPLES

VAE = """x : real[6]
z : real[2]
p(z) = Normal(0, 1)
p(x|z) = Normal(dec(z), 1)
q(z|x) = Normal(m(h), s(h)) where h = enc(x)
net enc = Linear(16) >> tanh
net m = Linear(2)
net s = Linear(2) >> softplus
net dec = Linear(6)
elbo = E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]
maximize elbo using Adam(lr=1e-3)
"""


def line_of(program: Program, text: str) -> int:
    """The first line of the module that holds some text, from 1."""
    return next(n for n, line in enumerate(program.source.split("\n"), 1) if text in line)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_line_of_an_objective_comes_from_the_program(name: str) -> None:
    program = compiled(EXAMPLES[name])
    mapped = program.source_map
    assert len(mapped.lines) == program.source.count("\n")
    model = program.analysis.model
    (made,) = [
        n for n in ast.parse(program.source).body if isinstance(n, ast.ClassDef) and n.name == program.class_name
    ]
    checked = 0
    for method in made.body:
        if isinstance(method, ast.FunctionDef) and method.name in model.objectives:
            for line in range(method.lineno, (method.end_lineno or 0) + 1):
                assert model.objectives[method.name].span in [origin.span for origin in mapped.at(line)]
                checked += 1
    assert checked or not model.objectives


def test_a_line_leads_to_its_factor_first_and_to_its_objective() -> None:
    program = compiled(VAE)
    origins = program.source_map.at(line_of(program, "loc_x = self.dec(z)"))
    assert [origin.label for origin in origins] == ["p(x|z)", "log p(x|z)", "elbo"]
    assert VAE[origins[0].span.start : origins[0].span.end] == "p(x|z)"
    closed = program.source_map.at(line_of(program, "kl = "))
    assert VAE[closed[0].span.start : closed[0].span.end] == "KL[q(z|x) || p(z)]"
    assert program.source_map.at(1) == ()
    assert program.source_map.at(10**6) == ()


def test_the_command_writes_the_map(tmp_path: Path) -> None:
    source, module, mapped = tmp_path / "vae.pgc", tmp_path / "vae.py", tmp_path / "vae.json"
    source.write_text(VAE)
    result = CliRunner().invoke(main, ["compile", str(source), "-o", str(module), "--source-map", str(mapped)])
    assert result.exit_code == 0, result.output
    found = json.loads(mapped.read_text())
    assert found["version"] == 1
    number = 1 + next(i for i, text in enumerate(module.read_text().split("\n")) if "log_p_x = " in text)
    places = [found["origins"][i] for i in found["lines"][str(number)]]
    assert [(p["label"], p["line"], p["column"], p["end_column"]) for p in places] == [
        ("p(x|z)", 4, 1, 7),
        ("log p(x|z)", 10, 23, 29),
        ("elbo", 10, 1, 5),
    ]


def test_an_error_shows_the_formula_and_the_line() -> None:
    model = compiled(VAE).Model()
    model.enc.double()
    with pytest.raises(RuntimeError) as caught:
        model.elbo(torch.ones(2, 6))
    assert pgc.explain_error(caught.value) == (
        "in q(z|x), in log p(x|z), in elbo\n"
        " --> <program>:5:1\n  |\n5 | q(z|x) = Normal(m(h), s(h)) where h = enc(x)\n  | ^^^^^^"
    )
    assert not hasattr(caught.value, "__notes__")


def test_an_error_elsewhere_has_no_place() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        1 / 0  # noqa: B018
    assert pgc.explain_error(caught.value) is None


def test_a_module_that_was_written_needs_its_map() -> None:
    program = compiled(VAE)
    namespace: dict[str, object] = {}
    exec(compile(program.source, "vae.py", "exec"), namespace)  # noqa: S102
    model = namespace["Model"]()  # type: ignore[operator]
    with pytest.raises(ValueError, match="ends in") as caught:
        model.elbo(torch.ones(2, 5))
    assert pgc.explain_error(caught.value) is None
    assert "elbo = E_{q(z|x)}" in (pgc.explain_error(caught.value, program.source_map) or "")


def test_a_debug_module_names_the_line_of_what_is_not_finite() -> None:
    model = pgc.compile(VAE, debug=True).Model()
    with torch.no_grad():
        model.dec.weight.fill_(torch.nan)
    with pytest.raises(FloatingPointError) as caught:
        model.terms(torch.ones(2, 6))
    (note,) = caught.value.__notes__
    assert note.startswith("in p(x|z), in log p(x|z), in elbo\n --> <program>:4:1\n")
    assert note.endswith("4 | p(x|z) = Normal(dec(z), 1)\n  | ^^^^^^")
