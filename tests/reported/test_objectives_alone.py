"""Objectives without a program: they name their factors, and `pgc init` makes a program of them."""

from pathlib import Path

import mpmath
import pytest
import torch
from click.testing import CliRunner

import pgcompile as pgc
from pgcompile.cli import main
from pgcompile.diagnostics import Source
from pgcompile.pipeline import analyse
from pgcompile.views.skeleton import skeleton

FORMULAS = {
    "vae": ("E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]", {"q(z|x)", "p(x|z)", "p(z)"}),
    "joint": ("E_{q(z|x)}[log p(x,z) - log q(z|x)]", {"q(z|x)", "p(x,z)"}),
    "latex": (
        r"\mathcal{L}(\theta,\phi;x) = \mathbb{E}_{q_\phi(z|x)}\left[\log p_\theta(x|z)\right]"
        r" - \beta D_{KL}\left[q_\phi(z|x) \| p(z)\right]",
        {"q_phi(z|x)", "p_theta(x|z)", "p(z)"},
    ),
    "gan": ("E_{data(x)}[log d(x)] + E_{p(z)}[log(1 - d(g(z)))]", {"p(z)"}),
    "denoising": ("E_{p(e) p(t)}[sum((e - eps(y, t))^2)]", {"p(e)", "p(t)"}),
    "conditional": ("E_{q(z|x,y)}[log p(x|z,y)] - KL[q(z|x,y) || p(z|y)]", {"q(z|x,y)", "p(x|z,y)", "p(z|y)"}),
    "bottleneck": ("E_{q(z|x)}[log p(y|z)] - beta * KL[q(z|x) || r(z)]", {"q(z|x)", "p(y|z)", "r(z)"}),
    "importance": ("IWAE[p(x,z) || q(z|x); samples=5]", {"p(z)", "p(x|z)", "q(z|x)"}),
    "adversarial": ("JS_d[p(x|z) p(z) || data(x)]", {"p(x|z)", "p(z)"}),
    "mixture": ("log sum_k p(x|k) p(k)", {"p(x|k)", "p(k)"}),
    "marginal named too": ("log p(x) - KL[q(z|x) || p(z)] + E_{q(z|x)}[log p(x|z)]", {"q(z|x)", "p(x|z)", "p(z)"}),
    "contrastive": (
        r"\mathbb{E}_{q(z|x)}[\log p(x|z) - \log mean_{x'} p(x'|z)]",
        {"q(z|x)", "p(x|z)"},
    ),
    "structure": ("p(x|z) p(z)", {"p(x|z)", "p(z)"}),
}


@pytest.mark.parametrize("name", [n for n in FORMULAS if n not in ("importance", "structure")])
def test_a_formula_declares_the_factors_that_it_names(name: str) -> None:
    text, factors = FORMULAS[name]
    analysis = analyse(Source(text))
    assert not analysis.diagnostics
    assert {f.label for f in analysis.model.factors if not f.is_data} == factors
    assert analysis.model.is_structure


@pytest.mark.parametrize("name", [n for n in FORMULAS if n != "marginal named too"])
def test_the_program_made_of_a_formula_compiles_and_verifies(name: str) -> None:
    analysis = analyse(Source(FORMULAS[name][0]))
    text = skeleton(analysis.tree, analysis.model)
    program = pgc.compile(text)
    assert FORMULAS[name][1] <= {f.label for f in program.analysis.model.factors} | {"p(x,z)"}
    assert [check for check in program.verify(runs=200) if not check.passed] == []


@pytest.mark.parametrize(
    ("formula", "direction"),
    [
        ("E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]", "maximize"),
        ("KL[q(z|x) || p(z)] - E_{q(z|x)}[log p(x|z)]", "minimize"),
        ("-(log p(x))", "minimize"),
        ("E_{q(z|x)}[-log p(x|z)]", "minimize"),
        ("2 * IWAE[p(x|z) p(z) || q(z|x); samples=2]", "maximize"),
        ("E_{q(z|x)}[sum((x - g(z))^2)]", "minimize"),
        ("H[q(z|x)]", "maximize"),
    ],
)
def test_the_direction_of_training_is_that_of_the_formula(formula: str, direction: str) -> None:
    analysis = analyse(Source(formula))
    assert f"\n{direction} objective using" in skeleton(analysis.tree, analysis.model)


