"""Long chains of Gaussians, integrated out one after another."""

import math

import torch

import pgcompile as pgc


def test_the_end_of_a_chain_of_sixty() -> None:
    """An autoregression of order one, whose variance follows v' = a^2 v + s^2."""
    count = 60
    factors = [f"p(x_{i}|x_{i - 1}) = Normal(0.9 * x_{i - 1}, 0.5)" for i in range(1, count)]
    product = " ".join(["p(x_0)", *(f"p(x_{i}|x_{i - 1})" for i in range(1, count))])
    lines = [
        *(f"x_{i} : real" for i in range(count)),
        "p(x_0) = Normal(0, 1)",
        *factors,
        f"p(x_{count - 1}) = ∫ {product} {' '.join(f'dx_{i}' for i in range(count - 1))}",
        f"l = log p(x_{count - 1})",
    ]
    model = pgc.compile("\n".join(lines)).Model().double()
    variance = 1.0
    for _ in range(count - 1):
        variance = 0.81 * variance + 0.25
    x = torch.tensor([0.3, 1.0], dtype=torch.float64)
    wanted = -0.5 * x**2 / variance - 0.5 * math.log(2 * math.pi * variance)
    torch.testing.assert_close(model.l(x), wanted)
