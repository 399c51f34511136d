"""The transforms that programs may write in a flow: their options are the arguments of their classes.

A file of `transforms/` lists its words in `__all__`; what each takes is read from its constructor and its docstring, so
that a transform is added by adding its file.
"""

import ast
from dataclasses import dataclass
from functools import cache
from math import prod

from pgcompile.vocabulary.library import transform_trees

Shape = tuple[int, ...]
Value = int | float | bool | str | tuple[int, ...] | tuple[tuple[int, ...], ...] | None


@dataclass(frozen=True)
class Option:
    """An option of a transform.

    Args:
        name: as it is written.
        kind: `int`, `float`, `bool`, `tuple` (sizes), `type` (an activation), `str`, `matrix`, or `word`
            (a name or a list).
        default: its value where the program does not say.
    """

    name: str
    kind: str
    default: Value


@dataclass(frozen=True)
class Word:
    """A transform.

    Args:
        name: its class.
        takes: `features` for vectors, `image` for [C, H, W], `channels` for either, `shape` for any, or nothing.
        conditional: whether it takes a context.
        options: what may be written in its brackets.
        bases: the classes it is derived from, itself first.
        about: the first line of its docstring.
        domain: kind of space of what it takes, None for any.
        codomain: kind of space of what it gives, None for that of what it takes.
    """

    name: str
    takes: str
    conditional: bool
    options: tuple[Option, ...]
    bases: tuple[str, ...]
    about: str
    domain: str | None = None
    codomain: str | None = None

    def option(self, name: str) -> Option | None:
        """An option by its name."""
        return next((o for o in self.options if o.name == name), None)


@cache
def transform_words() -> dict[str, Word]:
    """Every transform by its name, in the order of their names."""
    classes: dict[str, ast.ClassDef] = {}
    listed: list[str] = []
    for tree in transform_trees():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                classes[node.name] = node
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                listed += ast.literal_eval(node.value)
    return {name: _word(name, classes) for name in sorted(listed)}


def _word(name: str, classes: dict[str, ast.ClassDef]) -> Word:
    bases = [name]
    for base in bases:
        bases += [b.id for b in classes[base].bases if isinstance(b, ast.Name) and b.id in classes]
    found = next((init for base in bases if (init := _constructor(classes[base])) is not None), None)
    arguments = found.args.args[1:] if found is not None else []
    defaults = found.args.defaults if found is not None else []
    about = " ".join((ast.get_docstring(classes[name]) or "").partition("\n\n")[0].split())
    if not arguments or name == "Reverse":
        takes = "nothing" if name != "Reverse" else "vector"
        return Word(name, takes, False, (), tuple(bases), about, *_domains(name, about))
    first = arguments[0].arg
    takes = "features" if first == "features" else "nothing"
    if first == "shape":
        docs = next((d for b in bases if "shape:" in (d := ast.get_docstring(classes[b]) or "")), "")
        text = docs.partition("shape:")[2].partition("\n")[0]
        takes = "channels" if "[D] or" in text else "image" if "[C, H, W]" in text else "shape"
    options = []
    for argument, default in zip(arguments[len(arguments) - len(defaults) :], defaults, strict=True):
        if argument.arg not in ("context", "net"):
            kind = "matrix" if argument.arg == "adjacency" else _kind(argument.annotation)
            options.append(Option(argument.arg, kind, _default(default)))
    conditional = any(a.arg == "context" for a in arguments)
    return Word(name, takes, conditional, tuple(options), tuple(bases), about, *_domains(name, about))


# How docstrings say what is taken to what.
_DOMAINS = {
    "reals": "real",
    "positive numbers": "positive",
    "the unit interval": "unit_interval",
    "(-1, 1)": "interval",
    "(-bound, bound)": "interval",
}
_REARRANGE = ("Flatten", "Permutation", "Reverse", "Shuffle", "Squeeze", "Unflatten", "Unsqueeze")


def _domains(name: str, about: str) -> tuple[str | None, str | None]:
    """Kinds of spaces that a transform takes and gives; what rearranges takes any."""
    if name in _REARRANGE:
        return None, None
    if name.startswith("Circular"):
        return "circle", "circle"
    if name == "Dequantise":
        return "nonnegative_integer", "unit_interval"
    for one, domain in _DOMAINS.items():
        for other, codomain in _DOMAINS.items():
            if f"{one} to {other}" in about:
                return domain, codomain
    return "real", "real"


def _constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    return next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)


def _kind(annotation: ast.expr | None) -> str:
    """An option without an annotation is a word or a list."""
    return ast.unparse(annotation).removesuffix(" | None") if annotation is not None else "word"


def _default(node: ast.expr) -> Value:
    text = ast.unparse(node)
    if text == "math.pi":
        return 3.141592653589793
    value: Value = text.removeprefix("nn.") if text.startswith("nn.") else ast.literal_eval(node)
    return value


def shape_after(word: Word, options: dict[str, Value], shape: Shape) -> Shape | str:
    """Event shape after a transform, or why it cannot take what it is given."""
    rank = len(shape)
    if word.name == "Flatten":
        return (prod(shape),)
    if word.name == "Unflatten":
        into = options["into"]
        assert isinstance(into, tuple)
        into = tuple(int(n) for n in into if isinstance(n, int))
        if rank != 1 or prod(into) != shape[0] or not into:
            return f"makes an array of {prod(into)} numbers"
        return into
    if word.name in ("Squeeze", "Unsqueeze"):
        factor = options["factor"]
        assert isinstance(factor, int)
        if rank != 3:
            return "takes an image [C, H, W]"
        channels, height, width = shape
        if word.name == "Squeeze":
            if height % factor or width % factor:
                return f"divides height and width by {factor}"
            return (channels * factor * factor, height // factor, width // factor)
        if channels % (factor * factor):
            return f"needs a multiple of {factor * factor} channels"
        return (channels // (factor * factor), height * factor, width * factor)
    if word.takes in ("features", "vector") and rank != 1:
        return "takes a vector"
    if word.takes == "image" and rank != 3:
        return "takes an image [C, H, W]"
    if word.takes == "channels" and rank not in (1, 3):
        return "takes a vector [D] or an image [C, H, W]"
    if "Coupling" in word.bases and shape[0] < 2:
        return "keeps some features and moves others"
    if word.name == "ImageCoupling" and options["mask"] == "channel" and shape[0] < 2:
        return "keeps half of the channels"
    return shape
