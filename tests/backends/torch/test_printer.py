"""The table of templates holds every operation that a plan can make."""

import ast
from pathlib import Path

import pytest

import pgcompile
from pgcompile.backends.torch.layout import statement
from pgcompile.backends.torch.printer import TEMPLATES, Text, Writer
from pgcompile.diagnostics import InternalError
from pgcompile.inference.generative import generative_part
from pgcompile.plan.methods.planner import plan_module
from pgcompile.plan.ops import NOISE
from pgcompile.plan.values import Value, live_values
from pgcompile.vocabulary.functions import FUNCTIONS
from tests.conftest import compiled
from tests.programs import EXAMPLES

PLAN = Path(pgcompile.__file__).parent / "plan"
MAKERS = {"make", "unary", "binary", "_reduce"}


def named_operations() -> set[str]:
    """Operations that the text of the plan names in a call that makes a value."""
    found: set[str] = set()
    for path in PLAN.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MAKERS:
                first = node.args[0] if node.args else None
                choices = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
                found |= {c.value for c in choices if isinstance(c, ast.Constant) and isinstance(c.value, str)}
    return found


def test_every_operation_that_the_plan_names_has_a_template() -> None:
    named = named_operations()
    assert {"expand_as", "sum_keep", "one_hot", "clamp_min"} <= named  # the walk sees calls
    loops = {"region"}  # `loops.py` writes them, and nothing names a placeholder outside
    assert named - TEMPLATES.keys() == loops


def test_every_draw_and_every_function_of_the_language_has_a_template() -> None:
    assert NOISE - TEMPLATES.keys() == set()
    # The plan computes these from other operations, or gives them statements of their own.
    lowered = {"bias", "weight", "outer", "clamp", "dot", "trace", "gradient", "jacobian"}
    lowered |= {"cdf", "survival", "quantile"}
    assert {function.op for function in FUNCTIONS.values()} - TEMPLATES.keys() - lowered == set()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_operation_of_the_examples_has_a_template(name: str) -> None:
    analysis = compiled(EXAMPLES[name]).analysis
    plan = plan_module(analysis.model, generative_part(analysis.model, analysis.resolver), analysis.rewritten)
    methods = [*plan.objectives, *(loss.mean for loss in plan.losses), *(m for _, m in plan.log_densities)]
    values = [value for method in methods for value in live_values([v for _, v in method.outputs])]
    assert values
    assert {value.op for value in values} - TEMPLATES.keys() == set()


def value_of(op: str, *args: Value) -> Value:
    return Value(op, args, (), (), False, (), len(args))


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("sub", "sub", "a - (a - b)"),
        ("sub", "mul", "a - a * b"),
        ("add", "sub", "a + a - b"),
        ("div", "mul", "a / (a * b)"),
        ("mul", "neg", "a * -a"),
        ("mul", "add", "a * (a + b)"),
    ],
)
def test_brackets_stand_where_python_needs_them(outer: str, inner: str, expected: str) -> None:
    writer = Writer(str, lambda name: None)
    a, b = value_of("argument"), value_of("argument")
    inside = value_of(inner, a, b)
    text = writer.write(inside, [Text("a"), Text("b")])
    assert writer.write(value_of(outer, a, inside), [Text("a"), text]).text == expected


def test_an_operation_without_a_template_is_our_fault() -> None:
    with pytest.raises(InternalError, match="no source for the operation convolve"):
        Writer(str, lambda name: None).write(value_of("convolve"), [])


def test_a_call_without_arguments_that_is_too_wide() -> None:
    """Brackets around it would be formatted away on a wider page."""
    text = "concentration1, concentration0, digamma, lgamma = self._concentration1_and_others()"
    assert [line.text for line in statement(text)] == [
        "        values = self._concentration1_and_others()",
        "        concentration1, concentration0, digamma, lgamma = values",
    ]
