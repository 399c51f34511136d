"""The transforms that programs may write in a flow, as their classes state them.

A file of transforms lists its words in `__all__`. The facts of a word are class attributes with literal values, its own
or inherited; they are read from the text, so torch is not imported. A transform is added by adding its file.
"""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from math import pi, prod
from pathlib import Path
from typing import Any

from pgcompile.vocabulary.transform_options import MissingFact, Option, Value, stated_option

Shape = tuple[int, ...]

_FOLDER = Path(__file__).resolve().parent.parent / "runtime" / "transforms"
# What each fact may be; None for what is not one of a few words.
FACTS: Mapping[str, tuple[Any, ...] | None] = {
    "argument": ("features", "shape", "none"),
    "takes": ("vector", "image", "vector or image", "any shape"),
    "least": None,
    "conditional": (True, False),
    "kept_by": None,
    "net_gives": None,
    "domain": None,
    "codomain": None,
    "also_takes": None,
    "shape_rule": ("same", "flat", "into", "blocks_to_channels", "channels_to_blocks"),
    "rearranges": (True, False),
    "options": None,
}


@dataclass(frozen=True)
class Word:
    """A transform.

    Args:
        name: its class.
        argument: what its constructor is given first: `features`, their number; `shape`, the event shape; or `none`.
        takes: the events that it takes: a `vector`, an `image` [C, H, W], a `vector or image`, or `any shape`.
        least: the least number of features, or of channels of an image.
        conditional: whether it takes a context.
        kept_by: of a coupling, the option that names the features it keeps.
        net_gives: of a transform with a net of its user, how many numbers that gives for each feature: a sum of
            multiples of options, that of no name a number alone.
        domain: kind of space of what it takes, None for any.
        codomain: kind of space of what it gives, None for that of what it takes.
        also_takes: other kinds that are taken to themselves, with the most that options may be for it.
        shape_rule: the shape of what it gives: `same`, `flat`, `into` its sizes, `blocks_to_channels`, or
            `channels_to_blocks`.
        rearranges: whether the entries are only put in another order.
        options: what may be written in its brackets, in the order of its constructor.
    """

    name: str
    argument: str
    takes: str
    least: int
    conditional: bool
    kept_by: str | None
    net_gives: Mapping[str, int] | None
    domain: str | None
    codomain: str | None
    also_takes: Mapping[str, Mapping[str, float]]
    shape_rule: str
    rearranges: bool
    options: tuple[Option, ...] = field(default=())

    def option(self, name: str) -> Option | None:
        """An option by its name."""
        return next((o for o in self.options if o.name == name), None)


@cache
def transform_words() -> dict[str, Word]:
    """Every transform by its name, in the order of their names."""
    return words_of(transform_trees())


@cache
def transform_trees() -> tuple[ast.Module, ...]:
    """The syntax trees of the files of transforms."""
    return tuple(ast.parse(path.read_text(encoding="utf-8")) for path in transform_paths())


def transform_paths() -> list[Path]:
    """The files of transforms."""
    return [path for path in sorted(_FOLDER.glob("*.py")) if path.name != "__init__.py"]


def words_of(trees: Iterable[ast.Module]) -> dict[str, Word]:
    """The transforms that some files list in `__all__`.

    Args:
        trees: the files, with all classes that the transforms are derived from.

    Raises:
        MissingFact: a transform does not state a fact, or not as a literal.
    """
    classes: dict[str, ast.ClassDef] = {}
    listed: list[str] = []
    for tree in trees:
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                classes[node.name] = node
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                listed += ast.literal_eval(node.value)
    return {name: _word(name, classes) for name in sorted(listed)}


def summaries() -> dict[str, str]:
    """The first sentence of every transform's docstring, for pages that people read."""
    found = {}
    for tree in transform_trees():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name in transform_words():
                found[node.name] = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    return found


def fact_statements(node: ast.ClassDef) -> dict[str, ast.Assign]:
    """The statements of a class that state facts, by the fact."""
    return {
        target.id: statement
        for statement in node.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name) and target.id in FACTS
    }


def _word(name: str, classes: dict[str, ast.ClassDef]) -> Word:
    bases = [name]
    for base in bases:
        bases += [b.id for b in classes[base].bases if isinstance(b, ast.Name) and b.id in classes]
    facts: dict[str, Any] = {}
    options: list[Mapping[str, Any]] = []
    for base in bases:
        found = {f: _literal(name, f, s.value) for f, s in fact_statements(classes[base]).items()}
        options.append(found.get("options", {}))
        facts = {**found, **facts}
    for fact, allowed in FACTS.items():
        if fact not in facts:
            raise MissingFact(f"the transform {name} states no `{fact}`")
        if allowed is not None and facts[fact] not in allowed:
            known = ", ".join(map(repr, allowed))
            raise MissingFact(f"`{fact}` of the transform {name} is {facts[fact]!r}, not one of {known}")
    if (facts["domain"] == "any") != facts["rearranges"] or (facts["codomain"] == "any") != facts["rearranges"]:
        raise MissingFact(f"`domain` and `codomain` of the transform {name} are any if it `rearranges`, and only then")
    constructor = next((init for base in bases if (init := _constructor(classes[base])) is not None), None)
    facts["options"] = _options(name, facts, options, constructor)
    facts |= {side: None for side in ("domain", "codomain") if facts[side] == "any"}
    return Word(name, **facts)


