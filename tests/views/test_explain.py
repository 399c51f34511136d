"""What `pgc explain` prints of objectives whose draws need a plan."""

import pytest
from click.testing import CliRunner

from pgcompile.cli import main
from tests.programs import ROOT

DISCRETE = """x : real[2]
b : boolean[40]
k : category[3]
z : real[2]
net enc = Linear(40)
net top = Linear(3)
param m : real[3, 2] = normal(1)
param base : real = 0
q(b|x) = Bernoulli(logits = enc(x))
q(k|x) = Categorical(logits = top(x))
q(z|k) = Normal(m[k], 1)
p(b) = Bernoulli(0.5)
"""


def explained(text: str, *options: str) -> str:
    result = CliRunner().invoke(main, ["explain", text, *options])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    ("formula", "lines"),
    [
        (
            "E_{q(b|x); samples=3}[sum(enc(b @ m_b))]",
            ["b ~ q(b|x): score function, 3 draws, less the mean of the other draws"],
        ),
        (
            "E_{q(b|x); baseline=base}[sum(enc(b @ m_b))]",
            ["b ~ q(b|x): score function, one draw, less the baseline base"],
        ),
        ("E_{q(b|x); relax=gumbel}[sum(enc(b @ m_b))]", ["b ~ q(b|x): relaxed, a soft draw, one draw", "biased"]),
        ("E_{p(b)}[sum(enc(b @ m_b))]", ["b ~ p(b): none, one draw", "nothing is learned"]),
        (
            "E_{q(k|x) q(z|k)}[sum(tanh(z))]",
            ["k ~ q(k|x): enumerated, 3 values", "z ~ q(z|k): pathwise, one draw", "differentiable functions of noise"],
        ),
        ("E_{q(k|x) q(z|k)}[sum(z)]", ["k ~ q(k|x): enumerated, 3 values"]),
        ("E_{q(z|k)}[sum(z)]", ["nothing is drawn: the gradient is exact"]),
    ],
)
def test_the_gradient_plan(formula: str, lines: list[str]) -> None:
    found = explained(f"{DISCRETE}param m_b : real[40, 2] = 0.1\ne = {formula}", "--gradients")
    for line in lines:
        assert line in found


def test_rules_are_named() -> None:
    found = explained(
        DISCRETE + "p(x|k) = Normal(m[k], 1)\np(k) = Categorical(logits = 0)\ne = log E_{q(k|x)}[p(x,k) / q(k|x)]"
    )
    for rule in ("[log of a product]", "[enumeration]", "[log-sum-exp]"):
        assert rule in found


def test_the_derivation_in_latex() -> None:
    found = explained(str(ROOT / "examples" / "vae.pgc"), "--latex")
    assert found.startswith("\\begin{align*}")
    assert r"D_{\mathrm{KL}}\left[q(z \mid x) \,\|\, p(z)\right] &= \frac{q_{loc}^{2}}{2}" in found
    assert found.count("{") == found.count("}")
