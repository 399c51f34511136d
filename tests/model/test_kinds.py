"""The table of kinds of factor: each kind has a row, and the row says what the definition holds."""

from dataclasses import fields
from types import SimpleNamespace
from typing import get_args

import pytest
import torch

import pgcompile as pgc
from pgcompile.model.factors import FactorDefinition
from pgcompile.model.kinds import KINDS
from tests.conftest import compiled

DEFINITIONS = get_args(FactorDefinition)


def test_every_kind_has_a_row() -> None:
    assert set(KINDS) == set(DEFINITIONS)


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda kind: kind.__name__)
def test_the_row_states_the_bindings_that_the_definition_holds(definition: type) -> None:
    holds = "bindings" in {field.name for field in fields(definition)}
    stated = KINDS[definition].bindings(SimpleNamespace(bindings=("m = f(x)",)))
    assert stated == (("m = f(x)",) if holds else ())


PROGRAM = """
x, y : real[2]
flow g = AffineCoupling(hidden = [8])
p(x) = Flow(Normal(0, 1), g)
q(y|x) = {right}
elbo = E_p(x)[E_q(y|x)[log q(y|x)]]
"""


@pytest.mark.parametrize(
    ("right", "is_remarked"),
    [
        ("Normal(0, 1)", True),
        ("Normal(m, 1) where m = 2 * x", False),
        ("Normal(0, 1) where m = 2 * x", True),
        ("Flow(Normal(0, 1), g)", True),
        ("Flow(Normal(x, 1), g)", False),
        ("Flow(Normal(m, 1), g) where m = 2 * x", False),
    ],
)
def test_parents_that_no_parameter_uses_are_remarked(right: str, is_remarked: bool) -> None:
    """A `where` that nothing reads does not count as a use."""
    found = {d.code for d in pgc.check(PROGRAM.format(right=right))}
    assert not any(code.startswith("PGC") for code in found)
    assert ("W123" in found) is is_remarked


def test_the_mean_of_a_supplied_prior_has_the_shape_of_its_draws() -> None:
    class Prior(torch.nn.Module):
        def forward(self) -> torch.distributions.Distribution:
            return torch.distributions.Normal(torch.tensor([0.5, -1.0]), 1.0)

    program = compiled("x, z : real[2]\nextern p(z)\np(x|z) = Normal(z, 1)\nt = log p(x|z)")
    model = program.Model(Prior())
    for sampled in (model.sample((5,)), model.sample_mean((5,))):
        assert [sampled[v].shape for v in ("z", "x")] == [(5, 2), (5, 2)]
    torch.testing.assert_close(sampled["x"], torch.tensor([0.5, -1.0]).expand(5, 2))