def _options(
    name: str, facts: Mapping[str, Any], stated: list[Mapping[str, Any]], constructor: ast.FunctionDef | None
) -> tuple[Option, ...]:
    """The options in the order of the constructor; the class, or one of its bases, states each of its arguments."""
    arguments = constructor.args.args[1:] if constructor is not None else []
    defaults = constructor.args.defaults if constructor is not None else []
    own = {"features": 1, "shape": 1, "none": 0}[facts["argument"]]
    if len(arguments) - len(defaults) != own:
        raise MissingFact(f"`argument` of the transform {name} is {facts['argument']!r}: its constructor has another")
    options = []
    for argument, default in zip(arguments[own:], defaults, strict=True):
        if facts["conditional"] and argument.arg == "context":
            continue
        facts_of_it = next((each[argument.arg] for each in stated if argument.arg in each), None)
        if facts_of_it is None:
            raise MissingFact(f"the transform {name} states nothing of its option `{argument.arg}`")
        option = stated_option(name, argument.arg, facts_of_it, _default(default))
        if option.kind == "module" and facts["net_gives"] is None:
            raise MissingFact(f"the transform {name} takes a net and states no `net_gives`")
        options.append(option)
    names = {argument.arg for argument in arguments}
    missing = sorted(stated[0].keys() - names)
    if missing:
        raise MissingFact(f"the transform {name} states an option `{missing[0]}` that its constructor has not")
    return tuple(options)


def _literal(name: str, fact: str, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise MissingFact(f"`{fact}` of the transform {name} is not a literal: {ast.unparse(node)}") from None


def _constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    return next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)


def _default(node: ast.expr) -> Value:
    """A default of a constructor: a literal, `math.pi`, or a class of `nn` by its name."""
    match node:
        case ast.Attribute(ast.Name("math"), "pi"):
            return pi
        case ast.Attribute(ast.Name("nn"), name):
            return name
    value: Value = ast.literal_eval(node)
    return value


def shape_after(word: Word, options: Mapping[str, Value], shape: Shape) -> Shape | str:
    """Event shape after a transform, or why it cannot take what it is given."""
    rank = len(shape)
    if word.takes == "vector" and rank != 1:
        return "takes a vector"
    if word.takes == "image" and rank != 3:
        return "takes an image [C, H, W]"
    if word.takes == "vector or image" and rank not in (1, 3):
        return "takes a vector [D] or an image [C, H, W]"
    least = max([word.least, *(o.least.get(str(options[o.name]), 1) for o in word.options)])
    if shape[0] < least:
        return "keeps half of the channels" if rank == 3 else "keeps some features and moves others"
    match word.shape_rule:
        case "flat":
            return (prod(shape),)
        case "into":
            into = _sizes(word, options)
            return into if prod(into) == shape[0] and into else f"makes an array of {prod(into)} numbers"
        case "blocks_to_channels":
            return _blocks_to_channels(shape, _factor(word, options))
        case "channels_to_blocks":
            return _channels_to_blocks(shape, _factor(word, options))
    return shape


def _sizes(word: Word, options: Mapping[str, Value]) -> Shape:
    """The sizes that a transform makes an array of: its one option of sizes."""
    value = next(options[o.name] for o in word.options if o.kind == "sizes")
    return tuple(n for n in value if isinstance(n, int)) if isinstance(value, tuple) else ()


def _factor(word: Word, options: Mapping[str, Value]) -> int:
    """The width of the blocks that a transform makes or takes apart: its one integer."""
    value = next(options[o.name] for o in word.options if o.kind == "integer")
    assert isinstance(value, int)
    return value


def _blocks_to_channels(shape: Shape, factor: int) -> Shape | str:
    channels, height, width = shape
    if height % factor or width % factor:
        return f"divides height and width by {factor}"
    return channels * factor**2, height // factor, width // factor


def _channels_to_blocks(shape: Shape, factor: int) -> Shape | str:
    channels, height, width = shape
    if channels % factor**2:
        return f"needs a multiple of {factor**2} channels"
    return channels // factor**2, height * factor, width * factor
