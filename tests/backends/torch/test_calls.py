"""What a wrong call is told: the variable, what was got and what was expected, beside the right call next to it.

Each row has a program, a right call, what is changed in it, and words that the message holds.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import compiled

IMAGES = """x : boolean[6]
y : category[4]
z : real[2]
net enc(x, y) = cat(x, one_hot(y)) >> Linear(4)
net dec(z, y) = cat(z, one_hot(y)) >> Linear(6)
p(y) = Categorical(logits = [0, 0, 0, 0])
p(z) = Normal(0, 1)
p(x|z,y) = Bernoulli(logits = dec(z, y))
q(z|x,y) = Normal(m, softplus(s)) where (m, s) = enc(x, y)
elbo = E_{q(z|x,y)}[log p(x|z,y)] + log p(y) - KL[q(z|x,y) || p(z)]
maximize elbo
"""
MEANS = """x : real[2]
k : category[5]
param m : real[5, 2] = normal(1)
p(k) = Categorical(logits = [0, 0, 0, 0, 0])
p(x|k) = Normal(m[k], 1)
both = log p
maximize both
"""
INPUTS = """x : real[3]
z : real[2]
input beta : real
input gain : real[2]
net f = Linear(3)
net g = Linear(2)
p(z) = Normal(gain, exp(beta))
p(x|z) = Normal(f(z), exp(-beta))
q(z|x) = Normal(g(x), 0.5)
elbo = ELBO[p(x|z) p(z) || q(z|x)]
maximize elbo
"""
PADDED = """index t in 1..T padded
x_t : real[2]
y_t : real
net f = Linear(1)
p(y_t|x_t) = Normal(f(x_t)[0], 1)
like = sum_t log p(y_t|x_t)
maximize like
"""
WORDS = """index t in 1..T padded
w_t : category[7]
h_t : real[5]
net letter = Embedding(3)
net cell = GRUCell
net next = Linear(7)
h_0 = 0
h_t = cell(letter(w_t), h_{t-1})
p(w_t|h_{t-1}) = Categorical(logits = next(h_{t-1}))
score = sum_t log p(w_t|h_{t-1})
maximize score
"""
CHAIN = """index t in 1..T
x_t : real[4]
z_t : real[3]
z_0 : real[3]
net move = Linear(3)
net emit = Linear(4)
p(z_0) = Normal(0, 1)
p(z_t|z_{t-1}) = Normal(move(z_{t-1}), 1)
p(x_t|z_t) = Normal(emit(z_t), 1)
joint = log p
maximize joint
"""
DATA = """index n in data
y_n : real
s_n : positive
mu : real
param m : real
p(mu) = Normal(0, 5)
p(y_n|mu,s_n) = Normal(mu, s_n)
q(mu) = Normal(m, 1)
elbo = sum_n E_{q(mu)}[log p(y_n|mu,s_n)] - KL[q(mu) || p(mu)]
maximize elbo
"""
SHARES = """A : real[2, 3]
v : real[3]
y : real[2]
p(A) = Normal(0, 1)
p(v) = Normal(0, 1)
p(y|A,v) = Normal(A @ v, 1)
like = log p
maximize like
"""
PROGRAMS = {
    "images": (IMAGES, {"x": torch.ones(6, 6), "y": torch.arange(6) % 4, "z": torch.zeros(6, 2)}),
    "means": (MEANS, {"x": torch.zeros(6, 2), "k": torch.arange(6) % 5}),
    "inputs": (INPUTS, {"x": torch.zeros(6, 3), "z": torch.zeros(6, 2), "beta": 0.5, "gain": torch.zeros(2)}),
    "padded": (PADDED, {"x": torch.zeros(3, 5, 2), "y": torch.zeros(3, 5), "T": torch.tensor([5, 2, 1])}),
    "words": (WORDS, {"w": torch.zeros(3, 5, dtype=torch.long), "T": torch.tensor([5, 2, 1])}),
    "chain": (CHAIN, {"x": torch.zeros(2, 5, 4), "z": torch.zeros(2, 5, 3), "z_0": torch.zeros(2, 3)}),
    "data": (DATA, {"y": torch.zeros(6), "s": torch.ones(6), "N": 100}),
    "shares": (SHARES, {"A": torch.zeros(6, 2, 3), "v": torch.zeros(6, 3), "y": torch.zeros(6, 2)}),
}

CALLS: list[tuple[str, str, tuple[str, ...], dict[str, Any], str]] = [
    # program, method, its arguments, what is wrong, words of the message
    ("images", "elbo", ("x", "y"), {"y": torch.full((6,), -1)}, r"y of elbo must lie in 0\.\.3, not -1"),
    ("images", "elbo", ("x", "y"), {"y": torch.full((6,), 4)}, r"y of elbo must lie in 0\.\.3, not 4"),
    ("images", "loss", ("x", "y"), {"y": torch.full((6,), 9)}, r"y of loss must lie in 0\.\.3, not 9"),
    ("images", "elbo", ("x", "y"), {"y": torch.zeros(6)}, r"y of elbo must be int64, not torch.float32"),
    (
        "images",
        "elbo",
        ("x", "y"),
        {"y": torch.zeros(6, 1).long()},
        r"batch shapes of x \(6,\), y \(6, 1\) in elbo differ",
    ),
    ("images", "elbo", ("x", "y"), {"x": np.ones((6, 6))}, "x of elbo must be a dense real tensor, not .*ndarray"),
    ("images", "elbo", ("x", "y"), {"x": None}, "x of elbo must be a dense real tensor, not .*NoneType"),
    ("images", "elbo", ("x", "y"), {"x": torch.ones(6, 6).to(torch.complex64)}, "x of elbo .* not torch.complex64"),
    ("images", "elbo", ("x", "y"), {"x": torch.ones(6, 6).to_sparse()}, "x of elbo .* not .*sparse_coo"),
    ("images", "elbo", ("x", "y"), {"x": torch.ones(6, 6).to_sparse_csr()}, "x of elbo .* not .*sparse_csr"),
    ("images", "elbo", ("x", "y"), {"x": torch.ones(6, 6, device="meta")}, "x of elbo is on meta, the module on cpu"),
    ("images", "elbo", ("x", "y"), {"y": (1, 2)}, "y of elbo must be a dense real tensor, not .*tuple"),
    (
        "images",
        "log_prob",
        ("x", "y", "z"),
        {"z": torch.zeros(4, 2)},
        r"x \(6,\), y \(6,\), z \(4,\) in log_prob do not",
    ),
    ("means", "both", ("x", "k"), {"k": torch.full((6,), -1)}, r"k of both must lie in 0\.\.4, not -1"),
    ("means", "log_prob", ("x", "k"), {"k": torch.zeros(4).long()}, r"x \(6,\), k \(4,\) in log_prob do not broadcast"),
    (
        "shares",
        "log_prob",
        ("A", "v", "y"),
        {"A": torch.zeros(6, 3, 2)},
        r"A of log_prob ends in \(2, 3\), not \(6, 3, 2\)",
    ),
    ("shares", "log_prob", ("A", "v", "y"), {"A": torch.zeros(3)}, r"A of log_prob ends in \(2, 3\), not \(3,\)"),
    (
        "shares",
        "log_prob",
        ("A", "v", "y"),
        {"v": torch.zeros(4, 3)},
        r"A \(6,\), v \(4,\), y \(6,\) in log_prob do not",
    ),
    ("inputs", "elbo", ("x", "beta", "gain"), {"beta": "a"}, "beta of elbo must be a number, not 'a'"),
    ("inputs", "elbo", ("x", "beta", "gain"), {"beta": 1j}, "beta of elbo must be a number, not 1j"),
    (
        "inputs",
        "elbo",
        ("x", "beta", "gain"),
        {"beta": torch.zeros(4)},
        r"the variables \(6,\), beta \(4,\).* in elbo do not",
    ),
    (
        "inputs",
        "elbo",
        ("x", "beta", "gain"),
        {"gain": torch.zeros(3)},
        r"gain .* ends in \(2,\), not torch.float32 of \(3,\)",
    ),
    ("inputs", "elbo", ("x", "beta", "gain"), {"gain": np.zeros(2)}, r"gain .* ends in \(2,\), not ndarray of \(2,\)"),
    (
        "inputs",
        "elbo",
        ("x", "beta", "gain"),
        {"gain": torch.zeros(2, device="meta")},
        "gain of elbo is on meta, the module",
    ),
    (
        "padded",
        "like",
        ("x", "y", "T"),
        {"T": torch.tensor([6, 2, 1])},
        r"T of like must lie in 0\.\.5, the places of x, not 6",
    ),
    ("padded", "loss", ("x", "y", "T"), {"T": torch.tensor([-1, 2, 1])}, r"T of like must lie in 0\.\.5, .* not -1"),
    ("padded", "like", ("x", "y", "T"), {"T": torch.tensor([5.0, 2, 1])}, "T of like must be int64, not torch.float32"),
    (
        "padded",
        "like",
        ("x", "y", "T"),
        {"T": torch.tensor([5, 2])},
        r"x \(3,\), y \(3,\), T \(2,\) in like differ",
    ),
    ("padded", "like", ("x", "y", "T"), {"T": 5}, "T of like must be a dense real tensor, not .*int"),
    ("padded", "like", ("x", "y", "T"), {"y": torch.zeros(3, 4)}, "n_t is 5 in x and 4 in y of like"),
    (
        "words",
        "score",
        ("w", "T"),
        {"T": torch.tensor([5, 2, 9])},
        r"T of score must lie in 0\.\.5, the places of w, not 9",
    ),
    ("words", "score", ("w", "T"), {"w": torch.zeros(3, 5)}, "w of score must be int64, not torch.float32"),
    ("chain", "joint", ("x", "z", "z_0"), {"z": torch.zeros(2, 4, 3)}, "T is .* and .* in .* of joint"),
    (
        "chain",
        "joint",
        ("x", "z", "z_0"),
        {"x": torch.zeros(2, 0, 4), "z": torch.zeros(2, 0, 3)},
        "has no places: T is 0",
    ),
    (
        "chain",
        "joint",
        ("x", "z", "z_0"),
        {"z_0": torch.zeros(3, 3)},
        r"z_0 \(3,\).* in joint differ",
    ),
    ("data", "elbo", ("y", "s", "N"), {"N": 3}, "N must be the number of all data points, at least the 6 given, not 3"),
    ("data", "elbo", ("y", "s", "N"), {"N": float("nan")}, "N must be the number of all data points, .* not nan"),
    ("data", "loss", ("y", "s", "N"), {"N": "a"}, "N must be the number of all data points, .* not 'a'"),
    ("data", "elbo", ("y", "s", "N"), {"N": torch.tensor([7.0, 8.0])}, "N must be the number of all data points"),
    ("data", "elbo", ("y", "s", "N"), {"s": torch.ones(5)}, "n_n is 6 in y and 5 in s of elbo"),
]


@pytest.mark.parametrize(("program", "method", "names", "wrong", "words"), CALLS)
def test_a_wrong_argument_is_named(
    program: str, method: str, names: tuple[str, ...], wrong: dict[str, Any], words: str
) -> None:
    text, values = PROGRAMS[program]
    called = getattr(compiled(text).Model(), method)
    right = {name: values[name] for name in names}
    assert torch.isfinite(called(**right)).all()
    with pytest.raises((TypeError, ValueError), match=words):
        called(**{**right, **wrong})


SAMPLES: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    # program, arguments of `sample`, its keywords, words of the message
    ("images", (2.5,), {}, "shape must be a number of draws or a tuple of such, not 2.5"),
    ("images", ((-1,),), {}, r"shape must be a number of draws or a tuple of such, not \(-1,\)"),
    ("images", ("ab",), {}, "shape must be .* not 'ab'"),
    ("images", ((),), {"given": [1]}, "given must be a dict of tensors by name, not "),
    ("images", ((),), {"given": {"w": torch.zeros(2)}}, "w is not one of y, z, x"),
    ("images", ((),), {"given": {"x": torch.ones(6)}}, "x is given, but [yz] above it is not"),
    ("images", ((),), {"given": {"y": torch.tensor(4)}}, r"y in given must lie in 0\.\.3, not 4"),
    ("images", ((),), {"given": {"y": torch.tensor(1.0)}}, "y in given must be int64, not torch.float32"),
    ("images", ((),), {"given": {"z": torch.zeros(2, device="meta")}}, "z in given is on meta, the module on cpu"),
    (
        "images",
        ((),),
        {"given": {"y": torch.zeros(3).long(), "z": torch.zeros(4, 2)}},
        r"y \(3,\), z \(4,\) in given do not broadcast",
    ),
    ("inputs", ((),), {"given": {"beta": "a", "gain": torch.zeros(2)}}, "beta of given must be a number, not 'a'"),
    ("inputs", ((),), {"given": {"beta": 0.5}}, "gain is an input of the model; give it"),
    ("inputs", ((),), {"given": 3}, "given must be a dict of tensors by name, not 3"),
    ("chain", ((),), {"T": -1}, "T must be a number of places, not -1"),
    ("chain", ((),), {"T": 2.5}, "T must be a number of places, not 2.5"),
    ("chain", ((),), {"T": "a"}, "T must be a number of places, not 'a'"),
    ("chain", ((),), {}, r"say how many places to draw: sample\(\.\.\., T=20\)"),
    ("chain", ((),), {"T": 5, "given": {"z": torch.zeros(3)}}, r"z in given ends in \('T', 3\), not \(3,\)"),
    ("chain", ((),), {"T": 5, "given": {"z": "a"}}, "z in given must be a dense real tensor, not .*str"),
]
RIGHT_SAMPLES: dict[str, dict[str, Any]] = {
    "images": {"given": {"y": torch.zeros(3).long(), "z": torch.zeros(3, 2)}},
    "inputs": {"given": {"beta": 0.5, "gain": torch.zeros(2)}},
    "chain": {"T": 5, "given": {"z": torch.zeros(2, 4, 3), "z_0": torch.zeros(2, 3)}},
}


@pytest.mark.parametrize("method", ["sample", "sample_mean"])
@pytest.mark.parametrize(("program", "arguments", "keywords", "words"), SAMPLES)
def test_a_sampler_names_what_is_wrong(
    method: str, program: str, arguments: tuple[Any, ...], keywords: dict[str, Any], words: str
) -> None:
    draw = getattr(compiled(PROGRAMS[program][0]).Model(), method)
    assert all(value.isfinite().all() for value in draw((), **RIGHT_SAMPLES[program]).values())
    with pytest.raises((TypeError, ValueError, KeyError), match=words):
        draw(*arguments, **keywords)


FACTORS: list[tuple[str, str, dict[str, Any], str]] = [
    ("images", "p(x|z,y)", {"z": torch.zeros(4, 2)}, r"z \(4,\), y \(6,\) in p\(x\|z,y\) do not broadcast"),
    ("images", "p(x|z,y)", {"y": torch.full((6,), 7)}, r"y of p\(x\|z,y\) must lie in 0\.\.3, not 7"),
    ("images", "p(x|z,y)", {"x": torch.ones(4, 6)}, r"batch shapes of x \(4,\), its parents \(6,\) in p\(x\|z,y\)"),
    ("images", "p(x|z,y)", {"x": torch.ones(6, 5)}, r"x of p\(x\|z,y\) ends in \(6,\), not \(6, 5\)"),
    ("images", "p(x|z,y)", {"x": [1.0]}, r"x of p\(x\|z,y\) must be a dense real tensor, not .*list"),
    ("images", "p(y)", {"y": torch.full((6,), 4)}, r"y of p\(y\) must lie in 0\.\.3, not 4"),
    ("images", "q(z|x,y)", {"z": torch.zeros(6, 1)}, r"z of q\(z\|x,y\) ends in \(2,\), not \(6, 1\)"),
    ("means", "p(x|k)", {"x": torch.zeros(6, 2).to(torch.complex64)}, r"x of p\(x\|k\) must be a dense real tensor"),
]


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize(("program", "label", "wrong", "words"), FACTORS)
def test_a_factor_names_what_is_wrong(
    by_name: bool, program: str, label: str, wrong: dict[str, Any], words: str
) -> None:
    """Through `log_prob_of`, and through the distribution that `factor` gives."""
    text, values = PROGRAMS[program]
    model = compiled(text).Model()
    target, _, rest = label[2:-1].partition("|")
    parents = rest.split(",") if rest else []

    def density(**given: Any) -> torch.Tensor:
        if by_name:
            return model.log_prob_of(label, **given)
        return model.factor(label)(*(given[name] for name in parents)).log_prob(given[target])

    right = {name: values[name] for name in (target, *parents)}
    assert density(**right).shape == (6,)
    with pytest.raises((TypeError, ValueError), match=words):
        density(**{**right, **wrong})


def test_the_distribution_of_a_factor_is_still_one_of_torch() -> None:
    """It is copied, expanded and compared like any other, and scores what torch's own does."""
    model = compiled(MEANS).Model()
    with torch.no_grad():  # torch copies no tensors that depend on others
        found = model.factor("p(x|k)")(torch.arange(5))
    x = torch.randn(5, 2)
    expected = torch.distributions.Normal(model.m.detach(), 1.0).log_prob(x).sum(-1)
    for same in (found, copy.deepcopy(found), found.expand((5,))):
        torch.testing.assert_close(same.log_prob(x), expected)
    assert torch.distributions.kl_divergence(found, found).abs().max() == 0


