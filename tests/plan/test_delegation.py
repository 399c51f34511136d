"""Methods that call another one in place of the same statements again."""

import pytest
import torch

from tests.conftest import compiled

VAE = """
x : boolean[6]
z : real[2]
net e = Linear(4)
net d = Linear(6)
p(z) = Normal(0, 1)
p(x|z) = Bernoulli(logits = d(z))
q(z|x) = Normal(m, softplus(s)) where (m, s) = e(x)
"""
MIXTURE = """
x : real[2]
k : category[3]
param m : real[3, 2] = normal(1)
p(k) = Categorical(logits = [0, 1, 2])
p(x|k) = Normal(m[k], 1)
p(x) = sum_k p(x|k) p(k)
"""


def body(source: str, method: str) -> list[str]:
    """The statements of a method, without its docstring and comments."""
    after = source[source.index(f"def {method}(") :].split("\n    def ")[0]
    return [
        line.strip() for line in after.splitlines()[1:] if line.strip() and not line.strip().startswith(('"""', "#"))
    ]


@pytest.mark.parametrize(
    ("program", "method", "call"),
    [
        (VAE + "elbo = E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]", "terms", 'return {"elbo": self.elbo(x)}'),
        (VAE + "a = E_{q(z|x)}[log p(x|z)]\nb = KL[q(z|x) || p(z)]\nc = a - b", "c", 'return self.terms(x)["c"]'),
        (MIXTURE + "nll = log p(x)\nmaximize nll", "loss", "return -self.nll(x).mean()"),
    ],
)
def test_a_method_that_another_computes(program: str, method: str, call: str) -> None:
    assert body(compiled(program).source, method) == [call]


def test_a_density_that_an_objective_or_a_distribution_has_gets_no_method() -> None:
    program = compiled(MIXTURE + "nll = log p(x)")
    assert 'str(name).replace(" ", "") == "p(x)"' in program.source
    assert "def log_p_x" not in program.source
    module, x = program.Model(), torch.randn(4, 2)
    torch.testing.assert_close(module.log_prob_of("p(x)", x=x), module.nll(x))


def test_an_objective_that_is_no_sum_of_others_keeps_its_statements() -> None:
    source = compiled(VAE + "a = E_{q(z|x)}[log p(x|z)]\nb = KL[q(z|x) || p(z)]\nc = a - b").source
    assert "self.terms" not in "".join(body(source, "a") + body(source, "b"))


def test_a_loss_with_sums_over_the_whole_batch_keeps_its_statements() -> None:
    source = compiled(VAE + "elbo = E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]\nmaximize elbo").source
    assert any('reduction="sum"' in line for line in body(source, "loss"))
