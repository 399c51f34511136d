"""The table of transforms: every fact is stated, every option has the range that its mathematics needs."""

import ast
import copy
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from math import prod
from typing import Any

import pytest
import torch

import pgcompile as pgc
from pgcompile.runtime.library import library
from pgcompile.vocabulary.layers import ACTIVATIONS
from pgcompile.vocabulary.transform_options import MissingFact, Option
from pgcompile.vocabulary.transforms import FACTS, Word, transform_trees, transform_words, words_of

WORDS = transform_words()
D = 4

# A new transform, as one would write it: its option may be 0.
ARCSINH = '''
"""The inverse hyperbolic sine."""

import torch
from torch import Tensor

from pgcompile.runtime.transforms.functions import ElementwiseFunction

__all__ = ["Arcsinh"]


class Arcsinh(ElementwiseFunction):
    """y = arsinh(x - shift)."""

    domain = "real"
    codomain = "real"
    options = {
        "shift": {"kind": "real"},
    }

    def __init__(self, shape: tuple, shift: float = 0.0):
        super().__init__(shape)
        self.shift = shift

    def call(self, x: Tensor):
        """The value and the log-slope."""
        return torch.asinh(x - self.shift), -torch.log1p((x - self.shift).square()) / 2

    def back(self, y: Tensor) -> Tensor:
        """sinh(y) + shift."""
        return torch.sinh(y) + self.shift
'''


def with_arcsinh(text: str = ARCSINH) -> dict[str, Word]:
    return words_of([*transform_trees(), ast.parse(text)])


def shape_of(word: Word) -> tuple[int, ...]:
    return (D, 4, 4) if word.takes == "image" else (D,)


def program(word: Word, options: str) -> str:
    """A program with one transform, brought to real numbers after it where it leads elsewhere."""
    kinds = {"circle": "real", None: "real"}
    kind = kinds.get(word.domain, word.domain)
    size = ", ".join(map(str, shape_of(word)))
    after = {"positive": " >> Log", "unit_interval": " >> Logit"}.get(word.codomain or "", "")
    base = {"circle": "Uniform(-pi, pi)", "interval": "Uniform(-1, 1)"}.get(word.codomain or "", "Normal(0, 1)")
    call = f"{word.name}({options})" if options else word.name
    layers = (
        "Conv2d(3, 1) >> Tanh >> Conv2d(kernel_size = 1)" if word.takes == "image" else "Linear(3) >> Tanh >> Linear"
    )
    own = f"net own = {layers}\n" if options == "net=own" else ""
    return f"{own}x : {kind}[{size}]\nflow f = {call}{after}\np(x) = Flow({base}, f)\nfit = log p(x)\nmaximize fit"


def data_for(word: Word) -> torch.Tensor:
    torch.manual_seed(1)
    x = torch.rand(5, *shape_of(word), dtype=torch.float64) * 0.8 + 0.1
    return torch.zeros_like(x) if word.domain == "nonnegative_integer" else x


def inside(word: Word, option: Option) -> list[str]:
    """Values at the border of an option's range, as programs write them."""
    match option.kind:
        case "integer":
            assert option.at_least is not None
            return [str(option.at_least), str(option.at_least + 1)] if word.shape_rule == "same" else ["1"]
        case "real":
            near = 1e-3
            low = option.at_least if option.at_least is not None else None
            low = option.above + near if low is None and option.above is not None else low
            high = option.at_most if option.at_most is not None else None
            high = option.below - near if high is None and option.below is not None else high
            around = [] if option.other_than is None else [option.other_than - 0.5, option.other_than + 0.5]
            free = [0] if low is None and high is None and option.other_than is None else []
            return [f"{v:g}" for v in (low, high, *around, *free) if v is not None]
        case "flag":
            return ["true", "false"]
        case "sizes":
            least = int(option.at_least or 1)
            into = [f"[{prod(shape_of(word))}]"]
            return into if word.shape_rule == "into" else [f"[{', '.join([str(least)] * max(option.entries, 1))}]"]
        case "adjacency":
            return ["[[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 1]]"]
        case "activation":
            return [*option.words] or ["ReLU", "Tanh"]
        case "mask":
            return [*option.words, "[1, 0, 0, 1]"]
        case "order":
            return [*option.words, "[2, 0, 3, 1]"]
        case "word":
            return [*option.words]
        case "module":
            return ["own"]
    raise AssertionError(option.kind)


