"""Valid programs broken in one known place, and text that means nothing."""

import re
from dataclasses import dataclass
from random import Random

from pgcompile.diagnostics import Diagnostic
from tests.fuzz.programs import ProgramMaker


@dataclass(frozen=True)
class Damaged:
    """A broken program.

    Args:
        text: the program.
        what: how it was broken.
        names: names that a diagnostic about it would use.
        line: the damaged line, from 1; None where the line is gone.
    """

    text: str
    what: str
    names: tuple[str, ...]
    line: int | None

    def tells(self, found: Diagnostic) -> bool:
        """Whether a diagnostic speaks of what was broken: by its place, or by name."""
        places = [found.line, *(found.source.position(span.start)[1] for span, _ in found.related)]
        said = " ".join([found.message, *found.reasons, found.help or ""])
        named = any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said) for name in self.names)
        return named or (self.line is not None and self.line in places)


def damaged(seed: int) -> Damaged:
    """A random valid program with one thing broken that makes it invalid."""
    random = Random(seed)
    lines = ProgramMaker(random).make().splitlines()
    ways = [way for way in WAYS if _places(lines, way[1])]
    what, pattern, breaks = random.choice(ways)
    at = random.choice(_places(lines, pattern))
    return breaks(lines, at, what, random)


def _places(lines: list[str], pattern: str) -> list[int]:
    return [i for i, line in enumerate(lines) if re.search(pattern, line) and _is_used(lines, i)]


def _is_used(lines: list[str], at: int) -> bool:
    """False for a net or tensor that no other line speaks of: without it, or with another size, nothing is wrong."""
    name = re.match(r"(?:net|param|buffer|input) (\w+)", lines[at])
    others = "\n".join(lines[:at] + lines[at + 1 :])
    return name is None or re.search(rf"(?<!\w){name[1]}(?!\w)", others) is not None


def _replaced(lines: list[str], at: int, line: str) -> str:
    return "\n".join([*lines[:at], line, *lines[at + 1 :]]) + "\n"


def _drop(lines: list[str], at: int, what: str, random: Random) -> Damaged:
    name = re.match(r"(?:net|param|buffer|input) (\w+)", lines[at])
    assert name is not None
    return Damaged("\n".join(lines[:at] + lines[at + 1 :]), f"{what} {name[1]}", (name[1],), None)


def _rename_parent(lines: list[str], at: int, what: str, random: Random) -> Damaged:
    head, rest = lines[at].split(" = ", 1)
    parents = re.search(r"\|([\w,]+)\)", head)
    assert parents is not None
    old = random.choice(parents[1].split(","))
    head = re.sub(rf"(?<=[|,]){old}(?=[,)])", "y_9", head)
    return Damaged(_replaced(lines, at, f"{head} = {rest}"), f"{what} {old} of {head}", ("y_9", old), at + 1)


def _swap_space(lines: list[str], at: int, what: str, random: Random) -> Damaged:
    name = lines[at].split(" : ", 1)[0]
    # An index is in the support of no continuous family, and a vector of a simplex in that of no discrete one.
    discrete = r"(Bern|Fact|OneHot|Categ|Poiss|Geom|Nega|Binom|Zero|Order)"
    other = "simplex[7]" if any(re.match(rf"p\({name}[|)].*= {discrete}", line) for line in lines) else "category[9]"
    return Damaged(_replaced(lines, at, f"{name} : {other}"), f"{what} of {name}: {other}", (name,), at + 1)


def _resize(lines: list[str], at: int, what: str, random: Random) -> Damaged:
    name = lines[at].split()[1]
    size = "[11]" if "[7]" in lines[at] else "[7]"
    line = re.sub(r"\[[^\]]*\]", size, lines[at], count=1)
    return Damaged(_replaced(lines, at, line), f"{what} of {name}", (name,), at + 1)


def _double(lines: list[str], at: int, what: str, random: Random) -> Damaged:
    return Damaged("\n".join([*lines, lines[at]]), f"{what}: {lines[at]}", (), len(lines) + 1)


def _misspell(lines: list[str], at: int, what: str, random: Random) -> Damaged:
    family = re.search(r" = ([A-Z]\w+)\(", lines[at])
    assert family is not None
    wrong = family[1][:-2] + family[1][-1] + family[1][-2]
    wrong = wrong if wrong != family[1] else family[1] + "x"
    line = lines[at].replace(f" = {family[1]}(", f" = {wrong}(")
    return Damaged(_replaced(lines, at, line), f"{what} {wrong}", (wrong,), at + 1)


def _misspell_option(lines: list[str], at: int, what: str, random: Random) -> Damaged:
    found = re.search(r"\((\w+) = ", lines[at])
    assert found is not None
    return Damaged(
        _replaced(lines, at, lines[at].replace(found[1], f"{found[1]}x", 1)), what, (f"{found[1]}x",), at + 1
    )


def _unclose(lines: list[str], at: int, what: str, random: Random) -> Damaged:
    places = [i for i, char in enumerate(lines[at]) if char in "()[]{}"]
    place = random.choice(places)
    # The rest of the program may be taken in by an open bracket: the damage is on the last line.
    line = lines[at][:place] + lines[at][place + 1 :]
    kept = lines[:at] + lines[at + 1 :]
    return Damaged("\n".join([*kept, line]), f"{what}: {line}", (), len(lines))


FACTOR = r"^[pq]\("
WAYS = [
    ("a missing net", r"^net f_", _drop),
    ("a missing tensor", r"^(param|buffer|input) ", _drop),
    ("a renamed parent", r"^[pq]\([^)]*\|", _rename_parent),
    ("another space", r"^[xz]_\d : ", _swap_space),
    ("another size", r"^(param|buffer) \w+ : real\[", _resize),
    ("a doubled factor", FACTOR, _double),
    ("a doubled net", "^net ", _double),
    ("an unknown family", r"^[pq]\([^=]* = [A-Z]\w+\(", _misspell),
    ("an unknown parameter", r"^[pq]\([^)]*\) = \w+\(\w+ = ", _misspell_option),
    ("an open bracket", r"[()\[\]{}]", _unclose),
]

TOKENS = (
    "p q x z y ( ) [ ] { } | || = : , ; + - * / ^ @ >> -> ~ E_ "
    "E_{ KL[ H[ ELBO[ log exp ∫ int dz sum_k Normal( Bernoulli( net param buffer input extern flow index in 1..T "
    "const where wrt using maximize minimize Linear( ReLU 1 0.5 1e999 real boolean [3] \\mathbb{E} \\left[ \\| "
    "p(x|z) q(z|x) p(z) = := propto ∝ % & # é \n \n   \n\t".split(" ")
)


def soup(seed: int) -> str:
    """Token soup, raw text, or a real program with a stretch of either in it."""
    random = Random(seed)
    tokens = " ".join(random.choice(TOKENS) for _ in range(random.randint(0, 60)))
    raw = "".join(chr(random.choice([random.randint(0, 127), random.randint(0, 0x2FFF)])) for _ in range(80))
    kind = random.randint(0, 2)
    if kind == 0:
        return tokens
    if kind == 1:
        return raw
    text = ProgramMaker(random).make()
    start = random.randrange(len(text))
    return text[:start] + random.choice([tokens, raw]) + text[start + random.randint(0, 20) :]
