"""What a module says of wrong inputs, and what a debug module says of wrong values."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

import pgcompile as pgc
from pgcompile.runtime.checks import check_support
from tests.conftest import compiled
from tests.programs import EXAMPLES, SMALL

TEXT = SMALL + "elbo = ELBO[p || q]\nmaximize elbo"


@pytest.mark.parametrize("method", ["elbo", "loss", "terms"])
@pytest.mark.parametrize("shape", [(), (7,), (2, 1), (6, 2), (2, 7)])
def test_a_wrong_shape_names_the_variable_and_the_formula(method: str, shape: tuple[int, ...]) -> None:
    model = compiled(TEXT).Model()
    formula = "elbo" if method == "terms" else method
    with pytest.raises(ValueError, match=rf"x of {formula} ends in \(6,\), not \({', '.join(map(str, shape))}"):
        getattr(model, method)(x=torch.zeros(shape))


def test_a_value_one_wide_does_not_broadcast() -> None:
    """The density of a normal would take it for all entries."""
    model = compiled(
        "x, z : real[3]\nnet f = Linear(3)\np(x|z) = Normal(f(z), 1)\np(z) = Normal(0, 1)\ne = log p"
    ).Model()
    with pytest.raises(ValueError, match=r"x of e ends in \(3,\), not \(2, 1\)"):
        model.e(x=torch.zeros(2, 1), z=torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"z of log_prob ends in \(3,\), not \(3, 2\)"):
        model.log_prob(x=torch.zeros(2, 3), z=torch.zeros(3, 2))


EVERY_KIND = """
x : real[4]
b : boolean[3]
n : nonnegative_integer
y : category[5]
z : real[2]
net d = Linear(4)
net g = Linear(3)
net h = Linear(5)
net e(x, b) = cat(x, b) >> Linear(2)
p(z) = Normal(0, 1)
p(x|z) = Normal(d(z), 1)
p(b|z) = Bernoulli(logits = g(z))
p(n|z) = Poisson(exp(z[0]))
p(y|z) = Categorical(logits = h(z))
q(z|x,b) = Normal(e(x, b), 1)
l = E_{q(z|x,b)}[log p(x|z) + log p(b|z) + log p(n|z) + log p(y|z)] - KL[q(z|x,b) || p(z)]
maximize l using Adam(lr = 1e-3)
"""


def data() -> dict[str, torch.Tensor]:
    every = torch.Generator().manual_seed(0)
    return {
        "x": torch.randn(6, 4, generator=every),
        "b": torch.ones(6, 3),
        "n": torch.arange(6.0),
        "y": torch.arange(6) % 5,
    }


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.int64, torch.float64, torch.float16])
@pytest.mark.parametrize("module", [torch.float32, torch.float64])
def test_numbers_of_another_dtype_are_converted(dtype: torch.dtype, module: torch.dtype) -> None:
    """A picture of 0 and 1, a count, a label as a byte and numpy's doubles give what floats and indices give."""
    model, values = compiled(EVERY_KIND).Model().to(module), data()
    values["n"], values["y"] = values["n"].clamp(max=1), values["y"] % 2
    given = dict(values)
    for name in ("b", "n", *(() if dtype.is_floating_point else ("y",)), *(("x",) if dtype.is_floating_point else ())):
        given[name] = values[name].to(dtype)
    plain = {name: value.to(given[name].dtype).to(module) if name == "x" else value for name, value in values.items()}
    torch.manual_seed(0)
    wanted = model.l(**plain)
    torch.manual_seed(0)
    torch.testing.assert_close(model.l(**given), wanted)
    torch.manual_seed(0)
    torch.testing.assert_close(model.loss(**given), -wanted.mean())


@pytest.mark.parametrize("name", ["x", "b", "n", "y"])
@pytest.mark.parametrize(
    "spoilt",
    [
        lambda v: v.tolist(),
        lambda v: None,
        lambda v: "abc",
        lambda v: v.to_sparse(),
        lambda v: v.to(torch.complex64),
        lambda v: v[:5],
        lambda v: v.unsqueeze(-1),
    ],
)
def test_a_wrong_value_is_named(name: str, spoilt: Callable[[torch.Tensor], object]) -> None:
    model, values = compiled(EVERY_KIND).Model(), data()
    with pytest.raises((TypeError, ValueError), match=rf"\b{name}\b"):
        model.l(**{**values, name: spoilt(values[name])})