def test_batches_broadcast_in_a_density_whatever_torch_makes_of_them() -> None:
    """`torch.cat`, `gather` and the cross-entropy broadcast nothing; a density does, as those of other families do."""
    text, values = PROGRAMS["images"]
    model = compiled(text).Model()
    x, z = values["x"], torch.randn(3, 1, 2)
    y = values["y"]
    found = model.log_prob(x=x, y=y, z=z)
    one_by_one = torch.stack([model.log_prob(x=x, y=y, z=each.expand(6, 2)) for each in z])
    torch.testing.assert_close(found, one_by_one)
    torch.testing.assert_close(
        model.log_prob_of("p(x|z,y)", x=x, y=y, z=z),
        torch.stack([model.log_prob_of("p(x|z,y)", x=x, y=y, z=each.expand(6, 2)) for each in z]),
    )


def test_padding_of_categories_may_hold_anything() -> None:
    """Categories stay indices there: values behind an end are not looked at, and count for nothing."""
    text, values = PROGRAMS["words"]
    model = compiled(text).Model()
    spoilt = values["w"].clone()
    spoilt[1, 2:], spoilt[2, 1:] = -7, 99
    torch.testing.assert_close(model.score(w=spoilt, T=values["T"]), model.score(**values))


SUPPLIED = """x : real[4]
z : real[2]
extern net encoder(x) -> (loc: real[2], scale: positive[2])
extern p(x|z)
p(z) = Normal(0, 1)
q(z|x) = Normal(l, s) where (l, s) = encoder(x)
elbo = ELBO[p || q]
maximize elbo
"""


