"""One state-space objective written in several ways is one number with one gradient."""

from typing import Any

import pytest
import torch

from tests.conftest import compiled
from tests.peers.noise import value_and_gradient

MODEL = """index t in 1..T
x_t : real[3]
z_t : real[2]
net move = Linear(4) >> Tanh >> Linear(2)
net emit = Linear(3)
net enc = Linear(5) >> Tanh
net loc = Linear(2)
net scale = Linear(2) >> Softplus
z_0 = 0
p(z_t | z_{t-1}) = Normal(move(z_{t-1}), 0.5)
p(x_t | z_t) = StudentT(5, emit(z_t), 0.3)
q(z_t | z_{t-1}, x_t) = Normal(loc(e), scale(e)) where e = enc(z_{t-1}, x_t)
"""
FORMS = {
    "a place at a time": "elbo = sum_{t=1}^{T} (E_{q(z_t|z_{t-1},x_t)}[log p(x_t|z_t)]"
    " - KL[q(z_t|z_{t-1},x_t) || p(z_t|z_{t-1})])",
    "bound": "elbo = ELBO[p || q]",
    "whole path": "elbo = E_{q(z_{1:T}|x_{1:T})}[sum_t log p(x_t|z_t) + sum_t log p(z_t|z_{t-1})"
    " - sum_t log q(z_t|z_{t-1},x_t)]",
    "product": "p(x_{1:T}, z_{1:T}) = prod_{t=1}^{T} p(x_t|z_t) p(z_t|z_{t-1})\n"
    "elbo = E_{q(z_{1:T}|x_{1:T})}[log p(x_{1:T}, z_{1:T}) - log q(z_{1:T}|x_{1:T})]",
    "latex": r"elbo = \sum_{t=1}^{T} \left( \mathbb{E}_{q(z_t|z_{t-1},x_t)}\left[\log p(x_t|z_t)\right]"
    r" - D_{KL}\left[q(z_t|z_{t-1},x_t) \| p(z_t|z_{t-1})\right] \right)",
    "bare names": "elbo = E_q[log p - log q]",
}


def found(form: str) -> list[torch.Tensor]:
    model: Any = compiled(f"{MODEL}{FORMS[form]}\nmaximize elbo").Model
    torch.manual_seed(0)
    made = model().double()
    parameters = dict(made.named_parameters())
    for name, number in zip(sorted(parameters), range(len(parameters)), strict=True):
        generator = torch.Generator().manual_seed(number)
        parameters[name].data.copy_(0.5 * torch.randn(parameters[name].shape, generator=generator))
    x = torch.randn(5, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(99))
    torch.manual_seed(3)
    return value_and_gradient(made.elbo(x=x), [parameters[name] for name in sorted(parameters)])


@pytest.mark.parametrize("form", list(FORMS)[1:])
def test_it_is_the_same_number(form: str) -> None:
    torch.testing.assert_close(found(form), found("a place at a time"))