def test_check_says_what_is_missing_and_draws_the_graph() -> None:
    result = CliRunner().invoke(main, ["check", FORMULAS["vae"][0]])
    assert result.exit_code == 0
    assert "not said yet: the spaces of z, x and the families of p(x|z), p(z), q(z|x)" in result.output.replace(
        "q(z|x), p(z), p(x|z)", "p(x|z), p(z), q(z|x)"
    )
    assert "graph TD" in result.output
    assert "D_{\\mathrm{KL}}" in result.output


def test_bare_names_alone_ask_for_their_variables() -> None:
    found = pgc.check("E_q[log p] - KL[q||p]")
    assert [(d.code, d.help) for d in found] == [
        ("PGC108", "write its variables, as in q(z|x)"),
        ("PGC108", "write its variables, as in p(x|z)"),
    ]


def test_factors_that_are_no_product_are_still_refused() -> None:
    assert [d.code for d in pgc.check("p(x,z) p(z)")] == ["PGC202"]


def test_init_writes_a_file_once(tmp_path: Path) -> None:
    path = tmp_path / "m.pgc"
    run = CliRunner()
    assert run.invoke(main, ["init", "-o", str(path)]).exit_code == 0
    before = path.read_text()
    assert "KL[q(z|x) || p(z)]" in before
    refused = run.invoke(main, ["init", "log p(x)", "-o", str(path)])
    assert refused.exit_code == 2
    assert "--overwrite" in refused.output
    assert path.read_text() == before
    assert run.invoke(main, ["init", "log p(x)", "-o", str(path), "--overwrite"]).exit_code == 0
    assert "log p(x)" in path.read_text()


def test_init_keeps_what_is_said_already() -> None:
    text = "x : boolean[784]\nconst beta = 4\nelbo = E_{q(z|x)}[log p(x|z)] - beta * KL[q(z|x) || p(z)]\nminimize elbo"
    result = CliRunner().invoke(main, ["init", text])
    assert "x : boolean[784]\n" in result.output
    assert "const beta = 4" in result.output
    assert result.output.count("beta =") == 1
    assert "minimize elbo" in result.output


@pytest.mark.parametrize(
    "space",
    (
        "boolean[5] category[4] one_hot[3] positive[2] unit_interval[2] nonnegative_integer[3] simplex[3] real boolean "
        "boolean[4,3] real[2,3] category[4][3]"
    ).split(),
)
def test_spaces_that_are_said_choose_the_family(space: str) -> None:
    text = f"x : {space}\nl = E_{{q(z|x)}}[log p(x|z)] - KL[q(z|x) || p(z)]"
    analysis = analyse(Source(text))
    program = pgc.compile(skeleton(analysis.tree, analysis.model))
    assert f"x : {space}" in program.analysis.source.text.replace(", ", ",")
    assert [check for check in program.verify(runs=200) if not check.passed] == []


def test_a_discriminator_gives_one_number_and_keeps_its_logits() -> None:
    program = "x : real[1]\nnet d = Linear(1) >> Sigmoid\nl = log d(x) + 2 * log(1 - d(x))"
    model = pgc.compile(program).Model()
    with torch.no_grad():
        model.d[0].weight.fill_(1.0)
        model.d[0].bias.fill_(0.0)
    for logit in (-200.0, -3.0, 0.0, 5.0, 200.0):
        x = torch.tensor([[logit]], requires_grad=True)
        found = model.l(x=x)
        exact = -mpmath.log1p(mpmath.exp(-logit)) - 2 * mpmath.log1p(mpmath.exp(logit))
        assert found.shape == (1,)
        assert found.item() == pytest.approx(float(exact), rel=1e-6)
        found.sum().backward()
        slope = 1 / (1 + mpmath.exp(-logit))
        assert x.grad is not None
        assert x.grad.item() == pytest.approx(float((1 - slope) - 2 * slope), rel=1e-5, abs=1e-30)


def test_other_rows_are_no_variables_of_their_own() -> None:
    result = CliRunner().invoke(main, ["init", FORMULAS["contrastive"][0]])
    assert "x_prime" not in result.output
    assert "mean_{x'} p(x'|z)" in result.output


@pytest.mark.parametrize(("kind", "generator"), [("JS", "fool"), ("W", "objective"), ("KL", "objective")])
def test_an_adversarial_objective_has_two_players(kind: str, generator: str) -> None:
    result = CliRunner().invoke(main, ["init", f"{kind}_d[p(x|z) p(z) || data(x)]"])
    assert "maximize objective wrt d using" in result.output
    assert f"minimize {generator} wrt x_from_z using" in result.output
    assert ("form=nonsaturating" in result.output) == (kind == "JS")
    program = pgc.compile(result.stdout)
    assert [check for check in program.verify(runs=200) if not check.passed] == []