class Encoder(nn.Module):
    """Two heads of some sizes."""

    def __init__(self, loc: int = 2, scale: int = 2, inputs: int = 4) -> None:
        super().__init__()
        self.loc, self.scale = nn.Linear(inputs, loc), nn.Linear(inputs, scale)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.loc(x), self.scale(x).exp()


class Decoder(nn.Module):
    """A distribution over x, or what is made of its mean."""

    def __init__(self, size: int = 4, made: Callable[[torch.Tensor], Any] | None = None) -> None:
        super().__init__()
        self.net, self.made = nn.Linear(2, size), made

    def forward(self, z: torch.Tensor) -> Any:
        return (self.made or (lambda loc: torch.distributions.Normal(loc, 1.0)))(self.net(z))


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        (Encoder(3), r"loc is declared with the event shape \[2\], encoder gives \[3\]"),
        (Encoder(2, 5), r"scale is declared with the event shape \[2\], encoder gives \[5\]"),
        (nn.Linear(4, 2), "encoder gives 1 results, declared are loc, scale"),
        (Encoder(inputs=3), r"encoder fails on inputs of the event shapes \[4\]"),
        (None, "encoder must be a torch.nn.Module, not None"),
        ("a", "encoder must be a torch.nn.Module, not 'a'"),
        (Encoder, "encoder must be a torch.nn.Module, not <class"),
    ],
)
def test_a_supplied_net_is_named(encoder: Any, words: str) -> None:
    model = compiled(SUPPLIED).Model
    assert model(encoder=Encoder(), p_x_given_z=Decoder()).elbo(x=torch.zeros(3, 4)).shape == (3,)
    with pytest.raises((TypeError, ValueError), match=words):
        model(encoder=encoder, p_x_given_z=Decoder())


