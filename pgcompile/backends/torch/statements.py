"""The statements of one method: which values get a line, what they are called, and how the lines fit the page."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pgcompile.backends.torch.layout import WIDTH, Line, comment, safe_comment, stamped, statement
from pgcompile.backends.torch.loops import Loop, derivative, loop
from pgcompile.backends.torch.printer import Text, Writer
from pgcompile.backends.torch.turns import Turns
from pgcompile.diagnostics import InternalError
from pgcompile.model.names import identifier
from pgcompile.plan.hints import default_hint
from pgcompile.plan.ops import LEAVES, NOISE, is_tensor
from pgcompile.plan.origin import Origin, merged
from pgcompile.plan.values import Attribute, AxisKind, Noise, Value, live_values

_LONGEST = 400  # an estimate of characters, past which a value is named before any text is made
_PASSES = 100
_LONG = 46  # an inlined operand longer than this makes a line hard to read


@dataclass
class Body:
    """Writes the values of one plan as statements.

    Args:
        outputs: values that must be computed.
        taken: names that are in use already, such as arguments.
        rename: Python name of an argument or attribute.
        use: told of every special function used.
        indent: spaces before each statement.
        before: characters that stand on the line of an output besides it.
        method_name: Python name of a factor's method.
        watched: whether every named value is checked to be finite.
        with_lines: numbers of outputs that get a line of their own, whatever their length.
    """

    outputs: list[Value]
    taken: Iterable[str]
    rename: Callable[[str], str]
    use: Callable[[str], None]
    indent: int = 8
    before: int = len("return ")
    watched: bool = False
    with_lines: set[int] = field(default_factory=set)
    method_name: Callable[[str], str] = str
    lines: list[Line] = field(default_factory=list)
    origins: tuple[Origin, ...] = ()
    """Where the outputs come from, as far as they are written where they are used."""

    _texts: dict[int, Text] = field(default_factory=dict)
    _named: set[int] = field(default_factory=set)
    _items: dict[int, list[Value]] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)
    _pending: dict[int, list[Noise]] = field(default_factory=dict)
    _inlined: dict[int, tuple[Origin, ...]] = field(default_factory=dict)
    _section: str | None = None
    _comment_at: int | None = None
    _previous: Value | None = None
    noise: list[Noise] = field(default_factory=list)
    """Every draw of the method, in the order in which the written statements run."""

    turns_name: str = ""
    """The name of the method that a loop over places becomes; none where it is written where it stands."""

    methods: list[list[Line]] = field(default_factory=list)
    """Those methods."""

    live: list[Value] | None = None
    """The values that are written, where these are not all that the outputs need: the body of a loop."""

    given: Mapping[int, Text] = field(default_factory=dict)
    """The sources of values that stand outside."""

    noise_of: Mapping[str, Sequence[Noise]] = field(default_factory=dict)
    """The draws of the procedures that it may call."""

    def write(self) -> list[Text]:
        """Fill `lines`; the result is the source of each output."""
        live = live_values(self.outputs) if self.live is None else self.live
        self._choose(live)
        for _ in range(_PASSES):
            self._name_all(live)
            long = self._attempt(live)
            if not long:
                for value in self.outputs:
                    self.noise += self._pending.pop(value.number, [])
                    self.origins = merged(self.origins, self._inlined.get(value.number, value.origins))
                return [self._texts[value.number] for value in self.outputs]
            self._named |= long
        raise InternalError("the lines of a method could not be fitted")

    def _inside(
        self, outputs: list[Value], taken: Iterable[str], live: list[Value], given: Mapping[int, Text]
    ) -> "Body":
        """The statements of a loop inside this body."""
        body = Body(outputs, taken, self.rename, self.use, self.indent + 4)
        body.method_name, body.watched, body.noise_of = self.method_name, self.watched, self.noise_of
        body.live, body.given, body.before = live, given, 20
        return body

    def after(self, outputs: list[Value], live: list[Value], before: int) -> "Body":
        """The statements of a block behind this body, which is written: values that are made for it alone."""
        body = self._inside(outputs, {*self.taken, *self._names.values()}, live, self._texts)
        body.before = before
        return body

    def _choose(self, live: list[Value]) -> None:
        """Values that get a line: those used more than once, and those whose name helps the reader."""
        uses: dict[int, int] = {}
        for value in live:
            for arg in value.args:
                uses[arg.number] = uses.get(arg.number, 0) + 1
        outputs = {value.number for value in self.outputs}
        for value in self.outputs:
            uses[value.number] = uses.get(value.number, 0) + 1
        self._items = {}
        for value in live:
            if value.op == "item":
                self._items.setdefault(value.args[0].number, []).append(value)
                self._named.add(value.number)
        for value in live:
            if value.number in self._items:
                self._named.add(value.number)
                continue
            if value.op in LEAVES:
                continue
            if value.region is not None:
                self._named.add(value.number)
                continue
            many = uses.get(value.number, 0) > 1
            only_output = value.number in outputs and uses[value.number] == 1
            if many or (value.materialize and not only_output) or value.number in self.with_lines:
                self._named.add(value.number)

        self._cut_long(live)

    def _cut_long(self, live: list[Value]) -> None:
        """Name what would make a line far too long, so that no text grows with the size of the program."""
        size: dict[int, int] = {}
        for value in live:
            own = 12 + sum(size.get(arg.number, 12) for arg in value.args)
            if own > _LONGEST and value.op not in LEAVES:
                largest = max(value.args, key=lambda arg: size.get(arg.number, 12))
                if largest.number in size and largest.op not in LEAVES and largest.number not in self._named:
                    self._named.add(largest.number)
                    size[largest.number] = 12
                    own = 12 + sum(size.get(arg.number, 12) for arg in value.args)
            size[value.number] = 12 if value.number in self._named else own

    # --- names ---

    def _name_all(self, live: list[Value]) -> None:
        """Give every line its name: the shortest hint that no other value wants, then longer ones, then numbers."""
        named = [value for value in live if value.number in self._named and not self._unpacked(value)]
        hints = {value.number: list(map(identifier, value.hints or [default_hint(value)])) for value in named}
        level = dict.fromkeys(hints, 0)
        while True:
            wanted: dict[str, list[int]] = {}
            for number, options in hints.items():
                wanted.setdefault(options[level[number]], []).append(number)
            clashing = [
                n for numbers in wanted.values() if len(numbers) > 1 for n in numbers if level[n] + 1 < len(hints[n])
            ]
            if not clashing:
                break
            for number in clashing:
                level[number] += 1
        taken = set(self.taken)
        self._names = {}
        counts: dict[str, int] = {}
        for value in named:
            first = hints[value.number][level[value.number]]
            name = first
            while name in taken:
                counts[first] = counts.get(first, 1) + 1
                name = f"{first}_{counts[first]}"
            taken.add(name)
            self._names[value.number] = name

    def _unpacked(self, value: Value) -> bool:
        """True if a value with several results is unpacked into names where it is made."""
        return value.number in self._items

    # --- lines ---

    def _attempt(self, live: list[Value]) -> set[int]:
        """Write every line; the result is the values that must get lines of their own for the others to fit."""
        self.lines, self._texts, self._inlined = [], dict(self.given), {}
        self.methods = []
        self.noise, self._pending = [], {}
        self._section, self._comment_at, self._previous = None, None, None
        writer = Writer(self.rename, self.use, self.method_name)
        outputs = {value.number for value in self.outputs}
        long: set[int] = set()
        for value in live:
            if value.op == "item":
                self._texts[value.number] = Text(self._names[value.number])
                continue
            if value.region is not None and value.region.axis is None:
                self._comment(value, value.origins)
                taken = {*self.taken, *self._names.values()}
                name = self._names[value.number]
                self.use(value.op)
                made = derivative(self._inside, value, value.region, name, self._texts, taken)
                self.lines += stamped(made.lines, *value.origins)
                self.noise += made.noise
                self._texts[value.number] = Text(name)
                continue
            if value.region is not None:
                names = {item.attributes[0]: self._names[item.number] for item in self._items[value.number]}
                self._comment(value, value.origins)
                taken = {*self.taken, *self._names.values()}
                made = self._loop(value, names, taken)
                self.lines += stamped(made.lines, *value.origins)
                self.noise += made.noise
                continue
            text = writer.write(value, [self._texts[arg.number] for arg in value.args])
            self._order_noise(value, text)
            origins = merged(value.origins, *(self._inlined.get(arg.number, ()) for arg in value.args))
            if value.number not in self._named:
                self._texts[value.number] = text
                self._inlined[value.number] = origins
                if value.number in outputs and self.indent + self.before + len(text.text) > WIDTH:
                    long |= self._longest_operand(value)
                continue
            name = self._names[value.number] if value.number in self._names else self._unpacking(value)
            if self.indent + len(name) + 3 + len(text.text) > WIDTH or self._has_long_operand(value):
                long |= self._longest_operand(value)
            self._write_line(value, name, text, origins)
        return long

    def _loop(self, value: Value, names: dict[Attribute, str], taken: set[str]) -> Loop:
        """The statements of a loop, which is a method of its own where it goes over the places of an index."""
        region = value.region
        assert region is not None
        apart = region.axis is not None and region.axis.kind is AxisKind.PLATE and bool(region.elements)
        if not (apart and self.turns_name and self.indent == 8):
            return loop(self._inside, value, region, names, self._texts, taken)
        method = f"{self.turns_name}_{len(self.methods) + 1}" if self.methods else self.turns_name
        made, lines = Turns(value, region, names, self._texts, {*self.taken}, method).write(self._inside)
        self.methods.append(stamped(lines, *value.origins))
        return made

    def _write_line(self, value: Value, name: str, text: Text, origins: tuple[Origin, ...]) -> None:
        """The assignment of a value to its name, under its comment and before its watch."""
        self._comment(value, origins, f"{name} = {text.text}")
        line = statement(f"{name} = {text.text}", self.indent)
        pair = _paired(self.lines, line, self._previous, value)
        chain = _chained(self.lines, line, self._previous, value)
        if chain is not None:
            self.lines[-1] = Line(chain, merged(self.lines[-1].origins, origins))
        elif pair is not None:
            self.lines[-1] = Line(pair, merged(self.lines[-1].origins, origins))
        else:
            self.lines.extend(stamped(line, *origins))
        self._previous = value if pair is None else None
        if self.watched and value.number in self._names and is_tensor(value):
            self.use("watch")
            formula = safe_comment(value.section or name)
            watch = statement(f'watch("{formula}", "{name}", {name})', self.indent)
            self.lines.extend(stamped(watch, *origins))
            self._previous = None
        self._texts[value.number] = Text(name)
        self.noise += self._pending.pop(value.number, [])

    def _comment(self, value: Value, origins: tuple[Origin, ...], line: str = "") -> None:
        """The formula that a value belongs to, where neither the line before nor the value's own line says it."""
        section = value.section
        if section is None or section == self._section:
            return
        lines = stamped(comment(section, self.indent), *origins)
        if section == f"log {self._section}" and self._comment_at is not None:
            # `# p(x|z)` and at once `# log p(x|z)` would say one thing twice.
            self.lines[self._comment_at : self._comment_at + 1] = lines
        elif not _repeats(section, line):
            self._comment_at = len(self.lines)
            self.lines.extend(lines)
        self._section = section

    def _order_noise(self, value: Value, text: Text) -> None:
        """The draws inside an expression, in the order in which its operands stand in the text."""
        called = list(self.noise_of.get(str(value.attributes[0]), ())) if value.op == "procedure" else []
        if value.op not in NOISE and not called and not any(arg.number in self._pending for arg in value.args):
            return
        operands = sorted(value.args, key=lambda arg: text.text.find(self._texts[arg.number].text))
        inside = [noise for arg in operands for noise in self._pending.pop(arg.number, [])]
        inside += [value] if value.op in NOISE else called
        self._pending[value.number] = inside

    def _unpacking(self, value: Value) -> str:
        """`m, s` for a value whose results are `m` and `s`; a result that nobody needs is `_`."""
        items = {item.attributes[0]: self._names[item.number] for item in self._items[value.number]}
        count = value.attributes[-1] if value.op not in ("cell", "cell_step") else 2
        assert isinstance(count, int)
        names = [items.get(position, "_") for position in range(count)]
        return ", ".join(names) if len(names) > 1 else f"({names[0]},)"

    def _longest_operand(self, value: Value) -> set[int]:
        """The inlined value inside `value` that cuts its line best, near the middle; empty where there is none."""
        found: list[Value] = []
        stack = list(value.args)
        while stack:
            arg = stack.pop()
            if arg.number in self._named or arg.number in self.given or arg.op in LEAVES:
                continue
            found.append(arg)
            stack.extend(arg.args)
        usable = [v for v in found if len(self._texts[v.number].text) > 12 and v.op not in ("unsqueeze", "neg")]
        usable = usable or [v for v in found if len(self._texts[v.number].text) > 24]
        if not usable:
            return set()
        whole = len(self._texts[value.number].text) if value.number in self._texts else WIDTH
        return {min(usable, key=lambda v: (abs(len(self._texts[v.number].text) - whole / 2), v.number)).number}

    def _has_long_operand(self, value: Value) -> bool:
        return any(len(self._texts[a.number].text) > 2 * _LONG for a in value.args if a.number not in self._named)


