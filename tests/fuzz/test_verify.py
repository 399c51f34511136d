"""The judge is judged: emitted modules broken on purpose must fail verification; sound ones must pass."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import pgcompile as pgc
from pgcompile.cli import main
from tests.programs import EXAMPLES, ROOT

MUTATIONS = [
    ("sign of the divergence", "vae", "return log_p_x - kl", "return log_p_x + kl"),
    ("half forgotten", "vae", "kl = (0.5 * (loc.square()", "kl = (1.0 * (loc.square()"),
    ("log-scale forgotten", "vae", " - log_scale).sum(-1)", ").sum(-1)"),
    ("mean instead of sum", "vae", "return log_p_x - kl", "return log_p_x / 64 - kl"),
    ("noise not scaled", "vae", "z = loc + scale * torch.randn_like(loc)", "z = loc + torch.randn_like(loc)"),
    (
        "shared noise",
        "hierarchical_vae",
        "z_2 = loc_z_2 + scale_z_2 * torch.randn_like(loc_z_2)",
        "z_2 = loc_z_2 + scale_z_2 * z_1[..., :4]",
    ),
    ("gradient cut", "vae", "z = loc + scale *", "z = loc.detach() + scale *"),
    ("parents swapped", "conditional_vae", "torch.cat((z, one_hot), -1)", "torch.cat((one_hot, z), -1)"),
    ("constant forgotten", "factor_analysis", "0.5 * 64 * math.log(2 * math.pi)", "0.0"),
    ("next class", "classifier", "gather(-1, y.unsqueeze(-1))", "gather(-1, (y.unsqueeze(-1) + 1) % 10)"),
    ("weight forgotten", "beta_vae", "beta * kl", "1.0 * kl"),
    (
        "prior of the factor",
        "vae",
        "D.Normal(self._like.new_zeros(8), 1.0",
        "D.Normal(self._like.new_zeros(8), 2.0",
    ),
]


@pytest.mark.parametrize(("what", "name", "right", "wrong"), MUTATIONS, ids=[m[0] for m in MUTATIONS])
def test_a_broken_module_fails(what: str, name: str, right: str, wrong: str) -> None:
    program = pgc.compile(EXAMPLES[name])
    assert right in program.source, f"the mutation `{what}` has lost its target"
    program.source = program.source.replace(right, wrong)
    assert not all(check.passed for check in program.verify())


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples_pass(name: str) -> None:
    checks = pgc.compile(EXAMPLES[name]).verify()
    assert [str(c) for c in checks if not c.passed] == []


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = CliRunner().invoke(main, ["verify", str(ROOT / "examples" / "vae.pgc")])
    assert run.exit_code == 0
    assert "gradient of elbo" in run.output
    program = tmp_path / "e.pgc"
    program.write_text(
        "x : real[2]\nz : real[2]\nextern net f(z) -> real[2]\np(x|z) = Normal(f(z), 1)\np(z) = Normal(0, 1)\ns = log p"
    )
    assert CliRunner().invoke(main, ["verify", str(program)]).exit_code == 2
    (tmp_path / "parts.py").write_text("import torch\n\n\ndef make():\n    return torch.nn.Linear(2, 2)\n")
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke(main, ["verify", str(program), "--extern", "f=parts:make"])
    assert run.exit_code == 0, run.output
    assert CliRunner().invoke(main, ["verify", str(program), "--extern", "f=nowhere:make"]).exit_code == 2


SOUND = {
    "observed in a clause of parts": """
x : real[6]
z : real[2]
net enc(x, m) = cat(x, m) >> Linear(4)
p(z) = Normal(0, 1)
p(x|z) = Normal(sum(z), 1)
q(z|x) = Normal(m, softplus(s)) where (m, s) = enc(x, observed(x))
o = IWAE[p || q; samples=5]
""",
    "functions of means without data": """
k : category[2]
param m : real[2] = [0, 3]
p(k) = Categorical(logits = 0)
o = exp(E_{p(k)}[m[k]]) + 1 / (1 + E_{p(k)}[k]) + square(E_{p(k)}[k])
""",
    "functions of means and the means": """
x : real[2]
y : real
k : category[3]
net f = Linear(3)
param m : real[3] = [0, 3, 1]
q(k|x) = Categorical(logits = f(x))
p(y|k) = Normal(m[k], 1)
o = log E_{q(k|x)}[p(y|k)] + exp(E_{q(k|x)}[log p(y|k)]) - E_{q(k|x)}[m[k]]^2 + E_{q(k|x)}[log p(y|k)]
""",
    "numbers in clauses of objectives": """
x : real[4]
param m : real[4]
p(x) = Normal(m, 1)
o = beta * log p(x) + c where beta = 2, c = beta^2 + 1
r = beta * log p(x) where beta = 3
""",
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_module_passes(name: str) -> None:
    program = pgc.compile(f"{SOUND[name]}maximize o")
    assert [str(check) for check in program.verify() if not check.passed] == []


def test_numbers_of_two_clauses_stay_apart() -> None:
    model = pgc.compile(f"{SOUND['numbers in clauses of objectives']}maximize o").Model()
    x = torch.randn(3, 4)
    log_p = torch.distributions.Normal(0.0, 1.0).log_prob(x - model.m).sum(-1)
    torch.testing.assert_close(model.o(x=x), 2 * log_p + 5)
    torch.testing.assert_close(model.r(x=x), 3 * log_p)
    assert set(model.sample((2,))) == {"x"}