@pytest.mark.parametrize(
    ("decoder", "words"),
    [
        (Decoder(3), r"p\(x\|z\), as supplied, must end in \(4,\), not \(3, 3\)"),
        (Decoder(made=lambda loc: loc), r"p\(x\|z\), as supplied, gives Tensor, not a distribution"),
        (Decoder(made=lambda loc: None), r"p\(x\|z\), as supplied, gives NoneType, not a distribution"),
        (
            Decoder(made=lambda loc: torch.distributions.Normal(loc[:2], 1.0)),
            r"its parents \(3,\), what it gives \(2,\) in p\(x\|z\), as supplied, do not broadcast",
        ),
    ],
)
@pytest.mark.parametrize(
    "call",
    [
        lambda model: model.elbo(x=torch.zeros(3, 4)),
        lambda model: model.sample((3,)),
        lambda model: model.log_prob(x=torch.zeros(3, 4), z=torch.zeros(3, 2)),
        lambda model: model.factor("p(x|z)")(torch.zeros(3, 2)),
    ],
)
def test_a_supplied_factor_is_named(decoder: nn.Module, words: str, call: Callable[[Any], Any]) -> None:
    model = compiled(SUPPLIED).Model
    call(model(encoder=Encoder(), p_x_given_z=Decoder()))
    with pytest.raises((TypeError, ValueError), match=words):
        call(model(encoder=Encoder(), p_x_given_z=decoder))


