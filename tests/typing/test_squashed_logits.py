"""The cure for logits that are probabilities names what squashes them, where the net itself does."""

import pytest

from pgcompile.diagnostics import Source
from pgcompile.pipeline import analyse


@pytest.mark.parametrize(
    ("stages", "cure"),
    [
        ("Linear(3) >> Sigmoid", "write probs = f(z), or take Sigmoid off f"),
        ("Linear(3) >> sigmoid", "write probs = f(z), or take sigmoid off f"),
        ("Linear(3) >> g", "write probs = f(z)"),
    ],
)
def test_what_the_cure_takes_off(stages: str, cure: str) -> None:
    text = f"x : boolean[3]\nz : real[2]\nnet g = Linear(3) >> Sigmoid\nnet f = {stages}\np(z) = Normal(0, 1)\n"
    found = analyse(Source(f"{text}p(x|z) = Bernoulli(logits = f(z))\na = log p(x|z)", "program")).diagnostics
    assert [d.help for d in found if d.code == "W122"] == [cure]
