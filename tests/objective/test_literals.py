"""Numbers in every place where a tensor is usual: literal "
"parameters, scalar parameters of vectors, constant objectives."""

import pytest
import torch
import torch.distributions as D
from torch import Tensor

import pgcompile as pgc
from tests.conftest import compiled


def score(text: str, **values: Tensor) -> Tensor:
    return compiled(text).Model().double().e(**values)


def test_a_scalar_bound_of_a_vector() -> None:
    x = torch.tensor([[0.0, 0, 0], [2, 2, 2], [0, 0, 0]]).double()
    b = torch.tensor([1.0, 3, 1]).double()
    found = score("x : real[3]\nb : real\np(x|b) = Uniform(-5, b)\ne = log p", x=x, b=b)
    torch.testing.assert_close(found, D.Uniform(-5.0, b.unsqueeze(-1)).log_prob(x).sum(-1))


def test_a_temperature_for_each_example() -> None:
    text = (
        "x : unit_interval[3]\nt : positive\nl : real[3]\np(x|t,l) "
        "= RelaxedBernoulli(temperature = t, logits = l)\ne = log p"
    )
    model = compiled(text).Model().double()
    x, t, l = torch.rand(3, 3).double(), torch.rand(3).double() + 0.5, torch.randn(3, 3).double()  # noqa: E741
    expected = D.RelaxedBernoulli(t.unsqueeze(-1), logits=l).log_prob(x).sum(-1)
    torch.testing.assert_close(model.e(x=x, t=t, l=l), expected)
    torch.testing.assert_close(model.factor("p(x|t,l)")(t, l).log_prob(x), expected)
    assert model.sample((5,), {"t": t, "l": l})["x"].shape == (5, 3, 3)
    vector = text.replace("unit_interval", "simplex").replace("Bernoulli", "OneHotCategorical")
    assert "PGC305" in {d.code for d in pgc.check(vector)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("mean(y)", 3.0), ("sum(y)", 9.0), ("mean(y) + mean(2 * y)", 9.0), ("2 * mean(y)", 6.0), ("mean(sum(v))", 3.0)],
)
def test_mean_and_sum_of_one_number_a_data_point_are_over_the_batch(text: str, expected: float) -> None:
    model = compiled(f"y : real\nv : real[2]\nparam m : real = 0\np(y|v) = Normal(m, 1)\ne = {text}").Model()
    y = torch.tensor([1.0, 2.0, 6.0])
    values = {"y": y} if "v" not in text else {"v": torch.stack((y, 0 * y), -1)}
    assert float(model.e(**values)) == pytest.approx(expected)


def test_initial_values_mean_the_value_in_the_space() -> None:
    text = "x : real[3]\nparam l : {}[3, 3] = {}\np(x) = MultivariateNormal(0, {} = l)\ne = log p"
    for kind, parameter in (("lower_cholesky", "scale_tril"), ("positive_definite", "covariance_matrix")):
        found = score(text.format(kind, "eye", parameter), x=torch.zeros(3).double())
        assert float(found) == pytest.approx(-2.7568155996140185, rel=1e-6)
    triangle = [[2, 0, 0], [1, 1, 0], [0.5, 0, 3]]
    found = score(text.format("lower_cholesky", triangle, "scale_tril"), x=torch.ones(3).double())
    exact = D.MultivariateNormal(torch.zeros(3).double(), scale_tril=torch.tensor(triangle).double())
    torch.testing.assert_close(found, exact.log_prob(torch.ones(3).double()), rtol=1e-6, atol=1e-6)
    assert "PGC315" in {
        d.code for d in pgc.check(text.format("lower_cholesky", [[1, 2, 0], [0, 1, 0], [0, 0, 1]], "scale_tril"))
    }


