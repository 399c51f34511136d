"""What is said of programs that people wrote: advice that is right, and nothing that is false."""

import pytest
import torch

import pgcompile as pgc
from tests.conftest import compiled

VAE = """
x : real[4]
z : real[2]
net f = Linear(4)
net g = Linear(2)
p(z) = Normal(0, 1)
p(x|z) = Normal(f(z), 1)
q(z|x) = Normal(g(x), 1)
"""

QUIET = {
    "rows of a simplex": "k, l : category[3]\nparam A : simplex[3, 3]\np(k) = Categorical(logits = 0)\n"
    "p(l|k) = Categorical(probs = A[k])\no = log p(l|k) + log p(k)\nmaximize o",
    "a sigmoid is positive": "x : real[3]\ny : real\nnet f = Linear(1) >> Sigmoid\np(y|x) = Normal(0, f(x)[0])\n"
    "o = log p(y|x)\nmaximize o",
    "a net in a deterministic variable": "x, s : real[3]\nnet f = Linear(3)\ns = f(x)\no = sum((x - s)^2)\nminimize o",
    "the end of a half line": "t : positive\nx : real\np(t) = HalfNormal(5)\np(x|t) = Normal(0, t)\n"
    "o = log p(x|t) + log p(t)",
    "the end of an exponential": "x : positive\np(x) = Exponential(2)\no = log p(x)",
    "bounds that can be read": "t : unit_interval\nx : real\np(t) = Uniform(0, 1)\np(x|t) = Normal(t, 1)\n"
    "o = log p(x|t) + log p(t)",
    "positive bounds": "t : positive\np(t) = Uniform(1, 5)\no = log p(t)",
    "a sum of matrices": "y : real[3]\nbuffer K : real[3,3] = [[2, 0, 0], [0, 2, 0], [0, 0, 2]]\nparam s : positive\n"
    "p(y) = MultivariateNormal(0, covariance_matrix = K + s^2 * eye(3))\no = log p(y)\nmaximize o",
    "a diagonal of positive numbers": "y : real[3]\nparam s : positive[3]\n"
    "p(y) = MultivariateNormal(0, scale_tril = diag(s))\no = log p(y)\nmaximize o",
    "a gradient by another summand": VAE.replace("Normal(f(z), 1)", "Normal(f(z) + sign(f(z)), 1)")
    + "o = ELBO[p || q]\nmaximize o",
    "a mixture prior": VAE.replace(
        "p(z) = Normal(0, 1)",
        "k : category[3]\nparam m : real[3, 2] = normal(1)\n"
        "p(k) = Categorical(logits = 0)\np(z|k) = Normal(m[k], 1)\np(z) = sum_k p(z|k) p(k)",
    )
    + "o = E_{q(z|x)}[log p(x|z) + log p(z) - log q(z|x)]\nmaximize o",
    "the identity": "z : real[3]\np(z) = Normal(0, I)\no = log p(z)",
    "a scalar joins": "x : real[4]\nt : real\ny : real[2]\nnet f = Linear(2)\np(y|x,t) = Normal(f(cat(x, t)), 1)\n"
    "o = log p(y|x,t)\nmaximize o",
}


@pytest.mark.parametrize("name", QUIET)
def test_nothing_is_said(name: str) -> None:
    found = [d for d in pgc.check(QUIET[name]) if d.severity.name != "NOTE"]
    assert [f"{d.code}: {d.message}" for d in found] == []


