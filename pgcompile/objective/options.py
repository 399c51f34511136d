"""The options of an expectation or a bound, after the semicolon: `samples=8, grad=score, baseline=b(x)`."""

from fractions import Fraction

from pgcompile.diagnostics import Sink, nearest
from pgcompile.model.literals import evaluate, flatten
from pgcompile.objective.terms import PATHWISE, Estimator
from pgcompile.syntax import tree
from pgcompile.vocabulary.functional import Functional, Kind, Setting

Settings = dict[str, str | Fraction | tuple[Fraction, ...]]

MAX_SAMPLES = 1_000_000
KNOWN = ("samples", "grad", "baseline", "relax")
_SYNONYMS = {"bandwidth": "width", "sigma": "width", "n": "samples", "K": "samples", "k": "samples", "order": "alpha"}
_GRADIENTS = ("pathwise", "score", "enumerate", "stl", "dreg")
_RELAXATIONS = ("gumbel", "straight_through")


def read_options(
    options: tuple[tree.Option, ...],
    constants: dict[str, Fraction],
    sink: Sink,
    what: str = "an expectation",
    also: tuple[str, ...] = (),
) -> tuple[int | None, Estimator] | None:
    """Number of samples (None where it is not written) and the estimator; None after a report."""
    samples: int | None = None
    found: dict[str, object] = {}
    seen: set[str] = set()
    for option in options:
        if option.name in seen:
            sink.add("PGC313", option.span, f"{option.name} is given twice", help="give it once")
            return None
        seen.add(option.name)
        match option.name:
            case "samples":
                samples = whole_number(option, constants, sink)
                if samples is None:
                    return None
            case "grad":
                grad = choice(option, _GRADIENTS, sink)
                if grad is None:
                    return None
                found["grad"] = grad
            case "baseline":
                found["baseline"] = option.value
            case "relax":
                relaxed = _relaxation(option, constants, sink)
                if relaxed is None:
                    return None
                found["relax"], found["temperature"] = relaxed
            case _:
                known = (*also, *KNOWN)
                close = _SYNONYMS.get(option.name) or nearest(option.name, known)
                sink.add(
                    "PGC106",
                    option.span,
                    f"{what} has no option {option.name}",
                    help=f"did you mean {close if close in known else 'samples'}? the options are {', '.join(known)}",
                )
                return None
    return samples, Estimator(**found) if found else PATHWISE  # type: ignore[arg-type]


def split_options(
    options: tuple[tree.Option, ...], own: tuple[str, ...]
) -> tuple[dict[str, tree.Option], tuple[tree.Option, ...]]:
    """The options that a functional has for itself, and the others."""
    return {o.name: o for o in options if o.name in own}, tuple(o for o in options if o.name not in own)


def whole_number(option: tree.Option, constants: dict[str, Fraction], sink: Sink) -> int | None:
    """A positive whole number, or None after a report."""
    value = evaluate(option.value, constants)
    if isinstance(value, Fraction) and value.denominator == 1 and 1 <= value <= MAX_SAMPLES:
        return int(value)
    sink.add(
        "PGC310",
        option.value.span,
        f"{option.name} is a whole number from 1 to {MAX_SAMPLES:,}",
        help=f"write {option.name}=8",
    )
    return None


def choice(option: tree.Option, known: tuple[str, ...], sink: Sink) -> str | None:
    """One of some names, or None after a report."""
    value = option.value
    name = value.id if isinstance(value, tree.Name) else value.name if isinstance(value, tree.Call) else ""
    if name in known:
        return name
    close = nearest(name, known)
    sink.add(
        "PGC408",
        value.span,
        f"{option.name} is one of {', '.join(known)}",
        help=f"did you mean {close}?" if close else f"write one of them, or leave {option.name} out",
    )
    return None


def _relaxation(option: tree.Option, constants: dict[str, Fraction], sink: Sink) -> tuple[str, float] | None:
    """`gumbel(temperature=0.5)` or `straight_through`."""
    name = choice(option, _RELAXATIONS, sink)
    if name is None:
        return None
    if not isinstance(option.value, tree.Call) or not option.value.args:
        return name, 0.5
    (argument, *more) = option.value.args
    value = evaluate(argument.value, constants)
    if more or argument.name not in (None, "temperature") or not isinstance(value, Fraction) or value <= 0:
        sink.add(
            "PGC408",
            option.value.span,
            f"{name} takes a temperature, a number above 0",
            help=f"write relax={name}(temperature=0.5)",
        )
        return None
    return name, float(value)


def read_settings(
    expr: tree.Functional, functional: Functional, constants: dict[str, Fraction], sink: Sink
) -> tuple[Settings, tuple[tree.Option, ...]] | None:
    """The values of a functional's own settings, and its other options; None after a report."""
    own, rest = split_options(expr.options, functional.setting_names)
    values: dict[str, str | Fraction | tuple[Fraction, ...]] = {}
    for setting in functional.settings:
        value = _setting(expr, setting, own.get(setting.name), constants, sink)
        if value is None:
            return None
        values[setting.name] = value
    return values, rest


def _setting(
    expr: tree.Functional, setting: Setting, option: tree.Option | None, constants: dict[str, Fraction], sink: Sink
) -> str | Fraction | tuple[Fraction, ...] | None:
    """One setting's value; None after a report."""
    if option is None and not setting.required:
        return setting.default
    if option is not None:
        match setting.kind:
            case Kind.CHOICE:
                return choice(option, setting.choices, sink)
            case Kind.WHOLE:
                count = whole_number(option, constants, sink)
                return None if count is None else Fraction(count)
            case Kind.NUMBER:
                value = evaluate(option.value, constants)
                if isinstance(value, Fraction) and setting.holds(value):
                    return value
            case Kind.NUMBERS:
                found = evaluate(option.value, constants)
                numbers = flatten(found) if found is not None else []
                if numbers and all(map(setting.holds, numbers)):
                    return tuple(numbers)
    sink.add("PGC408", expr.span if option is None else option.value.span, setting.demand, help=setting.help)
    return None
