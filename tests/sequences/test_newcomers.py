"""Programs with indices as newcomers wrote them, and what they were told."""

import pytest
import torch

import pgcompile as pgc

RIGHT = {
    "a mean over one of two indices, with its space": (
        "index t in 1..T\nindex n in 1..N\nx_{n,t} : real[2]\nr_n : real[2]\nr_n = mean_t x_{n,t}\n"
        "p(y_n|r_n) = Normal(sum(r_n), 1)\nl = sum_n log p(y_n|r_n)\n"
    ),
    "a whole sequence by its bare name": (
        "index m in 1..M\ny_m : real[1]\nz : real[4]\nnet enc = Linear(4)\np(z) = Normal(0, 1)\n"
        "p(y_m|z) = Normal(sum(z), 1)\nq(z|y_{1:M}) = Normal(s, 1)\ns = sum_m enc(y_m)\n"
        "elbo = E_{q(z|y)}[sum_m log p(y_m|z)] - KL[q(z|y) || p(z)]\n"
    ),
    "means over two indices": (
        "index i in 1..I\nindex j in 1..J\nx_i, y_j : real\nparam m : real\np(x_i) = Normal(m, 1)\n"
        "p(y_j) = Normal(m, 2)\nl = mean_i log p(x_i) + mean_j log p(y_j)\n"
    ),
    "a start of data beside its runs": (
        "index t in 1..T\nx_t : real[2]\nz : real\nx_0 = 0\nnet g = GRU(4)\ne_{1:T} = g(x_{1:T})\n"
        "p(x_t|x_{t-1}) = Normal(x_{t-1}, 1)\nq(z|x_{1:T}) = Normal(sum(e_T), 1)\n"
        "l = E_{q(z|x_{1:T})}[z^2] + sum_t log p(x_t|x_{t-1})\n"
    ),
    "clauses of one name at the first place and the others": (
        "index t in 1..T\nx_t, z_t : real[2]\nnet f = Linear(2)\np(z_1) = Normal(e, 1) where e = 2\n"
        "p(z_t|z_{t-1}) = Normal(e, 1) where e = f(z_{t-1})\np(x_t|z_t) = Normal(z_t, 1)\nl = log p\n"
    ),
}

WRONG = {
    "a family of all places": (
        "index t in 1..T\nx_t, z_t : real\np(z_t) = Normal(0, 1)\np(x_t|z_t) = Normal(z_t, 1)\n"
        "q(z_{1:T}|x_{1:T}) = Normal(x_t, 1)\nelbo = ELBO[p || q]\n",
        "PGC212",
        "q(z_t|x_t) = ...",
    ),
    "a largest place": (
        "index t in 1..T\nx_t : real[2]\nz : real\nr = max_t x_t\nq(z|r) = Normal(sum(r), 1)\nl = H[q(z|r)]\n",
        "PGC101",
        "sum_t, mean_t",
    ),
    "a place of a variable as another": (
        "index t in 1..T\nz_t, z_T : real\np(z_t) = Normal(0, 1)\np(z_T) = Normal(5, 1)\nl = log p(z_T)\n",
        "PGC118",
        "last place of z_t",
    ),
    "the row before": (
        "index t in data\nx_t : real[2]\np(x_t|x_{t-1}) = Normal(x_{t-1}, 1)\nx_0 = 0\nl = sum_t log p(x_t|x_{t-1})\n",
        "PGC118",
        "index t in 1..T",
    ),
    "lengths of rows": (
        "index n in data\nindex t in 1..T padded\nx_{n,t} : real\np(x_{n,t}) = Normal(0, 1)\n"
        "l = sum_n sum_t log p(x_{n,t})\n",
        "PGC010",
        "leave `index n in data`",
    ),
    "a series of numbers": (
        "index t in 1..T\nx_t : real\nnet g = GRU(4)\ne_{1:T} = g(x_{1:T})\nq(z|e_T) = Normal(sum(e_T), 1)\n"
        "l = H[q(z|e_T)]\n",
        "PGC303",
        "x_t : real[1]",
    ),
    "a divergence for each row": (
        "index n in data\ny_n, w : real\nparam m : real\np(w) = Normal(0, 1)\np(y_n|w) = Normal(w, 1)\n"
        "q(w) = Normal(m, 1)\nelbo = sum_n (E_{q(w)}[log p(y_n|w)] - KL[q(w) || p(w)])\n",
        "W131",
        "out of the brackets",
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_it_compiles_and_the_judge_agrees(name: str) -> None:
    assert all(check.passed for check in pgc.compile(RIGHT[name]).verify(runs=60))


def test_the_first_place_has_its_own_clause() -> None:
    model = pgc.compile(RIGHT["clauses of one name at the first place and the others"]).Model()
    z = torch.full((1, 1, 2), 2.0)
    at_mean = 2 * torch.distributions.Normal(0.0, 1.0).log_prob(torch.zeros(2)).sum()
    assert torch.allclose(model.l(x=z, z=z), at_mean)


@pytest.mark.parametrize("run", ["x_{<=t}", "x_{≤t}", r"x_{\leq t}", r"x_{\le t}"])
def test_the_places_up_to_one(run: str) -> None:
    text = "index t in 1..T\nx_t : real[2]\nz_t : real\nnet f = GRU(3)\nq(z_t|RUN) = Normal(sum(f(RUN)), 1)\n"
    text += "l = sum_t H[q(z_t|RUN)]\n"
    assert [d for d in pgc.check(text.replace("RUN", run)) if d.code[0] != "N"] == []
    assert pgc.compile(text.replace("RUN", run)).source == pgc.compile(text.replace("RUN", "x_{1:t}")).source


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told(name: str) -> None:
    text, code, words = WRONG[name]
    found = pgc.check(text)
    assert any(d.code == code and words in d.message + (d.help or "") for d in found), [str(d) for d in found]
