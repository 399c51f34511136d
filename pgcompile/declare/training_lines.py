"""Training lines, `maximize e wrt q using Adam(lr = 1e-3, clip_norm = 1)`, and inputs that change while a model is
trained."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from pgcompile.diagnostics import Sink, Span, nearest, suggest
from pgcompile.model.literals import evaluate
from pgcompile.model.model import Model
from pgcompile.model.tensors import Ramp
from pgcompile.model.training import Objective, OptimiseLine, Recipe
from pgcompile.syntax import tree
from pgcompile.vocabulary.layers import Value
from pgcompile.vocabulary.optimisers import OPTIMISERS, PLATEAU, PLATEAU_DEFAULTS, RAMPS, RECIPE, SCHEDULES
from pgcompile.vocabulary.synonyms import OPTIMISER_OPTIONS

DEFAULT_OBJECTIVE = "objective"
_NOT_NEGATIVE = ("lr", "eps", "weight_decay", "momentum")


def read_lines(statements: list[tree.Optimise], model: Model, sink: Sink) -> None:
    """Read `maximize` and `minimize` lines; an expression that is not a name becomes an objective of its own.

    Args:
        statements: the lines.
        model: gets them, and the objectives that they define.
        sink: where faults go.
    """
    for number, line in enumerate(statements, 1):
        optimiser, options, recipe = _optimiser(line.optimiser, model, sink)
        if isinstance(line.objective, tree.Name):
            name = line.objective.id
            if name not in model.objectives:
                otherwise = f"define it: `{name} = E_q[log p] - KL[q || p]`"
                sink.add(
                    "PGC113",
                    line.objective.span,
                    f"there is no objective called {name}",
                    **suggest(name, line.objective.span, model.objectives, otherwise),
                )
                continue
        else:
            name = DEFAULT_OBJECTIVE if len(statements) == 1 else f"{DEFAULT_OBJECTIVE}_{number}"
            model.objectives[name] = Objective(name, line.objective, line.objective.span)
        wrt = _wrt(line, model, sink)
        model.optimise.append(OptimiseLine(line.direction, name, wrt, optimiser, options, recipe, line.span))


def read_ramp(name: str, expr: tree.Expr, model: Model, sink: Sink) -> None:
    """Read `linear(0, 1, 1000)`: an input that goes from 0 to 1 over 1000 steps.

    Args:
        name: of the input.
        expr: the right side of its declaration.
        model: gets the ramp.
        sink: where faults go.
    """
    if isinstance(expr, tree.Call) and expr.name in RAMPS and len(expr.args) == 3:
        values = [evaluate(a.value, model.constants) for a in expr.args]
        start, end, steps = (v if isinstance(v, Fraction) else None for v in values)
        named = any(a.name not in (None, "steps") for a in expr.args)
        if start is not None and end is not None and steps is not None and _is_count(steps) and not named:
            model.ramps[name] = Ramp(expr.name, float(start), float(end), int(steps))
            return
    sink.add(
        "PGC112",
        expr.span,
        f"input {name} is given at call time, not here",
        help=f"for one that changes in training write `linear(0, 1, 1000)` ({', '.join(RAMPS)}: from, to, steps); "
        f"for one that does not, `const {name} = ...` or `buffer {name} : ... = ...`; a `param` would be learned",
    )


def _is_count(number: Fraction) -> bool:
    return number >= 1 and number.denominator == 1


def _wrt(line: tree.Optimise, model: Model, sink: Sink) -> tuple[str, ...] | None:
    """The names after `wrt`; None where there is none, and everything is trained."""
    if line.wrt is None:
        return None
    names = []
    known = {
        *model.nets,
        *model.flows,
        *model.tensors,
        *(f.name for f in model.factors),
        *(f.label for f in model.factors),
        *(named.label for named in model.named),
    }
    for item in line.wrt:
        name = item.id if isinstance(item, tree.Name) else "".join(sink.source.snippet(item.span).split())
        if name not in known:
            otherwise = f"name nets, params or distributions: {', '.join(sorted(known))}"
            if name in model.variables:
                otherwise = f"{name} is a variable; {otherwise}"
            sink.add(
                "PGC410",
                item.span,
                f"there is nothing called {name} to be optimised",
                **suggest(name, item.span, () if name in model.variables else known, otherwise),
            )
        names.append(name)
    return tuple(names)


def _optimiser(call: tree.Call | None, model: Model, sink: Sink) -> tuple[str, tuple[tuple[str, Value], ...], Recipe]:
    """The name of an optimiser, its options, and the settings beside them."""
    if call is None:
        return "Adam", (), Recipe()
    if call.name not in OPTIMISERS:
        sink.add(
            "PGC501",
            call.name_span,
            f"there is no optimiser called {call.name}",
            reasons=["it takes several steps of its own in one"] if call.name == "LBFGS" else [],
            **suggest(call.name, call.name_span, OPTIMISERS, f"optimisers are {', '.join(OPTIMISERS)}"),
        )
        return "Adam", (), Recipe()
    known = OPTIMISERS[call.name]
    options: dict[str, Value] = {}
    recipe: dict[str, Any] = {}
    for name, argument in _named_arguments(call, known, sink):
        if name in known:
            value = _option(argument.value, model)
            if _is_sound_option(name, value, argument, sink):
                options[name] = value
            continue
        if name == "schedule" and _is_plateau(argument.value):
            plateau = _plateau(argument.value, model, sink)
            if plateau is not None:
                recipe |= {"schedule": PLATEAU, "plateau": plateau}
            continue
        found = _recipe(name, argument.value, model)
        if found is None:
            _report_value(argument, name, RECIPE[name], sink)
        else:
            recipe[name] = found
    _check_together(call, options, recipe, sink)
    return call.name, tuple(options.items()), Recipe(**recipe)


def _is_plateau(expr: tree.Expr) -> bool:
    """True for `plateau` and `plateau(...)`."""
    return (isinstance(expr, tree.Name) and expr.id == PLATEAU) or (
        isinstance(expr, tree.Call) and expr.name == PLATEAU
    )


def _plateau(expr: tree.Expr, model: Model, sink: Sink) -> tuple[float, int, float] | None:
    """Factor, patience and least rate of `plateau(factor = 0.5, patience = 5)`; None after a report."""
    found = dict(PLATEAU_DEFAULTS)
    wanted = {"factor": "a number between 0 and 1", "patience": "a whole number of epochs", "min_lr": "a number from 0"}
    for place, argument in enumerate(expr.args if isinstance(expr, tree.Call) else ()):
        name = argument.name or (list(found)[place] if place < len(found) else "")
        if name not in found:
            listed = f"its options are {', '.join(found)}"
            span = Span(argument.span.start, argument.span.start + len(name))
            sink.add("PGC502", argument.span, f"plateau has no option {name}", **suggest(name, span, found, listed))
            return None
        value = evaluate(argument.value, model.constants)
        sound = isinstance(value, Fraction) and {
            "factor": 0 < value < 1,
            "patience": value >= 0 and value.denominator == 1,
            "min_lr": value >= 0,
        }.get(name, False)
        if not sound or not isinstance(value, Fraction):
            _report_value(argument, name, wanted[name], sink)
            return None
        found[name] = float(value)
    return found["factor"], int(found["patience"]), found["min_lr"]


def _named_arguments(call: tree.Call, known: tuple[str, ...], sink: Sink) -> Iterator[tuple[str, tree.Argument]]:
    """The options of an optimiser by name, in the order in which they are written; others are reported."""
    seen: set[str] = set()
    for index, argument in enumerate(call.args):
        name = argument.name or (known[index] if index < len(known) else "")
        if name in seen:
            sink.add("PGC313", argument.span, f"{name} is given twice", help="give it once")
            continue
        seen.add(name)
        if name in known or name in RECIPE:
            yield name, argument
            continue
        place = Span(argument.span.start, argument.span.start + len(name))
        listed = f"its options are {', '.join(known)}; of the training {', '.join(RECIPE)}"
        sink.add(
            "PGC502",
            argument.span,
            f"{call.name} has no option {name}",
            **suggest(name, place, [*known, *RECIPE], listed, OPTIMISER_OPTIONS),
        )


def _is_sound_option(name: str, value: Value, argument: tree.Argument, sink: Sink) -> bool:
    """True if an option of an optimiser has a value that it can have; reported if not."""
    if value is None:
        _report_value(argument, name, "a number, a pair of numbers, true or false", sink)
        return False
    if name in _NOT_NEGATIVE and isinstance(value, float) and value < 0:
        sink.add("PGC502", argument.span, f"{name} is {value:g}, and it must not be negative", help="drop the sign")
        return False
    if name == "betas" and not (isinstance(value, tuple) and all(0 <= float(b) < 1 for b in value)):
        text = sink.source.snippet(argument.value.span)
        hint = "write betas = (0.9, 0.999)"
        sink.add("PGC502", argument.span, f"`{text}` is not a pair of numbers from 0 to below 1", help=hint)
        return False
    return True


def _check_together(call: tree.Call, options: dict[str, Value], recipe: dict[str, Any], sink: Sink) -> None:
    """Report options that mean nothing without another."""
    if options.get("nesterov") is True and not options.get("momentum"):
        sink.add("PGC502", call.span, "nesterov asks for a momentum", help="write momentum = 0.9 too")
    shape = recipe.get("schedule", "constant")
    if "steps" in recipe and shape in ("constant", PLATEAU):
        why = "and there is none" if shape == "constant" else "and plateau goes by the loss"
        hint = "write schedule = cosine too, or leave steps out"
        sink.add("PGC502", call.span, f"steps says when a schedule ends, {why}", help=hint)
        return
    steps, warmup = recipe.get("steps"), recipe.get("warmup", 0)
    if isinstance(steps, int) and isinstance(warmup, int) and warmup >= steps:
        hint = "make steps the larger"
        sink.add("PGC502", call.span, f"the warm-up is as long as the {steps} steps", help=hint)


def _report_value(argument: tree.Argument, name: str, wanted: str, sink: Sink) -> None:
    """Report a value that an option cannot have."""
    text = sink.source.snippet(argument.value.span)
    close = nearest(text, SCHEDULES) if name == "schedule" else None
    hint = f"did you mean {close}?" if close else f"write {wanted}"
    sink.add("PGC502", argument.span, f"`{text}` is not a value of {name}", help=hint)


def _option(expr: tree.Expr, model: Model) -> Value:
    """The value of an optimiser's option: a number, a pair, true or false; None for anything else."""
    if isinstance(expr, tree.Name) and expr.id.lower() in ("true", "false"):
        return expr.id.lower() == "true"
    if isinstance(expr, tree.TupleLiteral | tree.ListLiteral):
        values = [evaluate(item, model.constants) for item in expr.items]
        numbers = tuple(float(v) for v in values if isinstance(v, Fraction))
        return numbers if len(numbers) == len(values) else None  # type: ignore[return-value]
    value = evaluate(expr, model.constants)
    return float(value) if isinstance(value, Fraction) else None


def _recipe(name: str, expr: tree.Expr, model: Model) -> Value:
    """The value of a setting beside those of the optimiser; None where it is not one that the setting can have."""
    if name == "schedule":
        return expr.id if isinstance(expr, tree.Name) and expr.id in SCHEDULES else None
    value = evaluate(expr, model.constants)
    if not isinstance(value, Fraction):
        return None
    match name:
        case "warmup" | "steps" | "updates":
            least = 0 if name == "warmup" else 1
            return int(value) if value.denominator == 1 and value >= least else None
        case "ema":
            return float(value) if 0 < value < 1 else None
        case _:
            return float(value) if value > 0 else None