def outside(option: Option) -> list[str]:
    """Values next to the border of an option's range on its other side."""
    match option.kind:
        case "integer":
            assert option.at_least is not None
            return [str(option.at_least - 1), "1.5", "ReLU"]
        case "real":
            past = [
                None if option.at_least is None else option.at_least - 1e-3,
                option.above,
                None if option.at_most is None else option.at_most + 1e-3,
                option.below,
                option.other_than,
            ]
            return [*(f"{v:g}" for v in past if v is not None), "1e400", "ReLU"]
        case "flag":
            return ["2"]
        case "sizes":
            less = int(option.at_least or 1) - 1
            return [f"[{less}]", "[1.5]", "ReLU"]
        case "adjacency":
            return ["[[2]]", "random"]
        case _:
            return ["Sideways", "0.5"]


OPTIONS = [(word, option) for word in WORDS.values() for option in word.options]
IDS = [f"{word.name}-{option.name}" for word, option in OPTIONS]


@pytest.mark.parametrize(("word", "option"), OPTIONS, ids=IDS)
def test_a_value_at_the_border_of_its_range_compiles_and_inverts(word: Word, option: Option) -> None:
    for value in inside(word, option):
        torch.manual_seed(0)
        model: Any = pgc.compile(program(word, f"{option.name}={value}")).Model().double()
        x = data_for(word)
        if word.name in ("ActNorm", "BatchNorm"):
            model.f(x)
        flow = model.eval().f
        x = x * float(value) if word.name == "CircularShift" else x  # angles of a circle of that size
        torch.manual_seed(2)  # some draw noise
        y, ladj = flow(x)
        torch.manual_seed(2)
        back, ladj_back = flow.inverse(y)
        near = 0.05 if word.name == "Continuous" else 1e-6  # whose steps there and back err apart
        assert torch.isfinite(y).all(), value
        torch.testing.assert_close(back, x, rtol=near, atol=near)
        if word.name != "Dequantise":
            torch.testing.assert_close(ladj_back, -ladj, rtol=10 * near, atol=10 * near)


@pytest.mark.parametrize(("word", "option"), OPTIONS, ids=IDS)
def test_a_value_outside_is_refused_with_the_option_and_its_range(word: Word, option: Option) -> None:
    for value in outside(option):
        text = program(word, f"{option.name}={value}")
        with pytest.raises(pgc.CompileError) as caught:
            pgc.compile(text)
        message = str(caught.value)
        assert f"is not {option.wanted}, which `{option.name}` of {word.name} is" in message, value


@pytest.mark.parametrize("word", WORDS.values(), ids=lambda w: w.name)
def test_what_is_stated_is_what_the_constructor_takes(word: Word) -> None:
    cls = getattr(importlib.import_module(library(flows=True).modules[word.name]), word.name)
    parameters = list(inspect.signature(cls).parameters.values()) if "__init__" in _made_by(cls) else []
    first = [p.name for p in parameters if p.default is inspect.Parameter.empty]
    assert first == ([] if word.argument == "none" else [word.argument])
    defaults = {p.name: p.default for p in parameters if p.name not in first}
    assert ("context" in defaults) == word.conditional
    defaults.pop("context", None)
    assert {o.name: o.default for o in word.options} == {
        name: value.__name__ if inspect.isclass(value) else value for name, value in defaults.items()
    }


def _made_by(cls: type) -> set[str]:
    return {name for base in cls.__mro__ for name in vars(base) if base.__module__.startswith("pgcompile")}


def test_the_defaults_are_in_their_ranges() -> None:
    for word, option in OPTIONS:
        if option.kind in ("integer", "real") and isinstance(option.default, int | float):
            assert option.holds(option.default), (word.name, option.name)
        elif option.words:
            assert option.default in (*option.words, None), (word.name, option.name)


