"""One of each kind of thing, added to a copy of the compiler: the files that it costs, and a program that uses it.

The numbers are those that the table in `CONTRIBUTING.md` aims at. `tests/training/test_commands.py` adds a command.
"""

from pathlib import Path

import pytest

from tests.copies import copied
from tests.vocabulary.test_transform_words import ARCSINH

LOGISTIC = '''"""Logistic: the distribution whose distribution function is the sigmoid."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import (
        ClippedUnit, Facts, Log1p, Softplus, StandardUniform, X, log, pi, first_two_moments,
    )

    loc, scale = p["loc"], p["scale"]
    z, u = (X - loc) / scale, ClippedUnit(StandardUniform(1))
    return Facts(
        log_density=-z - 2 * Softplus(-z) - log(scale),
        draw=loc + scale * (log(u) - Log1p(-u)),
        mean=loc,
        moments=first_two_moments(loc, (pi * scale) ** 2 / 3),
    )


def distribution() -> type:
    """The class of its objects in emitted modules and in the reference: torch has none."""
    import torch
    import torch.distributions as D
    import torch.nn.functional as F

    class Logistic(D.Distribution):
        """A logistic distribution."""

        arg_constraints = {}
        has_rsample = True

        def __init__(self, loc, scale, validate_args=None):
            self.loc, self.scale = torch.broadcast_tensors(torch.as_tensor(loc), torch.as_tensor(scale))
            super().__init__(self.loc.shape, validate_args=validate_args)

        def expand(self, batch_shape, _instance=None):
            """The same, with more batch dimensions."""
            return Logistic(self.loc.expand(batch_shape), self.scale.expand(batch_shape), validate_args=False)

        @property
        def mean(self):
            """The location."""
            return self.loc

        def log_prob(self, value):
            """-z - 2 softplus(-z) - log scale, of z = (value - loc) / scale."""
            z = (value - self.loc) / self.scale
            return -z - 2 * F.softplus(-z) - self.scale.log()

        def icdf(self, value):
            """The inverse distribution function."""
            return self.loc + self.scale * torch.special.logit(value, eps=1e-7)

        def rsample(self, sample_shape=()):
            """Draws, pathwise."""
            return self.icdf(torch.rand(self._extended_shape(torch.Size(sample_shape)), dtype=self.loc.dtype))

    return Logistic


FAMILY = Family(
    name="Logistic",
    parameters=(Parameter("loc", "real"), Parameter("scale", "positive")),
    support="real",
    equation="log p(x) = -z - 2 softplus(-z) - log scale, z = (x - loc) / scale",
    facts=facts,
    distribution=distribution,
)
'''

HALF_CAUCHY = '''"""HalfCauchy: the absolute value of a Cauchy around 0."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import ClippedUnit, Facts, StandardUniform, X, log, pi, tan

    scale = p["scale"]
    return Facts(
        log_density=log(2 / pi) - log(scale) - log(1 + (X / scale) ** 2),
        draw=scale * tan(pi / 2 * ClippedUnit(StandardUniform(1))),
        mean=None,
    )


FAMILY = Family(
    name="HalfCauchy",
    parameters=(Parameter("scale", "positive"),),
    support="nonnegative",
    torch_class="HalfCauchy",
    centre="mode",
    equation="log p(x) = log(2 / pi) - log scale - log(1 + (x / scale)^2)",
    facts=facts,
)
'''

NEYMAN = '''"""Neyman's chi-square divergence."""

from pgcompile.vocabulary.definition import LEFT, RIGHT, Mean
from pgcompile.vocabulary.functional import Functional, Sides

FUNCTIONAL = Functional(
    name="Neyman",
    sides=Sides.SAME_VARIABLES,
    example="Neyman[q || p]",
    definition=Mean(RIGHT, RIGHT / LEFT) - 1,
    source="Neyman 1949",
    latex="N",
    order=99,
)
'''