LITERAL = [
    ("x : real[3]", "MultivariateNormal([0.5, -1, 2], scale_tril = [[2, 0, 0], [0, 1, 0], [0, 0, 0.5]])"),
    ("x : real[3]", "MultivariateNormal(0, covariance_matrix = [[2, 0, 0], [0, 1, 0], [0, 0, 0.5]])"),
    ("x : positive[2]", "Gamma(2, 3)"),
    ("x : positive", "InverseGamma(2, 3)"),
    ("x : unit_interval[2]", "Beta(2, 3)"),
    ("x : nonnegative_integer[2]", "NegativeBinomial(5, probs = 0.5)"),
    ("x : unit_interval[2]", "ContinuousBernoulli(probs = 0.15)"),
    ("x : unit_interval", "ContinuousBernoulli(logits = 0)"),
    ("x : real[2]", "VonMises(0.2, 0.3)"),
    ("x : real", "Uniform(-1, 2)"),
    ("x : category[4][3]", "Categorical(probs = [0.1, 0.2, 0.3, 0.4])"),
    ("x : category[3][3]", "Categorical(logits = [0.1, 0.2, 0.3])"),
    ("x : category[4][2, 3]", "Categorical(probs = [0.1, 0.2, 0.3, 0.4])"),
    ("x : simplex[2, 3]", "Dirichlet([0.5, 2, 3.5])"),
    ("x : one_hot[2, 3]", "OneHotCategorical(probs = [0.2, 0.3, 0.5])"),
    ("x : nonnegative_integer[2, 3]", "Multinomial(total_count = 4, probs = [0.2, 0.3, 0.5])"),
    ("x : simplex[2, 4]", "RelaxedOneHotCategorical(0.5, logits = [0, 1, 2, 3])"),
    ("x : unit_interval[2]", "RelaxedBernoulli(0.5, logits = 1)"),
    ("x : boolean[2]", "Bernoulli(0.3)"),
    ("x : nonnegative_integer", "Poisson(3)"),
    ("x : nonnegative_integer", "Geometric(0.3)"),
    ("x : real[2]", "StudentT(3)"),
    ("x : real[2]", "Laplace(0, 1)"),
    ("x : real[2]", "Cauchy(1, 2)"),
    ("x : nonnegative[2]", "HalfNormal(2)"),
    ("x : positive[2]", "LogNormal(0, 0.5)"),
]


@pytest.mark.parametrize(("space", "family"), LITERAL)
def test_literal_parameters(space: str, family: str) -> None:
    """The planned log-density agrees with the factor's torch distribution on its own samples; all batch shapes work."""
    model = compiled(f"{space}\np(x) = {family}\ne = log p(x)").Model()
    for batch in ((), (4,), (2, 3)):
        x = model.sample(batch)["x"]
        found = model.e(x=x)
        assert found.shape == batch
        torch.testing.assert_close(found, model.factor("p(x)")().log_prob(x), rtol=1e-4, atol=1e-4)
    if "Cauchy" not in family:
        assert model.sample_mean((5,))["x"].shape == model.sample((5,))["x"].shape


@pytest.mark.parametrize(
    "text",
    [
        "z : positive\nq(z) = Gamma(2, 3)",
        "z : unit_interval\nq(z) = Beta(2, 3)",
        "z : positive\nq(z) = InverseGamma(3, 3)",
        "z : unit_interval\nq(z) = ContinuousBernoulli(probs = 0.2)",
    ],
)
@pytest.mark.parametrize("samples", [1, 3])
def test_draws_with_literal_parameters(text: str, samples: int) -> None:
    program = f"x : real\n{text}\np(x|z) = Normal(z, 1)\ne = E_{{q(z); samples={samples}}}[log p(x|z)]"
    assert compiled(program).Model().e(x=torch.zeros(7)).shape == (7,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("KL[q(z) || p(z)]", float(D.kl_divergence(D.Normal(1.0, 0.5), D.Normal(0.0, 2.0)))),
        ("H[q(z)]", float(D.Normal(1.0, 0.5).entropy())),
        ("1 + 1", 2.0),
        ("beta", 0.5),
        ("2^beta", 2**0.5),
    ],
)
def test_constant_objectives_are_tensors(text: str, expected: float) -> None:
    program = f"z : real\ninput beta : real\nq(z) = Normal(1, 0.5)\np(z) = Normal(0, 2)\ne = {text}\nminimize e"
    model = compiled(program).Model()
    inputs = {"beta": torch.tensor(0.5)} if "beta" in text else {}
    for found in (model.e(**inputs), model.loss(**inputs), model.terms(**inputs)["e"]):
        assert isinstance(found, Tensor)
        assert float(found) == pytest.approx(expected)


def test_divergences_of_uniforms_with_literals() -> None:
    model = compiled(
        "z : real\nq(z) = Uniform(0, 1)\np(z) = Uniform(-1, 2)\nr(z) = Uniform(0, 3)\na = KL[q || p]\nb = KL[p || r]"
    ).Model()
    assert float(model.a()) == pytest.approx(1.0986122886681098)
    assert float(model.b()) == float("inf")


def test_powers_of_expectations_are_unbiased() -> None:
    text = "x : real[3]\nq(z|x) = Normal(x, 1)\nz : real[3]\ne = E_q[sum(z) + 0 * sum(tanh(z))]^2"
    model = compiled(text).Model()
    x = torch.full((40_000, 3), 0.1)
    assert float(model.e(x=x).mean()) == pytest.approx(0.09, abs=0.1)
    assert compiled(text).source.count("torch.randn_like(x)") >= 2
