"""The divergence of two distributions through one flow is that of their bases (it is invariant under a bijection)."""

import pytest
import torch

from tests.conftest import compiled

HEAD = """
z : real[2]
x : real[3]
c : real[2]
net a = Linear(2)
net b = Linear(2) >> Softplus
"""


@pytest.mark.parametrize(
    "flow",
    [
        "flow f = repeat 2 { MaskedAutoregressive(hidden=[16]) }",
        "flow f = AffineCoupling(hidden=[8]) >> Reverse >> AffineCoupling(hidden=[8])",
        "flow g = MaskedAutoregressive(hidden=[8])\nflow f = g >> Reverse >> g",
    ],
)
def test_in_closed_form(flow: str) -> None:
    program = compiled(
        f"{HEAD}{flow}\nq(z|x) = Flow(Normal(a(x), b(x)), f)\np(z) = Flow(Normal(0, 1), f)\nk = KL[q(z|x) || p(z)]\n"
    )
    model, x = program.Model(), torch.randn(7, 3)
    loc, scale = model.a(x), model.b(x)
    expected = (0.5 * (loc.square() + scale.square() - 1) - scale.log()).sum(-1)
    torch.testing.assert_close(model.k(x=x), expected)
    assert all(check.passed for check in program.verify())


def test_of_one_context() -> None:
    program = compiled(
        f"{HEAD}flow f(c) = MaskedAutoregressive(hidden=[16])\nq(z|x,c) = Flow(Normal(a(x), 1), f(c))\n"
        "p(z|c) = Flow(Normal(c, 1), f(c))\nk = KL[q(z|x,c) || p(z|c)]\n"
    )
    model, x, c = program.Model(), torch.randn(7, 3), torch.randn(7, 2)
    torch.testing.assert_close(model.k(x=x, c=c), 0.5 * (model.a(x) - c).square().sum(-1))


def test_other_contexts_are_other_maps() -> None:
    text = compiled(
        f"{HEAD}net e = Linear(2)\nflow f(c) = MaskedAutoregressive(hidden=[16])\n"
        "q(z|x,c) = Flow(Normal(a(x), 1), f(e(x)))\np(z|c) = Flow(Normal(c, 1), f(c))\nk = KL[q(z|x,c) || p(z|c)]\n"
    ).source
    assert "randn" in text[text.index("def k(") : text.index("def ", text.index("def k(") + 5)]
