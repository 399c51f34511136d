"""The distributions that `factor` gives score in single precision where a power rounds, against mpmath."""

from collections.abc import Callable

import mpmath
import pytest
import torch

import pgcompile as pgc

mpmath.mp.dps = 60

ENDS = [1e-30, 1e-12, 1e-3, 0.02, 0.5, 0.98, 0.9999]
LONG = [1e-30, 1e-12, 1e-3, 0.1, 1.0, 20.0, 1e4]


def kumaraswamy(x: mpmath.mpf, a: float, b: float) -> mpmath.mpf:
    return mpmath.log(a * b) + (a - 1) * mpmath.log(x) + (b - 1) * mpmath.log(1 - x**a)


def weibull(x: mpmath.mpf, scale: float, k: float) -> mpmath.mpf:
    return mpmath.log(k / scale) + (k - 1) * mpmath.log(x / scale) - (x / scale) ** k


def inverse_gamma(x: mpmath.mpf, a: float, b: float) -> mpmath.mpf:
    return a * mpmath.log(b) - (a + 1) * mpmath.log(x) - b / x - mpmath.loggamma(a)


def geometric(x: mpmath.mpf, logits: float) -> mpmath.mpf:
    failure = 1 / (1 + mpmath.exp(logits))
    return x * mpmath.log(failure) + mpmath.log(1 - failure)


def relaxed(x: mpmath.mpf, t: float, logits: float) -> mpmath.mpf:
    """The density of a relaxed Bernoulli (Maddison et al. 2017, appendix B)."""
    odds = mpmath.exp(logits)
    top = t * odds * x ** (-t - 1) * (1 - x) ** (-t - 1)
    return mpmath.log(top / (odds * x**-t + (1 - x) ** -t) ** 2)


@pytest.mark.parametrize(
    ("name", "space", "density", "values", "parameters"),
    [
        ("Kumaraswamy", "unit_interval", kumaraswamy, ENDS, [(4.5, 3.0), (0.01, 0.4), (60.0, 60.0)]),
        ("Weibull", "positive", weibull, LONG, [(1.0, 4.5), (0.01, 4.5), (60.0, 0.4)]),
        ("InverseGamma", "positive", inverse_gamma, LONG, [(1.0, 1.0), (0.5, 60.0), (60.0, 0.5)]),
        ("Geometric", "nonnegative_integer", geometric, [0.0, 1.0, 7.0, 150.0], [(0.0,), (25.0,), (-30.0,)]),
        ("RelaxedBernoulli", "unit_interval", relaxed, ENDS, [(1.0, 25.0), (0.5, -30.0), (4.5, 0.0)]),
    ],
)
def test_in_single_precision(
    name: str,
    space: str,
    density: Callable[..., mpmath.mpf],
    values: list[float],
    parameters: list[tuple[float, ...]],
) -> None:
    for given in parameters:
        arguments = {"Geometric": "logits = {}"}.get(name, ", ".join("{}" for _ in given)).format(*given)
        if name == "RelaxedBernoulli":
            arguments = f"{given[0]}, logits = {given[1]}"
        model = pgc.compile(f"x : {space}\np(x) = {name}({arguments})\nl = log p(x)").Model()
        x = torch.tensor(values)
        exact = [float(density(mpmath.mpf(float(v)), *given)) for v in x]
        found = model.factor("p(x)")().log_prob(x)
        torch.testing.assert_close(found, torch.tensor(exact), rtol=2e-5, atol=2e-5)
        torch.testing.assert_close(model.log_prob_of("p(x)", x=x), found)