SINE_OF_A_NORMAL = '''"""The expectation of the sine of a normal variable: E[sin z] = sin(loc) exp(-scale^2 / 2)."""

from sympy import Expr, Mul, exp, sin

from pgcompile.objective.derivation import with_parameter_names
from pgcompile.objective.leaves import ClosedLeaf, PointwiseLeaf
from pgcompile.objective.rules.rule import Match, Outcome, Rule
from pgcompile.syntax import tree


def _matches(state, site, pieces: list[Expr]) -> list[Match]:
    """Pieces that are `sin` of the drawn variable, or a multiple of it."""
    family = site.atom.factor.family
    if family is None or family.name != "Normal" or site.draw.estimator.grad is not None:
        return []
    return [Match((p,), (f,)) for p in pieces for f in Mul.make_args(p) if _is_sine(state.leaves.get(f), site)]


def _is_sine(leaf, site) -> bool:
    if not isinstance(leaf, PointwiseLeaf) or leaf.env.get(site.variable) != site.draw:
        return False
    match leaf.expr:
        case tree.Call("sin", (argument,)) if isinstance(argument.value, tree.Name):
            return argument.value.id == site.variable.name
    return False


def _apply(state, site, match: Match) -> Outcome:
    (piece,), (symbol,) = match.pieces, match.members
    own, uses = state.facts_of(site.atom, site.draw.inside)
    formula = sin(own.mean) * exp(-own.moments["(x-c)^2"](own.mean) / 2)
    label = f"E_{{{site.atom.label}}}[{state.label(symbol)}]"
    kept = tuple(use for use in uses if use[0] in formula.free_symbols)
    touches = tuple((parent, site.draw.inside) for parent in site.atom.parents)
    closed = state.symbol(ClosedLeaf("CE", formula, kept, site.atom, label, touches, None))
    return Outcome(piece.subs(symbol, closed), label, with_parameter_names(formula, uses), "a sine of a Normal")


SINE = Rule("sine", "the characteristic function of a Normal is known", _matches, _apply)
'''


def test_a_family_that_torch_lacks_costs_one_file(tmp_path: Path) -> None:
    copy = copied(tmp_path)
    copy.write("pgcompile/vocabulary/families/plain_logistic.py", LOGISTIC.replace("Logistic", "PlainLogistic"))
    assert len(copy.touched) == 1
    copy.run(
        "program = verified('x, z : real[2]\\nnet f = Linear(2)\\nnet g = Linear(2)\\np(z) = PlainLogistic(0, 1)\\n'"
        "'p(x|z) = PlainLogistic(f(z), 0.5)\\nq(z|x) = PlainLogistic(g(x), 2)\\n'"
        "'elbo = E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]\\nmaximize elbo using Adam(lr = 0.1)')\n"
        "import torch\n"
        "density = program.Model().factor('p(z)')().log_prob(torch.zeros(2))\n"
        "torch.testing.assert_close(density, 2 * torch.tensor(0.25).log())\n"
    )


def test_a_family_that_torch_has_costs_one_file(tmp_path: Path) -> None:
    copy = copied(tmp_path)
    copy.write("pgcompile/vocabulary/families/half_cauchy.py", HALF_CAUCHY)
    assert len(copy.touched) == 1
    copy.run(
        "verified('x : real[2]\\ns : nonnegative[2]\\nnet f = Linear(2) >> Softplus\\np(s) = HalfCauchy(1)\\n'"
        "'p(x|s) = Normal(0, 1 + s)\\nq(s|x) = HalfCauchy(f(x))\\n'"
        "'elbo = E_{q(s|x)}[log p(x|s) + log p(s) - log q(s|x)]')\n"
    )


def test_a_functional_costs_one_file(tmp_path: Path) -> None:
    """Neyman's chi-square is right for two Bernoulli distributions."""
    copy = copied(tmp_path)
    copy.write("pgcompile/vocabulary/functionals/neyman.py", NEYMAN)
    assert len(copy.touched) == 1
    found = copy.run(
        "program = verified('z : boolean\\nq(z) = Bernoulli(0.2)\\np(z) = Bernoulli(0.6)\\ne = Neyman[q(z) || p(z)]')\n"
        "print(float(program.Model().e()))"
    )
    assert float(found) == pytest.approx(0.36 / 0.2 + 0.16 / 0.8 - 1, abs=1e-5)


def test_a_function_with_its_inverse_costs_one_row(tmp_path: Path) -> None:
    """The hyperbolic sine in a parameter, of numbers, of a term, and in a density by a change of variables."""
    copy = copied(tmp_path)
    copy.insert(
        "pgcompile/vocabulary/functions.py",
        '    Function("sin", "sin"',
        '    Function("sinh", "sinh", fold=math.sinh, symbol="sympy.sinh", of_terms=True, latex=r"\\sinh",\n'
        '        inverse=Inverse("log(v + sqrt(1 + square(v)))", "-0.5 * log1p(square(v))")),\n',
    )
    assert len(copy.touched) == 1
    copy.run(
        "verified('x, y, z : real[2]\\nnet f = Linear(2)\\np(z) = Normal(sinh(0.5), 1)\\n'"
        "'p(x|z) = Normal(sinh(f(z)), 1)\\ny = sinh(x)\\ndensity = log p(y|z)\\n'"
        "'bounded = sinh(0.01 * log p(z))')\n"
    )


