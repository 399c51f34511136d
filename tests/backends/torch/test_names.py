"""No method or attribute of an emitted class hides another, whatever a program calls its things."""

import ast

import pytest
import torch

import pgcompile as pgc

TEXT = """x : real[6]
z : real[2]
p(z) = Normal(0, 1)
p(x|z) = Normal({net}(z), 1)
q(z|x) = Normal(m(x), 1)
net {net} = Linear(6)
net m = Linear(2)
{objective} = E_{{q(z|x)}}[log p(x|z)] - KL[q(z|x) || p(z)]
maximize {objective} using Adam(lr=1e-3)
"""


@pytest.mark.parametrize("net", ["dec", "p_z_", "q_z_given_x_", "forward", "extern_p_z", "choice", "table_1"])
@pytest.mark.parametrize("objective", ["elbo", "p_x_given_z", "q_z_given_x", "p_z"])
def test_an_objective_and_a_net_may_have_any_name(net: str, objective: str) -> None:
    program = pgc.compile(TEXT.format(net=net, objective=objective))
    made = next(n for n in ast.parse(program.source).body if isinstance(n, ast.ClassDef) and n.name == "Model")
    methods = [n.name for n in made.body if isinstance(n, ast.FunctionDef)]
    assert len(methods) == len(set(methods))
    model = program.Model()
    x, z = torch.ones(2, 6), torch.zeros(2, 2)
    assert getattr(model, objective)(x).shape == (2,)
    assert model.factor("q(z|x)")(x).sample().shape == (2, 2)
    assert model.sample((2,))["x"].shape == (2, 6)
    expected = model.factor("p(x|z)")(z).log_prob(x) + model.factor("p(z)")().log_prob(z)
    torch.testing.assert_close(model.log_prob(x=x, z=z), expected)
