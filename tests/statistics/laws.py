"""One literal parameterisation of every family, with what scipy knows of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats as st

Cdf = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Law:
    """A distribution of literal parameters.

    Args:
        family: as the program spells it.
        space: of the variable.
        statistics: functions of draws `[n, ...]` to scalars `[n]`, each with the distribution function it must follow.
        discrete: whether the statistics are integers.
        support: where a density of one variable is integrated, or the integers over which a mass is summed.
    """

    family: str
    space: str
    statistics: tuple[tuple[Callable[[np.ndarray], np.ndarray], Any], ...]
    discrete: bool = False
    support: tuple[float, float] | None = None

    @property
    def pathwise(self) -> bool:
        return not self.discrete and not self.family.startswith("VonMises(")


def itself(x: np.ndarray) -> np.ndarray:
    return x


def logit(x: np.ndarray) -> np.ndarray:
    return np.log(x) - np.log1p(-x)


@dataclass(frozen=True)
class Tilted:
    """The continuous Bernoulli's distribution function, (e^(l x) - 1) / (e^l - 1)."""

    logits: float

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return np.expm1(self.logits * x) / np.expm1(self.logits)


@dataclass(frozen=True)
class Tilted3:
    """The distribution function of the cosine of a direction in three dimensions."""

    concentration: float

    def cdf(self, x: np.ndarray) -> np.ndarray:
        k = self.concentration
        return (np.exp(k * x) - np.exp(-k)) / (np.exp(k) - np.exp(-k))


@dataclass(frozen=True)
class Inverted:
    """Kumaraswamy's distribution function, 1 - (1 - x^a)^b."""

    a: float
    b: float

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return 1 - (1 - x**self.a) ** self.b


@dataclass(frozen=True)
class Inflated:
    """A count that is zero with the probability of a gate more."""

    base: Any
    gate: float

    def pmf(self, x: np.ndarray) -> np.ndarray:
        return self.gate * (x == 0) + (1 - self.gate) * self.base.pmf(x)


def one(family: str, space: str, frozen: Any, support: tuple[float, float], *, discrete: bool = False) -> Law:
    return Law(family, space, ((itself, frozen),), discrete, support)