class _Reworder(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return node

    def reword(self, node: Any) -> Any:
        self.generic_visit(node)
        if ast.get_docstring(node) is not None:
            node.body[0].value = ast.Constant("Circular: positive numbers to the unit interval.\n\nshape: [C, H, W].")
        return node

    visit_Module = visit_ClassDef = visit_FunctionDef = reword


def test_no_docstring_decides_anything() -> None:
    reworded = [_Reworder().visit(copy.deepcopy(tree)) for tree in transform_trees()]
    assert words_of(reworded) == WORDS


def _renamed(names: dict[str, str]) -> Iterator[ast.Module]:
    for tree in transform_trees():
        text = ast.unparse(tree)
        for old, new in names.items():
            text = re.sub(rf"\b{old}\b", new, text)
        yield ast.parse(text)


def test_no_name_decides_anything() -> None:
    """The names of classes and of options may be any others: the facts stay."""
    names = {name: name if name in ACTIVATIONS else f"Circular{i}" for i, name in enumerate(WORDS)}
    names |= {"slope": "loc", "bound": "momentum", "shrink": "passing", "passes": "alpha_2", "bins": "mask_2"}
    found = words_of(_renamed(names))
    for name, word in WORDS.items():
        other = found[names[name]]
        for fact in FACTS.keys() - {"options", "also_takes", "net_gives"}:
            assert getattr(other, fact) == getattr(word, fact), (name, fact)
        gives = None if word.net_gives is None else {names.get(o, o): n for o, n in word.net_gives.items()}
        assert other.net_gives == gives, name
        for old, new in zip(word.options, other.options, strict=True):
            assert (new.kind, new.wanted, new.default) == (old.kind, old.wanted, old.default), (name, old.name)


def test_a_new_transform_states_what_it_is() -> None:
    word = with_arcsinh()["Arcsinh"]
    assert (word.argument, word.takes, word.domain, word.codomain) == ("shape", "any shape", "real", "real")
    option = word.option("shift")
    assert option is not None
    assert option.wanted == "a number"
    assert option.holds(0.0)


@pytest.mark.parametrize(
    ("old", "new", "missing"),
    [
        ('    domain = "real"\n', "", "the transform Arcsinh states no `domain`"),
        ('    codomain = "real"\n', "", "the transform Arcsinh states no `codomain`"),
        ('"shift": {"kind": "real"},', "", "the transform Arcsinh states nothing of its option `shift`"),
        ('{"kind": "real"}', "{}", "option `shift` of the transform Arcsinh states no `kind`"),
        ('{"kind": "real"}', '{"kind": "integer"}', "option `shift` of the transform Arcsinh states no `at_least`"),
        ('{"kind": "real"}', '{"kind": "word"}', "option `shift` of the transform Arcsinh states no `words`"),
        ('{"kind": "real"}', '{"kind": "number"}', "option `shift` of the transform Arcsinh is of the unknown kind"),
        ('{"kind": "real"}', '{"kind": "real", "over": 0}', "states `over`, which is no fact of an option"),
        ('"shift": {', '"size": {"kind": "real"}, "shift": {', "states an option `size` that its constructor has not"),
        ("(ElementwiseFunction)", "(Bijection)", "the transform Arcsinh states no `argument`"),
        ('domain = "real"\n', "domain = real\n", "`domain` of the transform Arcsinh is not a literal"),
        (
            '    domain = "real"\n',
            '    domain = "any"\n',
            "`domain` and `codomain` of the transform Arcsinh are any if",
        ),
    ],
)
def test_a_fact_that_is_missing_is_named(old: str, new: str, missing: str) -> None:
    assert old in ARCSINH
    with pytest.raises(MissingFact, match=re.escape(missing)):
        with_arcsinh(ARCSINH.replace(old, new, 1))


def test_reading_the_table_imports_no_torch() -> None:
    code = "import sys; from pgcompile.vocabulary.transforms import transform_words as t; t(); "
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)


@pytest.mark.parametrize(
    ("flow", "fault"),
    [
        ("CircularShift >> SplineCoupling(bound=5)", "SplineCoupling takes real numbers"),
        ("CircularShift >> Bernstein", "Bernstein takes real numbers"),
        ("Permutation(order=random)", "`random` is not a list, which `order` of Permutation is"),
    ],
)
def test_flows_that_names_let_through(flow: str, fault: str) -> None:
    with pytest.raises(pgc.CompileError, match=re.escape(fault)):
        pgc.compile(f"x : real[2]\nflow f = {flow}\np(x) = Flow(Uniform(-pi, pi), f)")