@pytest.mark.parametrize(
    ("name", "spoilt"),
    [
        *itertools.product(["z", "x", "b", "n", "y"], [None, "abc", 3, [1.0]]),
        *itertools.product(["z", "x", "b"], [torch.zeros(6), torch.zeros(6, 9), torch.tensor(1.0)]),
    ],
)
def test_a_wrong_value_given_to_a_sampler_is_named(name: str, spoilt: object) -> None:
    given = {"z": torch.zeros(6, 2), **data()}
    with pytest.raises((TypeError, ValueError), match=rf"^{name} in given (must be a dense real tensor|ends in)"):
        compiled(EVERY_KIND).Model().sample((), {**given, name: spoilt})


@pytest.mark.parametrize("size", [3, (3,), [3], torch.Size([3])])
def test_a_sample_has_the_batch_shape_that_was_asked(size: Any) -> None:
    assert compiled(TEXT).Model().sample(size)["x"].shape == (3, 6)


@pytest.mark.parametrize("name", [3, None, ["p(z)"], "p(z|x)", "z", ""])
def test_a_factor_that_is_not_there_is_named(name: Any) -> None:
    model = compiled(TEXT).Model()
    for ask in (model.factor, functools.partial(model.log_prob_of, x=torch.zeros(2, 6))):
        with pytest.raises(KeyError, match=r"is not one of p\(z\)"):
            ask(name)


def test_what_a_factor_is_given_is_named() -> None:
    with pytest.raises(TypeError, match=r"z of p\(x\|z\) must be a dense real tensor"):
        compiled(EVERY_KIND).Model().factor("p(x|z)")([1, 2])


def test_a_wrong_kind_of_number_is_named() -> None:
    with pytest.raises(TypeError, match=r"x of l must be float, not torch.int64"):
        compiled(EVERY_KIND).Model().l(**{**data(), "x": torch.ones(6, 4, dtype=torch.long)})
    model = compiled(EXAMPLES["classifier"]).Model()
    with pytest.raises(TypeError, match=r"y of likelihood must be int64, not torch.float32"):
        model.likelihood(x=torch.zeros(2, 64), y=torch.zeros(2))


def test_a_missing_variable_is_named_by_python() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        compiled(TEXT).Model().elbo()


