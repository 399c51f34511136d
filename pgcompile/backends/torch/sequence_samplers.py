"""The methods that draw sequences: `sample` and `sample_mean` of a model with indices."""

from collections.abc import Callable

from pgcompile.backends.torch.layout import (
    WIDTH,
    Line,
    bare,
    collection,
    definition,
    docstring,
    shortened,
    stamped,
    statement,
)
from pgcompile.backends.torch.method_writer import MethodWriter, with_range
from pgcompile.backends.torch.samplers import centre_of
from pgcompile.model.indices import Lag
from pgcompile.model.names import identifier
from pgcompile.plan.axes import length_name
from pgcompile.plan.methods.description import Carry, SampleStep, SequenceSampler
from pgcompile.plan.origin import Origin

_VERBS = {"sample": "Draw from", "sample_mean": "Propagate means through"}


def sequence_methods(writer: MethodWriter, sampler: SequenceSampler) -> list[list[Line]]:
    """`sample` and `sample_mean`."""
    return [_Sampler(writer, sampler, name).lines() for name in _VERBS]


class _Sampler:
    """One of the two methods.

    Args:
        writer: the class.
        sampler: its steps.
        name: of the method.
    """

    def __init__(self, writer: MethodWriter, sampler: SequenceSampler, name: str) -> None:
        self.writer = writer
        self.sampler = sampler
        self.name = name
        self.indices = writer.plan.model.indices
        self.lengths = {i: length_name(self.indices.ranges[i]) for i in (*sampler.plates, *_one(sampler.time))}
        names = [s.variable for s in (*sampler.shared, *sampler.steps, *sampler.late)] + [*sampler.conditions]
        names += [name for name, _, _ in sampler.ones]
        names += [a.name for a in sampler.inputs] + [c.name for c in sampler.carried]
        self.taken = [*map(identifier, names), "shape", "held", "known", "drawn", "law", *self.lengths.values()]

    def lines(self) -> list[Line]:
        found = [*self._head(), *self._held()]
        for step in self.sampler.shared:
            found += self._shared(step)
        found += self._loop() if self.sampler.time is not None else self._plates()
        return found

    # --- parts ---

    def _head(self) -> list[Line]:
        arguments = "".join(f", {length}={self.indices.ranges[i].size}" for i, length in self.lengths.items())
        said = "variables in `given` are held fixed"
        if self.sampler.time is not None:
            said += ", sequences as far as they go"
        return [
            *definition(f"    def {self.name}(self, shape: tuple = (), given: dict | None = None{arguments}) -> dict:"),
            *docstring(f"{_VERBS[self.name]} {shortened(self.sampler.label, 60)}", said),
        ]

    def _held(self) -> list[Line]:
        """The statements that take out of `given` what is held, with the places of sequences first."""
        sampler, found = self.sampler, list[Line]()
        if sampler.inputs:
            self.writer.use("take_inputs")
            names = [a.name for a in sampler.inputs]
            asked = "self, given, {" + ", ".join(f'"{a.name}": {tuple(a.dims)}' for a in sampler.inputs) + "}"
            found += statement(f"{', '.join(['given', *map(identifier, names)])} = take_inputs({asked})")
        if sampler.conditions:
            self.writer.use("require_given")
            found += statement(f"require_given(given, {', '.join(_quoted(v) for v in sampler.conditions)})")
        self.writer.use("hold_places")
        every = (*sampler.shared, *sampler.steps, *sampler.late)
        names = [*(s.variable for s in every if s.factor is not None), *sampler.conditions]
        spaces = self.writer.plan.model.spaces
        lengths = {i: f'"{length}"' for i, length in self.lengths.items()}
        facts = [
            f"{_quoted(v)}: ({_tuple([lengths[i] for i in self.indices.of(v)])}, {tuple(spaces[v].shape)}"
            f"{with_range(spaces[v])})"
            for v in names
        ]
        asked = ", ".join(f"{length}={length}" for length in self.lengths.values())
        found += collection("variables = {", facts, "}")
        targets = ", ".join(["shape", "held", *self.lengths.values()])
        required = _quoted_or_none(self.lengths.get(self.sampler.time or ""))
        found += statement(f"{targets} = hold_places(self, shape, given, variables, {required}, {asked})")
        return found + [
            Line(f"        {identifier(v)} = held[{_quoted(v)}]") for v in sampler.conditions if not self._loops(v)
        ]

    def _loops(self, variable: str) -> bool:
        return self.sampler.time is not None and self.sampler.time in self.indices.of(variable)

    def _shared(self, step: SampleStep) -> list[Line]:
        target = identifier(step.variable)
        if step.factor is None:
            return self._formula(step, 8)
        return self._held_or(step, target, self._drawn(step, self._lead(step.variable)))

    def _held_or(self, step: SampleStep, target: str, drawn: str) -> list[Line]:
        """A variable that is held, or drawn."""
        quoted = _quoted(step.variable)
        assert step.factor is not None
        text = f"        {target} = held[{quoted}] if {quoted} in held else {drawn}"
        lines = [Line(text)]
        if len(text) > WIDTH:
            lines = [Line(f"        if ({target} := held.get({quoted})) is None:")]
            lines += _assigned(target, drawn, 12)
        return stamped(lines, Origin(step.factor.span, step.label))

    def _formula(self, step: SampleStep, indent: int) -> list[Line]:
        target = identifier(step.variable)
        assert step.value is not None
        arguments = {*step.parents, *(a.name for a in step.inputs)}
        body = self.writer.body([step.value], [n for n in self.taken if n != target], arguments, indent)
        text = body.write()[0]
        lines = [] if text.text == target else statement(f"{target} = {text.text}", indent)
        return [*bare(body.lines), *stamped(lines, *body.origins)]

    def _drawn(self, step: SampleStep, lead: str) -> str:
        """A draw, or what stands for it, from the factor of a step."""
        assert step.factor is not None
        method = next(m for m in self.writer.plan.factors if m.factor is step.factor)
        texts = [self._lined(p, step.variable) for p in step.parents]
        parents = ", ".join([*texts, *(identifier(a.name) for a in step.inputs)])
        law = f"self.{self.writer.method_name(method.name)}({parents})"
        if self.name == "sample":
            if step.batched:
                return f"{law}.sample()"
            return f"{law}.sample(shape)" if lead == "*shape" else f"{law}.sample(({lead}))"
        return law + centre_of(self.writer, step, lead)

    def _lined(self, parent: str, variable: str) -> str:
        """A parent with ones for the plates of a variable that it does not have itself."""
        lag = self.indices.lags.get(parent)
        if lag is not None and lag.is_run:
            return identifier(parent)
        own = [i for i in self.indices.of(variable) if i in self.sampler.plates]
        has = [i for i in self.indices.of(parent) if i in self.sampler.plates]
        missing = [at for at, i in enumerate(own) if i not in has]
        return self._repeated(identifier(parent), own, missing) if missing else identifier(parent)

    def _repeated(self, text: str, plates: list[str], missing: list[int]) -> str:
        """A value repeated along the plates that it lacks."""
        self.writer.use("repeat_places")
        sizes = _tuple([self.lengths[i] for i in plates])
        return f"repeat_places({text}, {sizes}, {_tuple(list(map(str, missing)))})"

    def _run(self, lag: Lag) -> str:
        """The places of a variable that were drawn so far, this one too where the run goes up to it."""
        self.writer.use("past_of")
        space = self.writer.plan.model.spaces[lag.of]
        own = f"drawn[{_quoted(lag.of)}]"
        own = f"[*{own}, {identifier(lag.of)}]" if lag.reach == "here" else own
        like = "self._like.long()" if space.kind == "category" else "self._like"
        return f"past_of({own}, shape, {tuple(space.shape)}, {like})"

    def _lead(self, variable: str) -> str:
        """The dimensions of a draw that depends on nothing: those of its plates, then the batch."""
        own = [self.lengths[i] for i in self.indices.of(variable) if i in self.sampler.plates]
        return ", ".join([*own, "*shape"])

    def _plates(self) -> list[Line]:
        """All places at once, along the first dimensions."""
        found: list[Line] = []
        for step in self.sampler.steps:
            if step.factor is None:
                found += self._formula(step, 8)
                continue
            target, draw = identifier(step.variable), self._drawn(step, self._lead(step.variable))
            found += self._held_or(step, target, draw)
        found += self._late(lambda variable: identifier(variable))
        steps = (*self.sampler.shared, *self.sampler.late, *self.sampler.steps)
        entries = [f"{_quoted(s.variable)}: {self._placed(s.variable, identifier(s.variable))}" for s in steps]
        entries += [f"{_quoted(n)}: {self._placed(n, identifier(n))}" for n in self.sampler.conditions]
        return [*found, *collection("return {", entries, "}")]

    def _placed(self, variable: str, text: str) -> str:
        """A value with its places behind the batch."""
        count = sum(i in self.sampler.plates for i in self.indices.of(variable))
        if not count:
            return text
        self.writer.use("behind_batch")
        return f"behind_batch({text}, {count}, len(shape))"

    def _loop(self) -> list[Line]:
        """One place after another."""
        sampler = self.sampler
        assert sampler.time is not None
        length = self.lengths[sampler.time]
        found: list[Line] = []
        for carry in sampler.carried:
            found += self._start(carry)
        quoted = ", ".join(f"{_quoted(s.variable)}: []" for s in sampler.steps)
        found += statement(f"drawn = {{{quoted}}}")
        sequences = [s.variable for s in sampler.steps if s.factor is not None]
        sequences += [v for v in sampler.conditions if self._loops(v)]
        found += statement(f"for t in range({length}):")
        names = ", ".join(_quoted(n) for n in sequences) + "," * (len(sequences) == 1)
        found += statement(f"known = {{n: v[t] for n, v in held.items() if n in ({names}) and t < len(v)}}", 12)
        for v in sampler.conditions:
            if self._loops(v):
                found += statement(f"{identifier(v)} = known[{_quoted(v)}]", 12)
        guided = dict(sampler.guides)
        for step in sampler.steps:
            found += self._turn(step, guided.get(step.variable))
        pairs = [f"({_quoted(s.variable)}, {identifier(s.variable)})" for s in sampler.steps]
        if len(pairs) == 1:
            found += statement(f"for name, value in ({pairs[0]},):", 12)
        else:
            found += collection("for name, value in (", pairs, "):", 12)
        found += statement("drawn[name].append(value)", 16)
        for carry in sampler.carried:
            found += statement(f"{identifier(carry.name)} = {identifier(carry.source)}", 12)
        found += self._late(lambda variable: f"drawn[{_quoted(variable)}]")
        kept = (*sampler.shared, *sampler.late)
        whole = [*(s.variable for s in kept), *(v for v in sampler.conditions if not self._loops(v))]
        entries = [f"{_quoted(n)}: {self._placed(n, identifier(n))}" for n in whole]
        if not any(i in sampler.plates for step in sampler.steps for i in self.indices.of(step.variable)):
            every = "{n: torch.stack(v, len(shape)) for n, v in drawn.items()}"
            if not entries:
                return [*found, Line(f"        return {every}")]
            return [*found, *collection("return {", [*entries, f"**{every}"], "}")]
        entries += [f"{_quoted(s.variable)}: {self._stacked(s.variable)}" for s in sampler.steps]
        return [*found, *collection("return {", entries, "}")]

    def _late(self, places: Callable[[str], str]) -> list[Line]:
        """Variables that one place of a sequence determines, after all of them."""
        found: list[Line] = []
        for name, of, position in self.sampler.ones:
            found += statement(f"{identifier(name)} = {places(of)}[{position}]")
        for name in self.sampler.whole:
            found += statement(f"{identifier(name)} = torch.stack({places(name)})")
        for step in self.sampler.late:
            found += self._shared(step)
        return found

    def _stacked(self, variable: str) -> str:
        """All places of a variable, those of plates behind the batch too."""
        own, quoted = self.indices.of(variable), _quoted(variable)
        plates = sum(i in self.sampler.plates for i in own)
        if not plates:
            return f"torch.stack(drawn[{quoted}], len(shape))"
        self.writer.use("behind_batch")
        at = own.index(self.sampler.time or "")
        inside = f"behind_batch(v, {plates}, len(shape)) for v in drawn[{quoted}]"
        return f"torch.stack([{inside}], len(shape){f' + {at}' if at else ''})"

    def _start(self, carry: Carry) -> list[Line]:
        base = carry.source if carry.source in self.writer.plan.model.spaces else carry.name
        shape = self.writer.plan.model.spaces[base].shape
        plates = [self.lengths[i] for i in self.indices.of(carry.source) if i in self.sampler.plates]
        sizes = ", ".join([*plates, "*shape", *map(str, shape)])
        sizes = "shape" if sizes == "*shape" else sizes  # which may be empty
        if carry.start is not None:
            own = self.writer.plan.model.tensors.get(carry.start)
            text = f"self.{self.writer.rename(carry.start)}" if own is not None else identifier(carry.start)
            return statement(f"{identifier(carry.name)} = {text}.expand({sizes})")
        number = f" + {carry.number}" if carry.number else ""
        return statement(f"{identifier(carry.name)} = self._like.expand({sizes}){number}")

    def _turn(self, step: SampleStep, guide: SampleStep | None) -> list[Line]:
        """The statements of one variable at one place."""
        if step.factor is None:
            return self._formula(step, 12)
        target, quoted = identifier(step.variable), _quoted(step.variable)
        lead = self._lead(step.variable)
        lines = statement(f"if ({target} := known.get({quoted})) is None:", 12)
        for parent in step.parents:
            run = self.indices.lags.get(parent)
            if run is not None and run.is_run:
                lines += statement(f"{identifier(parent)} = {self._run(run)}", 16)
        branches = self._guided(step, guide)
        children = self._children(step)
        if children and not branches:
            self.writer.use("refuse_known")
            named = ", ".join(_quoted(c) for c in sorted(children))
            lines += statement(f"refuse_known(known, {quoted}, {named})", 16)
        if (first := dict(self.sampler.firsts).get(step.variable)) is not None:
            branches.append(("t == 0", self._drawn(first, lead)))
        drawn = self._drawn(step, lead)
        for at, (condition, text) in enumerate(branches):
            lines += statement(f"{'elif' if at else 'if'} {condition}:", 16)
            lines += _assigned(target, text, 20)
        lines += statement("else:", 16) if branches else []
        lines += _assigned(target, drawn, 20 if branches else 16)
        return stamped(lines, Origin(step.factor.span, step.label))

    def _guided(self, step: SampleStep, guide: SampleStep | None) -> list[tuple[str, str]]:
        """The draw from the posterior where what depends on the variable is given."""
        if guide is None or guide.factor is None or self.name != "sample":
            return []
        data = [p for p in guide.parents if p in self._children(step)]
        if not data or not {*guide.parents} <= {*data, *self._known_before(step)}:
            return []
        given = [f"known[{_quoted(p)}]" if p in data else identifier(p) for p in guide.parents]
        method = next(m for m in self.writer.plan.factors if m.factor is guide.factor)
        law = f"self.{self.writer.method_name(method.name)}({', '.join(given)})"
        return [(" and ".join(f"{_quoted(p)} in known" for p in data), f"{law}.sample()")]

    def _known_before(self, step: SampleStep) -> set[str]:
        """Names of the values that a place has when a variable is drawn there."""
        sampler = self.sampler
        before = sampler.steps[: sampler.steps.index(step)]
        found = {s.variable for s in (*sampler.shared, *before)} | {carry.name for carry in sampler.carried}
        return found | {*sampler.conditions}

    def _children(self, step: SampleStep) -> set[str]:
        """The drawn variables of a place that depend on a variable, through deterministic ones."""
        found, pending = set[str](), [step.variable]
        while pending:
            name = pending.pop()
            for other in self.sampler.steps:
                if name in other.parents and other.variable not in found:
                    found.add(other.variable)
                    if other.factor is None:
                        pending.append(other.variable)
        return {s.variable for s in self.sampler.steps if s.variable in found and s.factor is not None}


def _assigned(target: str, drawn: str, indent: int) -> list[Line]:
    """An assignment; the distribution has a line of its own where both do not fit on one."""
    if indent + len(f"{target} = {drawn}") <= WIDTH or not drawn.startswith("self."):
        return statement(f"{target} = {drawn}", indent)
    depth, end = 0, len(drawn)
    for at, char in enumerate(drawn):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == ")" and depth == 0:
            end = at + 1
            break
    return [*statement(f"law = {drawn[:end]}", indent), *statement(f"{target} = law{drawn[end:]}", indent)]


def _one(index: str | None) -> tuple[str, ...]:
    return () if index is None else (index,)


def _quoted(name: str) -> str:
    return f'"{identifier(name)}"'


def _quoted_or_none(name: str | None) -> str:
    return "None" if name is None else f'"{name}"'


def _tuple(parts: list[str]) -> str:
    return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
