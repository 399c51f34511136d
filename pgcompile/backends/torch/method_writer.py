"""The parts that writers of methods share: names in use, heads, checks of arguments, and statements of values."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pgcompile.backends.torch.layout import Line, collection, definition, statement
from pgcompile.backends.torch.names import attribute_names, factor_names
from pgcompile.backends.torch.statements import Body
from pgcompile.model.names import identifier
from pgcompile.plan.methods.description import Argument, FactorMethod, Method, ModulePlan
from pgcompile.plan.origin import Origin
from pgcompile.plan.values import Noise, Value
from pgcompile.runtime.library import Library, library
from pgcompile.vocabulary.spaces import Space, is_countable


@dataclass
class MethodWriter:
    """The class that is being written.

    Args:
        plan: what it computes.
        debug: check the values of variables, and stop at the first value that is not finite.
        used: functions of the runtime library in use, in the order of their first use.
        noise: of each method, its draws in the order in which they are made.
        turns: the methods of loops over places.
    """

    plan: ModulePlan
    debug: bool = False
    used: dict[str, None] = field(default_factory=dict)
    noise: dict[str, tuple[Noise, ...]] = field(default_factory=dict)
    turns: list[list[Line]] = field(default_factory=list)

    @cached_property
    def attributes(self) -> dict[str, str]:
        """Python names of the attributes by what the program calls them."""
        return attribute_names(self.plan)

    @cached_property
    def factor_names(self) -> dict[str, str]:
        """Python names of factors' methods by their names in the plan."""
        return factor_names(self.plan)

    def method_name(self, planned: str) -> str:
        """Python name of a factor's method."""
        return self.factor_names.get(planned, planned)

    @cached_property
    def library(self) -> Library:
        """The functions and classes that this module may copy."""
        return library(flows=bool(self.plan.tensors.flows))

    def origins_of(self, label: str) -> tuple[Origin, ...]:
        """The place where a factor or a named distribution is declared."""
        model = self.plan.model
        found = [f.span for f in model.factors if f.label == label]
        found = found or [named.span for named in model.named if named.label == label]
        return tuple(Origin(span, label) for span in found[:1])

    def use(self, name: str) -> None:
        """Note a function of the library that the class calls."""
        self.used.setdefault(name)

    def rename(self, name: str) -> str:
        """Python name of an attribute or argument."""
        return self.attributes.get(name, identifier(name))

    def rename_for(self, arguments: set[str]) -> Callable[[str], str]:
        """Python names inside a method, whose arguments hide attributes of their name."""

        def rename(name: str) -> str:
            return identifier(name) if name in arguments else self.rename(name)

        return rename

    def rank(self, variable: str) -> int:
        """Event dimensions of a variable."""
        return len(self.plan.model.spaces[variable].shape)

    def body(self, outputs: Sequence[Value], taken: Iterable[str], arguments: set[str], indent: int = 8) -> Body:
        """The statements of some values, in a method that has `taken` as local names already."""
        reserved = [*taken, *self.library.sources]
        body = Body(list(outputs), reserved, self.rename_for(arguments), self.use, indent)
        body.method_name = self.method_name
        body.watched = self.debug
        body.noise_of = self.noise
        return body

    def body_of(self, method: Method | FactorMethod, values: Sequence[Value]) -> Body:
        """The statements of some values of a method."""
        names = [identifier(a.name) for a in method.arguments]
        return self.body(values, names, {a.name for a in method.arguments})

    def head(self, name: str, arguments: tuple[Argument, ...], result: str, *, per: bool = False) -> list[Line]:
        """The `def` line of a method; `per` if it may be asked for each place of an index."""
        given = "".join(f", {identifier(a.name)}: {annotation(a)}" for a in arguments)
        given += ", *, per: str | None = None" * per
        return definition(f"    def {name}(self{given}) -> {result}:")

    def lengths(self, arguments: tuple[Argument, ...], lines: Sequence[Line]) -> list[Line]:
        """The statements that name the numbers of places that some lines speak of."""
        found: dict[str, Line] = {}
        for argument in arguments:
            for at, name in enumerate(argument.places):
                used = isinstance(name, str) and any(re.search(rf"\b{name}\b", line.text) for line in lines)
                if used and name not in found:
                    place = at - len(argument.dims)
                    found[str(name)] = Line(f"        {name} = {identifier(argument.name)}.shape[{place}]")
        return list(found.values())

    def checks(
        self, formula: str, arguments: tuple[Argument, ...], lines: Sequence[Line] = (), *, batches: bool = True
    ) -> list[Line]:
        """The statement that checks and converts the variables a method is given; inputs may have any batch.

        Args:
            formula: what the method computes, for messages.
            arguments: of the method.
            lines: its statements: some functions of torch broadcast no batches.
            batches: whether the variables are those of data, which have one batch and lie in their spaces.
        """
        model = self.plan.model
        given = [a for a in arguments if not a.is_input]
        inputs = [a for a in arguments if a.is_input and not a.optional]
        found: list[Line] = []
        if given:
            together = batches and len(given) > 1 and formula != "log_prob" and not formula.startswith("log_")
            check = "take_all" if together else "take"
            if check == "take" and len(given) > 1 and any(_AS_THEY_ARE.search(line.text) for line in lines):
                check = "take_expanded"
            if any(isinstance(size, str) for a in given for size in a.places):
                check = "take_sequences"
                self.use("take")
                self.use("take_all")
            self.use(check)
            entries = [f"{identifier(a.name)}={self._spec(a, given)}" for a in given]
            names = ", ".join(identifier(a.name) for a in given)
            found = collection(f"{names} = {check}(", ["self", f'"{formula}"', *entries], ")")
            if len(found) > 1 and "|" in formula:  # the arguments say what it is conditioned on
                brief = f'"{formula.partition("|")[0]}|...)"'
                shorter = collection(f"{names} = {check}(", ["self", brief, *entries], ")")
                found = shorter if len(shorter) == 1 else found
        if inputs:
            self.use("check_inputs")
            batch = batch_of(given[0]) if given else "()"
            asked = [f"{identifier(a.name)}=({identifier(a.name)}, {_shape(a.dims)})" for a in inputs]
            found += collection("check_inputs(", ["self", f'"{formula}"', batch, *asked], ")")
        if self.debug and batches:  # `sample_mean` hands means to factors, which need not lie in the space
            for argument in (a for a in given if not a.lengths):
                self.use("check_support")
                space = model.spaces[argument.name]
                if space.optional:
                    continue  # it may hold what is no number
                size = space.categories if space.kind == "category" else None
                name = identifier(argument.name)
                found += statement(f'check_support("{argument.name}", {name}, "{space.kind}", {size})')
        return found

    def _spec(self, argument: Argument, given: Sequence[Argument]) -> str:
        """A variable with its event shape and the kind of its numbers; counts, 0 and 1 may be of any."""
        name, space = identifier(argument.name), self.plan.model.spaces.get(argument.name)
        known = f"{name}, {_shape(argument.dims)}"
        if argument.lengths or space is None:
            return f"({known}, {self._counted_places(argument.name, given)})"
        if space.kind == "category" and self._is_padded(argument):
            return f'({known}, "int64")'  # what stands behind the end may be anything
        if space.kind == "category":
            return f"({known}, {category_range(space)})"
        return f"({known})" if is_countable(space.kind) else f'({known}, "float")'

    def _counted_places(self, lengths: str, given: Sequence[Argument]) -> str:
        """The places that the lengths of sequences count: their name where the data say how many they are."""
        indices = self.plan.model.indices
        (index,) = (i for i, known in indices.ranges.items() if known.lengths == lengths)
        carriers = [(a.places, indices.of(a.name)) for a in given if a.places]
        count = next((places[own.index(index)] for places, own in carriers if index in own), None)
        if count is None:
            return '"int64"'
        return f"range({count + 1})" if isinstance(count, int) else f'"{count}"'

    def _is_padded(self, argument: Argument) -> bool:
        """True of a variable whose sequences end before its tensor does."""
        indices = self.plan.model.indices
        return bool(argument.places) and any(indices.ranges[i].lengths for i in indices.of(argument.name))


