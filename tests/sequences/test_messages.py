"""What a program with indices is told, where people go wrong: the message, and the way out."""

import pytest
import torch

import pgcompile as pgc
from tests.conftest import compiled

MODEL = """index t in 1..T
x_t : real[2]
h_t : real[3]
h_0 = 0
net cell = GRUCell(3)
net out = Linear(2)
h_t = cell(x_t, h_{t-1})
p(x_t | h_{t-1}) = Normal(out(h_{t-1}), 1)
fit = sum_t log p(x_t|h_{t-1})
maximize fit
"""


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("sum_t log", "sum_k log", "PGC117", "write sum_t"),
        ("1..T", "1:T", "PGC006", "write `..`"),
        ("h_0 = 0", "h_0 = [0, 0]", "PGC301", "give h_0 as many numbers"),
        ("h_0 = 0", "param h_0 : real[4]", "PGC301", "give h_0 as many numbers"),
        ("GRUCell(3)", "LSTMCell", "PGC311", "cell(x, h, c)"),
        ("x_t : real[2]", "x_{1:T} : real[2]", "PGC118", "write `x_t : ...`"),
        ("h_t : real[3]", "h : real[3]", "PGC115", "`h_t : ...`"),
        ("sum_t log p(x_t|h_{t-1})", "sum_t log p(x_t|h_{t-1}) / T", "PGC101", "write mean_t (...)"),
        ("cell(x_t, h_{t-1})", "cell(x_t, h_t-1)", "PGC114", "one place before is h_{t-1}"),
        ("GRUCell(3)", "GRU(3)", "PGC303", "step with `GRUCell`"),
        ("h_t : real[3]\n", "", "PGC307", "`h_t : real[64]`"),
        ("net out = Linear(2)", "net out = Linear(2) >> Unflatten(-1, [2, 1])", "PGC311", "write `Unflatten([2, 1])`"),
        ("h_0 = 0", "h_0 = 0\nparam w_t : real[2]", "PGC010", "`w[k_t]`"),
        ("h_0 = 0", "h_0 = 0\ninput w_t : real[2]", "PGC010", "without the word `input`"),
        ("h_0 = 0", "h_0 = 0\nx_0 = 0\no = sum_t sum(observed(x_{t-1}))", "PGC010", "`s_t = observed(x_t)`"),
        (
            "maximize fit",
            "z_t : real\nz_0 = 0\np(z_t|z_{t-1}) = Normal(z_{t-1}, 1)\nq(z_t|z_{t-1}) = Normal(z_{t-1}, 2)\n"
            "two = ELBO[p(z) || q(z)] + IWAE[p(z) || q(z); samples=3]\nmaximize two",
            "PGC121",
            "two objectives",
        ),
        ("maximize fit", "z : real\nq(z|x_{1:T}) = Normal(0, 1)\nmaximize fit", "PGC010", "use e_T or r"),
        ("maximize fit", "z_t : real\nq(z_t|x_{1:T}) = Normal(0, 1)\nmaximize fit", "PGC010", "use e_t or r"),
    ],
)
def test_the_way_out_is_told(old: str, new: str, code: str, words: str) -> None:
    compiled(MODEL)
    assert old in MODEL
    with pytest.raises(pgc.CompileError) as caught:
        compiled(MODEL.replace(old, new))
    found = {d.code: d.help for d in caught.value.diagnostics}
    assert words in (found[code] or "")


def test_a_start_is_a_number_of_its_sequence_s_kind() -> None:
    """`h_0 = 0` of reals is a real, though 0 alone could be a boolean."""
    assert compiled(MODEL).analysis.model.spaces["h_0"].kind == "real"


def test_a_factor_of_the_first_place_has_the_name_that_it_was_given() -> None:
    text = (
        "index t in 1..T\nx_t, z_t : real\np(z_1) = Normal(0, 1)\np(z_t|z_{t-1}) = Normal(z_{t-1}, 1)\n"
        "p(x_t|z_t) = Normal(z_t, 1)\nq(z_1|x_1) = Normal(x_1, 2)\nq(z_t|z_{t-1}, x_t) = Normal(x_t, 1)\n"
        "elbo = ELBO[p || q]\nmaximize elbo"
    )
    factor = compiled(text).Model().factor("q(z_1|x_1)")(x=torch.tensor(3.0))
    assert (float(factor.mean), float(factor.stddev)) == (3.0, 2.0)
