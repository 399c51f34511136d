"""Bounds of parameters: no warning where a value surely lies in the domain of its parameter."""

import pytest

import pgcompile as pgc

HEAD = (
    "b : boolean[2]\nz, y : real[2]\ns : positive[2]\nu : unit_interval[2]\n"
    "buffer t : real[2] = [0.2, 0.7]\nk : category[2]\n"
)


def codes(family: str) -> list[str]:
    program = pgc.compile(f"{HEAD}x : {'boolean[2]' if 'Bern' in family else 'real[2]'}\np(x|b,z,y,s,u,k) = {family}\n")
    return [d.code for d in program.diagnostics if d.code == "W102"]


@pytest.mark.parametrize(
    "family",
    [
        "Bernoulli(0.2 + 0.6 * b)",
        "Bernoulli(0.5 + 0.5 * tanh(z))",
        "Bernoulli(u * sigmoid(z) + (1 - u) * 0)",
        "Bernoulli(0.1 + t)",
        "Bernoulli(t[k])",
        "Bernoulli(clamp(z, 0.1, 0.9))",
        "Bernoulli(p where p = 1 - 0.5 * u)",
        "Bernoulli(1 / (1 + exp(z)))",
        "Bernoulli((1 + cos(z)) / 2)",
        "Normal(z, 2 + sin(z))",
        "Normal(z, 1 + z^2)",
        "Normal(z, 0.5 - 0.2 * b)",
        "Normal(z, max(z, 0.1))",
        "Normal(z, where(z > 0, 1, 2))",
        "Normal(z, 2 - exp(-abs(z)))",
    ],
)
def test_no_warning_where_a_value_surely_fits(family: str) -> None:
    value, _, bindings = family.partition(" where ")
    assert codes(f"{value}) where {bindings.rstrip(')')}" if bindings else family) == []


@pytest.mark.parametrize(
    "family",
    [
        "Bernoulli(0.2 + 0.9 * b)",
        "Bernoulli(0.6 + 0.5 * tanh(z))",
        "Bernoulli(t + b)",
        "Bernoulli(s)",
        "Normal(z, sin(z))",
        "Normal(z, 0.5 - 0.6 * b)",
        "Normal(z, z^3)",
        "Normal(z, min(z, 0.1))",
        "Normal(z, 1 / z)",
        "Normal(z, 1 - exp(z))",
    ],
)
def test_a_warning_where_it_may_not(family: str) -> None:
    assert codes(family) == ["W102"]