def _shape(shape: tuple[int | str, ...]) -> str:
    """A shape as a tuple of Python, with texts in double quotes."""
    return str(shape).replace("'", '"')


def annotation(argument: Argument) -> str:
    """The type of an argument, and its default."""
    if argument.optional:
        return "float | None = None"
    return "Tensor | float" if argument.is_input else "Tensor"


_AS_THEY_ARE = re.compile(r"torch\.cat\(|\.gather\(|F\.(binary_)?cross_entropy")
"""Functions of torch that do not broadcast the batches of their arguments."""


def category_range(space: Space) -> str:
    """The range of a category's values, empty for other spaces; -1 stands for a value that data lack."""
    if space.kind != "category" or space.categories is None:
        return ""
    return f"range({'-1, ' if space.optional else ''}{space.categories})"


def with_range(space: Space) -> str:
    """The range of a category's values as the last entry of a tuple."""
    known = category_range(space)
    return f", {known}" if known else ""


def batch_of(argument: Argument) -> str:
    """The batch shape of a variable."""
    rank = len(argument.dims)
    return f"{identifier(argument.name)}.shape{f'[:-{rank}]' if rank else ''}"


def canonical(label: str) -> str:
    """A factor's label without spaces, by which it is looked up."""
    return label.replace(" ", "")
