"""Every function of tensors in an objective, against torch's own, and by the judge."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import pgcompile as pgc
from pgcompile.syntax.format import format_expr
from tests.conftest import compiled

HEAD = """
x, y : real[3]
A, B : real[3,3]
C : real[3,4]
im : real[2,4,4]
t : real
k : category[3]
pos : positive[3]
"""
SHAPES = {"x": (3,), "y": (3,), "A": (3, 3), "B": (3, 3), "C": (3, 4), "im": (2, 4, 4), "t": (), "pos": (3,)}
CASES: dict[str, Callable[..., Tensor]] = {
    "sum(where(x > 0, x, y))": lambda x, y: torch.where(x > 0, x, y).sum(-1),
    "sum(x <= y) + sum(x < y) - 2 * sum(x ≥ y)": lambda x, y: 2 * (x < y).sum(-1).double() - 2 * (x >= y).sum(-1),
    "where(t >= 1, t, 2 * t)": lambda t: torch.where(t >= 1, t, 2 * t),
    "where(k == 1, t, 0)": lambda k, t: torch.where(k == 1, t, 0.0),
    "t * (k != 1)": lambda k, t: t * (k != 1),
    "sum(lgamma(pos) + digamma(pos) + erfinv(tanh(x)))": lambda x, pos: (
        torch.lgamma(pos) + torch.digamma(pos) + torch.erfinv(x.tanh())
    ).sum(-1),
    "x[argmax(y)] - x[argmin(y)]": lambda x, y: (x.gather(-1, y.argmax(-1, True)) - x.gather(-1, y.argmin(-1, True)))[
        :, 0
    ],
    "dot(sort(x), cumsum(y))": lambda x, y: (x.sort(-1).values * y.cumsum(-1)).sum(-1),
    "norm(A) + norm(x) + norm(t)": lambda x, A, t: A.flatten(1).norm(dim=-1) + x.norm(dim=-1) + t.abs(),
    "dot(x, y) + dot(A, B)": lambda x, y, A, B: (x * y).sum(-1) + (A * B).sum((-2, -1)),
    "trace(A) * log_det(A)": lambda A: A.diagonal(dim1=-2, dim2=-1).sum(-1) * A.det().abs().log(),
    "sum(solve(A, x)) + sum(solve(A, C))": lambda x, A, C: (
        torch.linalg.solve(A, x[..., None])[..., 0].sum(-1) + torch.linalg.solve(A, C).sum((-2, -1))
    ),
    'sum(einsum("ij,jk->ik", A, C)^3)': lambda A, C: (A @ C).pow(3).sum((-2, -1)),
    'einsum("ij, ij ->", A, B)': lambda A, B: (A * B).sum((-2, -1)),
    'einsum("i,i,i->", x, y, x)': lambda x, y: (x * y * x).sum(-1),
    "sum(reshape(C, 4, 3) @ x)": lambda x, C: (C.reshape(-1, 4, 3) @ x[..., None]).sum((-2, -1)),
    "sum(reshape(C, [2, -1])[0])": lambda C: C.reshape(-1, 2, 6)[:, 0].sum(-1),
    "reshape(reshape(t, 1), 1, 1)[0, 0]": lambda t: t,
    "sum(transpose(im, 1, 2, 0)[0, 1])": lambda im: im[:, :, 0, 1].sum(-1),
    "sum(transpose(C) @ x)": lambda x, C: (C.mT @ x[..., None]).sum((-2, -1)),
    "sum(cat(im, 2 * im; dim=channels)[3])": lambda im: 2 * im[:, 1].sum((-2, -1)),
    "sum(cat(A, B; dim=0) @ x)": lambda x, A, B: (torch.cat((A, B), -2) @ x[..., None]).sum((-2, -1)),
    "sum(square(cat(x, t)) * cat(t, y))": lambda x, y, t: (
        torch.cat((x, t[:, None]), -1).square() * torch.cat((t[:, None], y), -1)
    ).sum(-1),
    "sum(stack(x, y)[1]) + sum(stack(x, y) @ x)": lambda x, y: y.sum(-1) + (x * x).sum(-1) + (x * y).sum(-1),
    "sum((A + 2 * eye(3)) @ x)": lambda x, A: ((A + 2 * torch.eye(3)) @ x[..., None]).sum((-2, -1)),
    "sum(outer(x, y) * A)": lambda x, y, A: (x[:, :, None] * y[:, None] * A).sum((-2, -1)),
}


def data(dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    found = {n: torch.randn(5, *s, generator=generator, dtype=dtype) for n, s in SHAPES.items()}
    found["pos"] = found["pos"].exp()
    found["k"] = torch.tensor([0, 1, 2, 1, 0])
    return found


@pytest.mark.parametrize("formula", CASES)
def test_a_function(formula: str) -> None:
    program = compiled(f"{HEAD}o = {formula}\n")
    expected = CASES[formula]
    names = [n for n in expected.__code__.co_varnames if n in {*SHAPES, "k"}]
    given = {n: v for n, v in data().items() if n in names}
    found = program.Model().double().o(**given)
    torch.testing.assert_close(found, expected(**given))
    assert all(check.passed for check in program.verify())


@pytest.mark.parametrize("formula", CASES)
def test_its_spelling_is_read_again(formula: str) -> None:
    expr = compiled(f"{HEAD}o = {formula}\n").analysis.model.objectives["o"].expr
    again = compiled(f"{HEAD}o = {format_expr(expr)}\n").analysis.model.objectives["o"].expr
    assert again == expr


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ('einsum("ij,jk->ik", A, x)', "`jk` names 2 dimensions, `x` is"),
        ('einsum("ij,jk->ik", C, A)', "the index j is 4 long in `C` and 3 in `A`"),
        ('einsum("ij->k", A)', "the index k is in none of the tensors"),
        ("einsum(A, B)", "says nothing of 1 tensors"),
        ("sum(reshape(C, 5, 2))", "12 entries, and cannot be"),
        ("sum(transpose(im))", "transpose takes a matrix"),
        ("sum(transpose(im, 0, 0, 1))", "is no order of the dimensions"),
        ("sum(cat(A, C; dim=0))", "may differ in dimension 0 only"),
        ("sum(cat(A, B; dim=2))", "is no dimension of 2"),
        ("sum(stack(x, t))", "stacked tensors have one shape"),
        ("log_det(C)", "takes a square matrix"),
        ("sum(eye(t))", "takes its size as whole numbers"),
        ("dot(x, A)", "dot takes two of one shape"),
        ("sum(where(x > 0, x))", "takes 3 arguments, not 2"),
    ],
)
def test_what_is_said(formula: str, message: str) -> None:
    with pytest.raises(pgc.CompileError) as error:
        pgc.compile(f"{HEAD}o = {formula}\n")
    assert message in str(error.value)


def test_where_is_still_a_clause() -> None:
    text = "x : real[4]\nnet f = Linear(4)\no = sum(a) where (a, b) = f(x)\n"
    text += "p = where(sum(x) > 0, 1, 2) * sum(b) where (a, b) = f(x)"
    model = compiled(text).Model()
    x = torch.randn(5, 4)
    a, b = model.f(x).chunk(2, -1)
    torch.testing.assert_close(model.o(x=x), a.sum(-1))
    torch.testing.assert_close(model.p(x=x), torch.where(x.sum(-1) > 0, 1.0, 2.0) * b.sum(-1))