WEIGHTS = np.exp([1.0, 0.5, -0.5]) / np.exp([1.0, 0.5, -0.5]).sum()
ALPHA = np.array([2.0, 0.7, 3.0])
COVARIANCE = np.array([[2.0, 0.6], [0.6, 1.0]])
SLANT = np.array([1.0, -2.0])
LAWS = [
    one("Normal(0.5, 2)", "real", st.norm(0.5, 2), (-30, 30)),
    one("Laplace(0.5, 2)", "real", st.laplace(0.5, 2), (-60, 60)),
    one("StudentT(4, 0.5, 2)", "real", st.t(4, 0.5, 2), (-np.inf, np.inf)),
    one("Cauchy(0.5, 2)", "real", st.cauchy(0.5, 2), (-np.inf, np.inf)),
    one("Gumbel(0.5, 2)", "real", st.gumbel_r(0.5, 2), (-20, 120)),
    one("Uniform(-1, 3)", "real", st.uniform(-1, 4), (-1, 3)),
    one("VonMises(0.5, 3)", "real", st.vonmises(3, 0.5), (-np.pi, np.pi)),
    one("VonMises(0, 0.01)", "real", st.vonmises(0.01, 0), (-np.pi, np.pi)),
    one("AsymmetricLaplace(0.5, 2, 1.7)", "real", st.laplace_asymmetric(1.7, 0.5, 2), (-150, 60)),
    one("Logistic(0.5, 2)", "real", st.logistic(0.5, 2), (-80, 80)),
    one("TruncatedNormal(0.5, 2, -1, 3)", "real", st.truncnorm(-0.75, 1.25, 0.5, 2), (-1, 3)),
    one("GeneralizedPareto(0.5, 2, 0.3)", "real", st.genpareto(0.3, 0.5, 2), (0.5, np.inf)),
    one("GeneralizedPareto(0.5, 2, 0)", "real", st.expon(0.5, 2), (0.5, np.inf)),
    one("GeneralizedPareto(0.5, 2, -0.4)", "real", st.genpareto(-0.4, 0.5, 2), (0.5, 5.5)),
    one("Weibull(2, 1.5)", "positive", st.weibull_min(1.5, scale=2), (0, np.inf)),
    one("Weibull(2, 0.8)", "positive", st.weibull_min(0.8, scale=2), (0, np.inf)),
    one("Pareto(2, 3)", "positive", st.pareto(3, scale=2), (2, np.inf)),
    one("LogNormal(0.5, 0.7)", "positive", st.lognorm(0.7, scale=np.exp(0.5)), (0, np.inf)),
    one("Gamma(0.7, 2)", "positive", st.gamma(0.7, scale=0.5), (0, np.inf)),
    one("Gamma(5, 2)", "positive", st.gamma(5, scale=0.5), (0, np.inf)),
    one("InverseGamma(3, 2)", "positive", st.invgamma(3, scale=2), (0, np.inf)),
    one("Exponential(2)", "nonnegative", st.expon(scale=0.5), (0, np.inf)),
    one("HalfNormal(2)", "nonnegative", st.halfnorm(scale=2), (0, np.inf)),
    one("Beta(2, 0.6)", "unit_interval", st.beta(2, 0.6), (0, 1)),
    Law("LogitNormal(0.5, 0.7)", "unit_interval", ((logit, st.norm(0.5, 0.7)),), False, (0, 1)),
    one("Kumaraswamy(2, 0.6)", "unit_interval", Inverted(2, 0.6), (0, 1)),
    one("ContinuousBernoulli(logits = 1.5)", "unit_interval", Tilted(1.5), (0, 1)),
    one("ContinuousBernoulli(logits = -4)", "unit_interval", Tilted(-4.0), (0, 1)),
    # logit(x) is logistic around logits / temperature.
    Law("RelaxedBernoulli(0.5, logits = 1)", "unit_interval", ((logit, st.logistic(2, 2)),), False, (0, 1)),
    one("Bernoulli(logits = 1)", "boolean", st.bernoulli(1 / (1 + np.exp(-1))), (0, 1), discrete=True),
    one("Poisson(3.5)", "nonnegative_integer", st.poisson(3.5), (0, 60), discrete=True),
    one("Geometric(0.3)", "nonnegative_integer", st.geom(0.3, loc=-1), (0, 200), discrete=True),
    one("Binomial(7, 0.3)", "nonnegative_integer", st.binom(7, 0.3), (0, 7), discrete=True),
    one("NegativeBinomial(2.5, 0.4)", "nonnegative_integer", st.nbinom(2.5, 0.6), (0, 200), discrete=True),
    one("ZeroInflatedPoisson(3.5, 0.3)", "nonnegative_integer", Inflated(st.poisson(3.5), 0.3), (0, 60), discrete=True),
    one(
        "ZeroInflatedNegativeBinomial(2.5, logits = 0.4, gate_logits = -1)",
        "nonnegative_integer",
        Inflated(st.nbinom(2.5, 1 / (1 + np.exp(0.4))), 1 / (1 + np.e)),
        (0, 400),
        discrete=True,
    ),
    one(
        "OrderedLogistic(0.7, cutpoints = [-1, 0.5])",
        "category[3]",
        st.rv_discrete(values=(range(3), np.diff(st.logistic(0.7).cdf([-np.inf, -1, 0.5, np.inf])))),
        (0, 2),
        discrete=True,
    ),
    one(
        "DiscretizedLogistic(4.2, 1.5, levels = 8, low = 0, high = 7)",
        "real",
        st.rv_discrete(values=(range(8), np.diff(st.logistic(4.2, 1.5).cdf([-np.inf, *np.arange(0.5, 7), np.inf])))),
        (0, 7),
        discrete=True,
    ),
    one(
        "Categorical(logits = [1, 0.5, -0.5])",
        "category[3]",
        st.rv_discrete(values=(range(3), WEIGHTS)),
        (0, 2),
        discrete=True,
    ),
    Law(
        "OneHotCategorical(logits = [1, 0.5, -0.5])",
        "one_hot[3]",
        tuple((lambda x, i=i: x[:, i], st.bernoulli(WEIGHTS[i])) for i in range(3)),
        True,
    ),
    Law(
        "Multinomial(6, logits = [1, 0.5, -0.5])",
        "nonnegative_integer[3]",
        tuple((lambda x, i=i: x[:, i], st.binom(6, WEIGHTS[i])) for i in range(3)),
        True,
    ),
    Law(
        "Dirichlet([2, 0.7, 3])",
        "simplex[3]",
        tuple((lambda x, i=i: x[:, i], st.beta(ALPHA[i], ALPHA.sum() - ALPHA[i])) for i in range(3)),
    ),
    # t (log x_0 - log x_1) is the difference of two Gumbel draws around their logits: logistic.
    Law(
        "RelaxedOneHotCategorical(0.5, logits = [1, 0.5, -0.5])",
        "simplex[3]",
        ((lambda x: 0.5 * (np.log(x[:, 0]) - np.log(x[:, 1])), st.logistic(0.5, 1)),),
    ),
    Law(
        "MultivariateNormal([1, -1], covariance_matrix = [[2, 0.6], [0.6, 1]])",
        "real[2]",
        (
            (lambda x: x[:, 0], st.norm(1, np.sqrt(2))),
            (lambda x: x @ SLANT, st.norm(3, np.sqrt(SLANT @ COVARIANCE @ SLANT))),
        ),
    ),
    Law(
        "LowRankMultivariateNormal([1, -1], [[1], [0.5]], [0.5, 2])",
        "real[2]",
        (
            (lambda x: x[:, 0], st.norm(1, np.sqrt(1.5))),
            (lambda x: x @ SLANT, st.norm(3, np.sqrt(0 + 0.5 + 4 * 2))),
        ),
    ),
    # In three dimensions the cosine has an exponential density.
    Law(
        "VonMisesFisher([0, 0, 2], 3)",
        "real[3]",
        ((lambda x: x[:, 2], Tilted3(3.0)), (lambda x: np.arctan2(x[:, 1], x[:, 0]), st.uniform(-np.pi, 2 * np.pi))),
    ),
    Law(
        "Wishart(4.5, scale_tril = [[1.2, 0], [-0.4, 0.9]])",
        "positive_definite[2, 2]",
        (
            (lambda x: x[:, 0, 0] / 1.44, st.chi2(4.5)),
            (lambda x: x[:, 1, 1] / 0.97, st.chi2(4.5)),
            (lambda x: np.linalg.det(x) / (1.44 * 0.81) / x[:, 0, 0] * 1.44, st.chi2(3.5)),
        ),
    ),
    # Every correlation is a Beta variable between -1 and 1.
    Law(
        "LKJCholesky(3, 1.7)",
        "corr_cholesky[3, 3]",
        tuple(
            (lambda x, i=i, j=j: (x[:, i] * x[:, j]).sum(-1), st.beta(2.2, 2.2, -1, 2))
            for i, j in ((1, 0), (2, 0), (2, 1))
        ),
    ),
]