def test_checks_cost_no_operation() -> None:
    """They read shapes and dtypes: nothing is dispatched, nothing waits for the device."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Nothing(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            raise AssertionError(f"{func} was called")

    model = compiled(TEXT).Model()
    x = torch.zeros(2, 6)
    with Nothing():
        assert model.elbo.__globals__["take"](model, "elbo", x=(x, (6,))) is x


def debug(text: str) -> torch.nn.Module:
    return pgc.compile(text, debug=True).Model()


@pytest.mark.parametrize(
    ("space", "value"),
    [
        ("boolean[3]", [0.0, 0.5, 1.0]),
        ("unit_interval[3]", [0.0, 0.5, 1.5]),
        ("positive[3]", [1.0, 0.0, 1.0]),
        ("nonnegative[3]", [1.0, -1.0, 1.0]),
        ("nonnegative_integer[3]", [1.0, 0.5, 1.0]),
        ("simplex[3]", [0.5, 0.4, 0.3]),
        ("one_hot[3]", [1.0, 1.0, 0.0]),
        ("real[3]", [0.0, float("nan"), 0.0]),
    ],
)
def test_a_debug_module_checks_values(space: str, value: list[float]) -> None:
    model = debug(f"x : {space}\nparam m : real[3] = 0\nq : real[3]\np(q|x) = Normal(x + m, 1)\ne = log p\nmaximize e")
    with pytest.raises(ValueError, match=f"x has the value .*, which is not in {space[:-3]}"):
        model.e(x=torch.tensor([value]), q=torch.zeros(1, 3))


def test_a_debug_module_checks_indices() -> None:
    model = debug("k : category[3]\nx : real\nbuffer m : real[3] = [0, 1, 2]\np(x|k) = Normal(m[k], 1)\ne = log p")
    with pytest.raises(ValueError, match=r"k of e must lie in 0\.\.2, not 3"):
        model.e(x=torch.zeros(2), k=torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="k has the value 3, which is not in category"):  # on other devices
        check_support("k", torch.tensor([0, 3]), "category", 3)


def test_a_debug_module_names_the_first_term_that_is_not_finite() -> None:
    model = debug(TEXT)
    with torch.no_grad():
        model.dec.weight.fill_(float("inf"))
    with pytest.raises(FloatingPointError, match=r"logits of p\(x\|z\) is (nan|inf|-inf)"):
        model.loss(x=torch.ones(2, 6))
    with torch.no_grad():
        model.loc.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match=r"loc of q\(z\|x\) is nan"):
        model.elbo(x=torch.ones(2, 6))


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_debug_module_computes_the_same(name: str) -> None:
    program = pgc.compile(EXAMPLES[name], debug=True)  # its text but for the checks is verified elsewhere
    assert [str(check) for check in program.verify(runs=240) if not check.passed] == []


WITH_INPUTS = """
x : real[3]
z : real[2]
input beta : real
input gain : real[2]
net f = Linear(3)
net g = Linear(2)
p(z) = Normal(gain, exp(beta))
y = beta * z
p(x|y) = Normal(f(y), exp(-beta))
q(z|x) = Normal(g(x), 0.5)
elbo = ELBO[p(x|y) p(z) || q(z|x)]
"""


def test_inputs_of_a_factor_reach_samplers_factors_and_densities() -> None:
    """`input`s in the parameters of a factor, given as bare numbers."""
    model = pgc.compile(WITH_INPUTS).Model()
    x, y, gain = torch.randn(5, 3), torch.randn(5, 2), torch.tensor([100.0, -100.0])
    assert model.elbo(x=x, beta=0.5, gain=gain).shape == (5,)
    drawn = model.sample((200,), given={"beta": 0.5, "gain": gain})
    assert (drawn["z"].mean(0) - gain).abs().max() < 1
    torch.testing.assert_close(drawn["y"], 0.5 * drawn["z"])
    expected = torch.distributions.Normal(model.f(y), torch.tensor(-0.5).exp()).log_prob(x).sum(-1)
    torch.testing.assert_close(model.log_prob_of("p(x|y)", x=x, y=y, beta=0.5), expected)
    torch.testing.assert_close(model.factor("p(x|y)")(y, beta=0.5).log_prob(x), expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"beta": 0.5}, "p\\(x\\|y\\) needs y"),
        ({"y": torch.zeros(5, 1), "beta": 0.5}, r"y of p\(x\|y\) ends in \(2,\)"),
        ({"y": torch.zeros(5, 2), "beta": 0.5, "x": torch.zeros(5, 1)}, "x of p\\(x\\|y\\) ends in"),
        ({"y": torch.zeros(5, 2)}, "beta"),
        ({"y": torch.zeros(5, 2), "beta": 0.5, "w": 1}, "w"),
    ],
)
def test_log_prob_of_says_what_does_not_fit(values: dict, message: str) -> None:
    """A value that is missing, too many, or of another shape is named; nothing broadcasts silently."""
    model = pgc.compile(WITH_INPUTS).Model()
    with pytest.raises((KeyError, ValueError, TypeError), match=message):
        model.log_prob_of("p(x|y)", **{"x": torch.zeros(5, 3), **values})


def test_a_sampler_asks_for_its_inputs() -> None:
    """An input that is not given is named."""
    model = pgc.compile(WITH_INPUTS).Model()
    with pytest.raises(ValueError, match="gain is an input"):
        model.sample((2,), given={"beta": 0.5})


@pytest.mark.parametrize("value", [None, "0.5", [0.5], torch.zeros(4, 2)])
def test_an_input_of_another_kind_is_named(value: object) -> None:
    text = "x : real\ninput beta : real[3]\nl = x * sum(beta)\nmaximize l"
    model = pgc.compile(text).Model()
    assert model.l(x=torch.ones(4), beta=torch.ones(3)).tolist() == [3.0] * 4
    with pytest.raises(TypeError, match=r"beta of l must be a tensor that ends in \(3,\)"):
        model.l(x=torch.ones(4), beta=value)


@pytest.mark.parametrize("shape", [(-1,), (2.5,), ("a",), None, torch.tensor([2.0])])
def test_a_shape_of_draws_is_whole_numbers(shape: object) -> None:
    model = pgc.compile("z : real[2]\np(z) = Normal(0, 1)").Model()
    with pytest.raises(TypeError, match="shape must be a number of draws or a tuple of such, not"):
        model.sample(shape)