def test_a_supplied_factor_must_be_callable() -> None:
    with pytest.raises(TypeError, match=r"p_x_given_z must be a torch.nn.Module, not None"):
        compiled(SUPPLIED).Model(encoder=Encoder(), p_x_given_z=None)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("a", "m must be numbers, not 'a'"),
        (None, "m must be numbers, not None"),
        (torch.zeros(5, 2).to(torch.complex64), "m must be real numbers, not torch.complex64"),
        (torch.zeros(2), r"m has shape \[5, 2\], not \[2\]"),
    ],
)
def test_a_param_that_is_set_is_named(value: Any, words: str) -> None:
    model = compiled(MEANS).Model()
    with torch.no_grad():
        model.set("m", np.ones((5, 2)))
        assert model.get("m").sum() == 10
        with pytest.raises((TypeError, ValueError), match=words):
            model.set("m", value)


@pytest.mark.parametrize("program", ["means", "images"])
def test_ranges_are_not_looked_at_where_that_cannot_be_done(program: str) -> None:
    """Under vmap, while compiled and on the meta device no value is read; the numbers are those of a plain call."""
    text, values = PROGRAMS[program]
    model = compiled(text).Model()
    names = ("x", "k") if program == "means" else ("x", "y", "z")
    given = {name: values[name] for name in names}
    expected = model.log_prob(**given)
    each = torch.func.vmap(lambda *row: model.log_prob(*row))(*given.values())
    torch.testing.assert_close(each, expected)
    whole = torch.compile(model.log_prob, fullgraph=True, backend="eager")
    torch.testing.assert_close(whole(**given), expected)
    exported = torch.export.export(Density(model), tuple(given.values())).module()
    torch.testing.assert_close(exported(*given.values()), expected)
    meta = compiled(text).Model().to("meta")
    assert meta.log_prob(**{name: value.to("meta") for name, value in given.items()}).shape == (6,)


class Density(nn.Module):
    """The density of a model as its forward method."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.model.log_prob(*values)
        return found