LOUD = {
    "a flow as a family": (
        "x : real[4]\nflow f = MaskedAutoregressive\np(x) = f(Normal(0, 1))",
        "a base seen through it is `Flow(Normal(0, 1), f)`",
    ),
    "choices": (
        "z : one_hot[10][20]\np(z) = OneHotCategorical(logits = 0)",
        "20 of 10 values each are one_hot[20, 10]",
    ),
    "a shape of several sizes": (
        "x : real[16]\nnet f = Linear(3136) >> Unflatten(64, 7, 7) >> Flatten\no = sum(f(x))",
        "write `Unflatten([64, 7, 7])`",
    ),
    "an input with a value": ("x : real\ninput N : real = 500\no = N * x", "a `param` would be learned"),
    "a missing prior": (
        VAE.replace("z : real[2]", "z, w : real[2]").replace(
            "p(x|z) = Normal(f(z), 1)", "p(x|z,w) = Normal(f(z) + f(w), 1)"
        )
        + "q(w|x) = Normal(g(x), 1)\no = ELBO[p(z) p(x|z,w) || q(z|x) q(w|x)]",
        "define `p(w) = Normal(0, 1)`, say",
    ),
    "two statements on a line": ("p(x|z) p(z); L = log p(x|z)", "start a new line: `L = log p(x|z)`"),
    "the identity as a matrix": ("x : real[3]\np(x) = MultivariateNormal(0, I)\no = log p(x)", "eye(3)"),
    "a layer as a value": (
        "x : real\np(x) = Normal(f, 1) where f = Linear\no = log p(x)",
        "a layer belongs in a net: `net f = Linear(64)`",
    ),
    "layers in a parameter": (
        "x, y : real[2]\np(y|x) = Normal(Linear(8) -> ReLU -> Linear(2), 1)\no = log p(y|x)",
        "declare `net f = Linear(64) >> ReLU >> Linear(2)`, and write f(x) here",
    ),
    "mutual information in words": (VAE + "o = ELBO[p || q] - I(x; z)\nmaximize o", "as in `MI[q(z|x)]`"),
    "mutual information in brackets": (VAE + "o = ELBO[p || q] - I[x; z]\nmaximize o", "write `MI[q(z|x)]`"),
    "using, misspelled": (VAE + "o = ELBO[p || q]\nmaximize o usng Adam", "write `using`"),
    "a marginal over two priors": (
        "x, y, w, b : real\np(w) = Normal(0, 1)\np(b) = Normal(0, 1)\np(y|x,w,b) = Normal(w * x + b, 1)\n"
        "o = log p(y|x)",
        "`p(y|x) = ∫ p(y|x,w,b) p(w) p(b) dw db`",
    ),
    "a primed name": (
        VAE + "o = E_{q(z|x)}[log p(x|z) - log mean_{x'} p(x'|u')]\nmaximize o",
        "its variables are",
    ),
    "a step alone": (
        VAE.replace("Normal(f(z), 1)", "Normal(f(sign(z)), 1)") + "o = ELBO[p || q]\nmaximize o",
        "use a smooth function",
    ),
}


@pytest.mark.parametrize("name", LOUD)
def test_the_advice(name: str) -> None:
    program, advice = LOUD[name]
    found = pgc.check(program)
    assert any(advice in (d.help or "") for d in found), [(d.message, d.help) for d in found]


def test_a_flow_as_a_family_is_one_fault() -> None:
    """What stands inside is not looked up as a function."""
    assert [d.code for d in pgc.check(LOUD["a flow as a family"][0])] == ["PGC102"]


def test_the_cross_entropy_of_a_decoder() -> None:
    """`CE[q || p]`, where p conditions on what q draws, is `E_q[-log p]`."""
    program = compiled(VAE + "o = CE[q(z|x) || p(x|z)]\nr = E_{q(z|x)}[-log p(x|z)]\n")
    model, x = program.Model().double(), torch.randn(5, 4, dtype=torch.float64)
    torch.manual_seed(0)
    found = model.o(x=x)
    torch.manual_seed(0)
    torch.testing.assert_close(found, model.r(x=x))
    assert all(check.passed for check in program.verify())


@pytest.mark.parametrize("formula", ["sum(f(x))", "mean(f(x)) + log p(x)", "f(x)[0]"])
def test_a_fault_in_a_net_is_said_whoever_calls_it_first(formula: str) -> None:
    found = pgc.check(f"x : real[16]\nnet f = Linear(3) >> Foo\np(x) = Normal(0, 1)\no = {formula}\n")
    assert [d.code for d in found if d.severity.name == "ERROR"] == ["PGC105"]


def test_a_name_with_a_prime_is_written_with_it() -> None:
    found = pgc.check(VAE + "o = E_{q(z|x)}[log p(x|z)] + log p(x'|z)\nmaximize o")
    said = " ".join(f"{d.message} {d.help}" for d in found)
    assert "x'" in said
    assert "x_prime" not in said