def _chained(lines: list[Line], line: list[Line], previous: Value | None, value: Value) -> str | None:
    """`a = b = every_state(...)`: variables that take the same values along different axes."""
    if previous is None or previous.op != "states" or value.op != "states" or previous.section != value.section:
        return None
    *names, before = lines[-1].text.split(" = ")
    name, text = line[0].text.strip().split(" = ", 1)
    joined = " = ".join([*names, name, text])
    return joined if before == text and len(line) == 1 and len(joined) <= WIDTH else None


def _repeats(section: str, line: str) -> bool:
    """True if a line says all that the comment of its formula would: `log_p_x = ...` says `log p(x|z)`."""
    name, _, text = line.partition(" = ")
    if section.startswith("every value of ") and text.startswith("every_state("):
        return True
    summed = section.partition(": the sum over ")[2]
    said = f"log_sum {summed}" if summed else section.partition("|")[0]
    return name == "_".join(re.findall(r"\w+", said))


def _paired(lines: list[Line], line: list[Line], previous: Value | None, value: Value) -> str | None:
    """`loc, scale = self.loc(h), self.scale(h)`: two heads of one net on one line."""
    nets = ("module", "body")
    if previous is None or previous.op not in nets or value.op not in nets or previous.args != value.args:
        return None
    if len(line) != 1 or previous.section != value.section:
        return None
    first_name, first = lines[-1].text.strip().split(" = ", 1)
    name, text = line[0].text.strip().split(" = ", 1)
    pad = line[0].text[: len(line[0].text) - len(line[0].text.lstrip())]
    joined = f"{pad}{first_name}, {name} = {first}, {text}"
    return joined if len(joined) <= WIDTH else None