def test_a_rule_costs_one_file_and_its_row(tmp_path: Path) -> None:
    copy = copied(tmp_path)
    copy.write("pgcompile/objective/rules/sine.py", SINE_OF_A_NORMAL)
    registry = "pgcompile/objective/rules/registry.py"
    copy.insert(registry, "from pgcompile.objective.rules.rule", "from pgcompile.objective.rules.sine import SINE\n")
    copy.insert(registry, "CLOSED_FORM, MOMENTS)", "SINE, ")
    assert copy.touched == {"pgcompile/objective/rules/sine.py", registry}
    explained = copy.run(
        "program = verified('x, z : real\\nnet f = Linear(1) >> Flatten\\np(x) = Normal(0, 1)\\n'"
        "'q(z|x) = Normal(0.5 * x, 0.7)\\ne = 3 * E_{q(z|x)}[sin(z)]')\n"
        "print(program.explain())"
    )
    assert "[sine]" in explained
    assert "sampling" not in explained


def test_a_transform_costs_one_file(tmp_path: Path) -> None:
    """Its option may be 0; its facts stay out of the module, and it inverts."""
    copy = copied(tmp_path)
    copy.write("pgcompile/runtime/transforms/arcsinh.py", ARCSINH)
    assert len(copy.touched) == 1
    copy.run("""
import torch
program = verified("x : real[2]\\nflow f = Arcsinh(shift=0) >> Affine(loc=0)\\np(x) = Flow(Normal(0, 1), f)")
assert "class Arcsinh" in program.source and "codomain" not in program.source, program.source
flow = program.Model().f
x = torch.tensor([[0.5, -2.0]])
torch.testing.assert_close(flow.inverse(flow(x)[0])[0], x)
torch.testing.assert_close(flow(x)[0], torch.tensor([[0.48121182, -1.44363548]]))
""")


def test_a_layer_costs_one_row(tmp_path: Path) -> None:
    copy = copied(tmp_path)
    copy.insert("pgcompile/vocabulary/layers.py", '    _elementwise("SELU"),', '    _elementwise("CELU", _ALPHA),\n')
    assert len(copy.touched) == 1
    source = copy.run(
        "program = verified('x, z : real[2]\\nnet f = Linear(4) >> CELU(alpha = 2) >> Linear(2)\\n'"
        "'p(z) = Normal(0, 1)\\np(x|z) = Normal(f(z), 1)\\nd = log p(x|z)')\n"
        "print(program.source)"
    )
    assert "nn.CELU(alpha=2" in source


def test_an_optimizer_costs_one_row(tmp_path: Path) -> None:
    copy = copied(tmp_path)
    copy.insert("pgcompile/vocabulary/optimisers.py", '    "ASGD": (', '    "SparseAdam": ("lr", "betas", "eps"),\n')
    assert len(copy.touched) == 1
    made = copy.run(
        "program = verified('x : real[2]\\nparam m : real[2]\\np(x) = Normal(m, 1)\\nfit = log p(x)\\n'"
        "'maximize fit using SparseAdam(lr = 0.1)')\n"
        "print(program.Model().optimizers())"
    )
    assert "SparseAdam" in made


def test_an_emitted_operation_costs_a_row_and_a_template(tmp_path: Path) -> None:
    copy = copied(tmp_path)
    copy.insert("pgcompile/plan/ops.py", '    _elementwise("rsqrt", ', '    _elementwise("erfinv"),\n')
    copy.insert("pgcompile/backends/torch/printer.py", '    "xlogy": ', '    "erfinv": _function("torch.erfinv"),\n')
    assert len(copy.touched) == 2
    written = copy.run("""
from pgcompile.backends.torch.printer import Text, Writer
from pgcompile.plan.builder import Builder

build = Builder()
value = build.unary("erfinv", build.argument("x", (3,)))
print(Writer(str, print).write(value, [Text("x")]), value.shape)
""")
    assert written == "torch.erfinv(x) (3,)\n"
