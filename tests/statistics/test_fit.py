"""Draws of every family follow its distribution, and its density is normalised.

Each test of a fit rejects a right program once in a million runs, and the seeds are fixed.
"""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch

from pgcompile.model.variable import Variable
from pgcompile.objective.terms import OBSERVED
from pgcompile.reference.formulas import Formulas
from pgcompile.verification.checks import EXACT, relative
from pgcompile.verification.harness import Harness
from pgcompile.vocabulary.families import families
from tests.conftest import compiled
from tests.statistics.laws import LAWS, Law

ALPHA = 1e-6
N = 20_000

SINGLE = 2**-23
"""The rounding of a table of log-probabilities, which a module keeps in single precision as any number of its own."""


def program(law: Law) -> str:
    """A model of one variable, and an objective that must draw it."""
    value = "x" if "[" not in law.space or law.space.startswith("category") else "sum(x)"
    value = "sum(one_hot(x) * [1, 2, 4])" if law.space.startswith("category") else value
    return f"x : {law.space}\np(x) = {law.family}\nscore = log p(x)\ndrawn = E_{{p(x); samples = {N}}}[cos({value})]"


def assert_follows(law: Law, x: np.ndarray) -> None:
    assert np.isfinite(x).all()
    for statistic, frozen in law.statistics:
        values = statistic(x)
        if not law.discrete:
            found = scipy.stats.kstest(values, frozen.cdf)
            assert found.pvalue > ALPHA, f"{law.family}: Kolmogorov-Smirnov distance {found.statistic:.4f}"
            continue
        counts = np.bincount(values.astype(int))
        mass = frozen.pmf(np.arange(len(counts)))
        rare = mass * N < 5
        observed = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(mass[~rare] * N, N - mass[~rare].sum() * N)
        kept = expected > 1e-9
        assert observed[~kept].sum() == 0
        found = scipy.stats.chisquare(observed[kept], expected[kept], sum_check=False)
        assert found.pvalue > ALPHA, f"{law.family}: chi-square {found.statistic:.1f}"


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.family)
def test_samples_follow_their_distribution(law: Law) -> None:
    torch.manual_seed(0)
    x = compiled(program(law)).Model().sample((N,))["x"]
    assert_follows(law, x.double().numpy())


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.family)
def test_draws_of_an_objective_follow_their_distribution(law: Law) -> None:
    """The draws inside an expectation are made by other code than `sample`.

    They are taken from the reference at the same noise, after the value shows that the module made the same ones.
    """
    compiled_program = compiled(program(law))
    harness = Harness(compiled_program, None, 0)
    bench_value, calls = harness.runs("drawn", 1)
    reference = harness.reference(1, 1, harness.noise("drawn", calls), observed={})
    term = compiled_program.analysis.objectives["drawn"]
    draw = term.draw
    x = reference.variable(Variable("x"), OBSERVED.extended(draw.variables, draw)).tensor
    formulas = Formulas(reference, compiled_program.analysis.resolver, term)
    expected = formulas.whole("drawn")
    assert not reference.own_draws
    assert formulas.differences == []
    assert relative(bench_value[0], expected) < EXACT
    assert_follows(law, x.reshape(N, *compiled_program.analysis.model.spaces["x"].shape).detach().numpy())


def mass(law: Law, x: np.ndarray) -> np.ndarray:
    """exp of the emitted log-density at many points."""
    model = compiled(program(law)).Model().double()
    points = torch.as_tensor(np.asarray(x), dtype=torch.float64)
    return model.score(x=points.long() if law.space.startswith("category") else points).exp().numpy()


@pytest.mark.parametrize("law", [law for law in LAWS if law.support], ids=lambda law: law.family)
def test_a_density_of_one_variable_is_normalised(law: Law) -> None:
    low, high = law.support  # type: ignore[misc]
    if law.discrete:
        assert mass(law, np.arange(low, high + 1)).sum() == pytest.approx(1, abs=SINGLE)
        return
    total, error = scipy.integrate.quad(lambda x: float(mass(law, x)), low, high, limit=400)
    assert total == pytest.approx(1, abs=max(1e-6, 10 * error))


def test_a_normal_of_two_variables_is_normalised() -> None:
    law = next(law for law in LAWS if law.family.startswith("Multivariate"))
    grid = np.linspace(-14, 14, 401)
    x, y = np.meshgrid(grid, grid, indexing="ij")
    values = mass(law, np.stack((x, y), -1).reshape(-1, 2))
    assert values.sum() * (grid[1] - grid[0]) ** 2 == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("name", ["Dirichlet", "RelaxedOneHotCategorical"])
def test_a_density_on_the_simplex_is_normalised(name: str) -> None:
    """In the first two coordinates, by Gauss-Legendre on a square that is folded onto the triangle."""
    law = next(law for law in LAWS if law.family.startswith(name))
    nodes, weights = np.polynomial.legendre.leggauss(400)
    # t^6 spreads nodes towards the edges, where a density may grow without bound.
    u = (nodes + 1) / 2
    edge = u**6 * (462 - 1980 * u + 3465 * u**2 - 3080 * u**3 + 1386 * u**4 - 252 * u**5)
    slope = 2772 * u**5 * (1 - u) ** 5
    a, b = np.meshgrid(edge, edge, indexing="ij")
    # 1 - a and 1 - b by the symmetry of the nodes, without cancellation.
    not_a, not_b = np.meshgrid(edge[::-1], edge[::-1], indexing="ij")
    w = np.multiply.outer(weights / 2 * slope, weights / 2 * slope)
    x = np.stack((a, not_a * b, not_a * not_b), -1).reshape(-1, 3)
    total = (mass(law, x) * (not_a * w).reshape(-1)).sum()
    assert total == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["OneHotCategorical", "Multinomial"])
def test_a_mass_of_vectors_is_normalised(name: str) -> None:
    law = next(law for law in LAWS if law.family.startswith(name))
    count = 1 if name == "OneHotCategorical" else 6
    points = [(i, j, count - i - j) for i in range(count + 1) for j in range(count + 1 - i)]
    assert mass(law, np.array(points)).sum() == pytest.approx(1, abs=SINGLE)


def test_every_family_is_listed() -> None:
    """A family that is added without a law here fails.

    A Delta has no density, a factorised Bernoulli is none, a varying Multinomial is a Multinomial in each row.
    """
    listed = {law.family.split("(")[0] for law in LAWS}
    assert listed | {"Delta", "FactorizedBernoulli", "VaryingMultinomial"} == set(families())
