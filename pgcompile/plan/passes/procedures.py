"""Common computations of several methods become a private method that they call.

Nothing is computed more or less often than before: the class gets shorter, and says once what is one thing.
"""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from pgcompile.plan.hints import default_hint
from pgcompile.plan.methods.description import Argument, ModulePlan, Procedure
from pgcompile.plan.ops import operation
from pgcompile.plan.origin import merged
from pgcompile.plan.structure import Structures
from pgcompile.plan.values import Value, live_values
from pgcompile.vocabulary.reserved import PRIVATE

FEWEST_LINES = 3
"""A procedure is made where the class is shorter by as many lines."""

MOST_RESULTS = 4
"""A method that gives more is harder to read than what it replaces."""

MOST_VALUES = 20_000
"""Classes that compute more are left as they are, for the search compares all methods with each other."""

_FRAME = 5  # the lines of a method beside its statements: a blank one, its head, three of docstring, the return

# What has no meaning of its own is left where it is used.
_SHAPED = frozenset(("unsqueeze", "unsqueeze_axes", "unsqueeze_row", "expand", "expand_as", "lift_table"))
_LONGEST_NAME = 24
_IDLE = 3  # the lines that have to be saved for each `_` among the results of a call


@dataclass(eq=False)
class _Site:
    """A method while it is searched: its computations by their numbers of structure."""

    label: str
    commented: bool
    """True if its formulas are written over its statements."""

    arguments: tuple[Argument, ...]
    outputs: list[Value]
    values: dict[int, Value] = field(default_factory=dict)
    parents: dict[int, frozenset[int]] = field(default_factory=dict)
    users: dict[int, set[int]] = field(default_factory=dict)
    results: set[int] = field(default_factory=set)

    def read(self, structures: Structures) -> None:
        """Fill the tables from the values that the outputs need; leaves are left out."""
        self.values, self.parents, self.users = {}, {}, {}
        for value in live_values(self.outputs):
            number = structures.of(value)
            if is_leaf(value):
                continue
            self.values.setdefault(number, value)
            parents = frozenset(structures.of(arg) for arg in value.args if not is_leaf(arg))
            self.parents[number] = parents
            for parent in parents:
                self.users.setdefault(parent, set()).add(number)
        self.results = {structures.of(value) for value in self.outputs if not is_leaf(value)}

    def leaving(self, inside: set[int]) -> set[int]:
        """The values among some that something else needs, or that are results of the method."""
        return {n for n in inside if n in self.results or self.users.get(n, set()) - inside}

    def lines(self, inside: Iterable[int]) -> int:
        """About how many lines the statements of some values take."""
        written = [self.values[n] for n in inside if self._has_line(n)]
        comments = {value.section for value in written} - {None} if self.commented else ()
        return len(written) + len(comments)

    def _has_line(self, number: int) -> bool:
        value = self.values[number]
        return value.op != "item" and (value.materialize or len(self.users.get(number, ())) > 1)


@dataclass(frozen=True)
class _Candidate:
    """Computations that some methods have in common, and those of them that are needed outside."""

    sites: tuple[_Site, ...]
    inside: frozenset[int]
    leaving: frozenset[int]
    idle: int
    """The number of results that methods do not need."""

    @cached_property
    def saved(self) -> int:
        """By how many lines the class gets shorter, less a price for results that are not needed."""
        first, *others = (site.lines(self.inside | self.leaving) for site in self.sites)
        own = max(first, *others)
        return first + sum(others) - own - _FRAME - len(self.sites) - _IDLE * self.idle


def share(plan: ModulePlan) -> None:
    """Move what several methods compute into procedures, the one that saves most lines first."""
    sites = _sites(plan)
    if sum(len(live_values(site.outputs)) for site in sites) > MOST_VALUES:
        return
    while True:
        structures = Structures()
        for site in sites:
            site.read(structures)
        found = max(_candidates(sites), key=lambda c: (c.saved, len(c.inside)), default=None)
        if found is None or found.saved < FEWEST_LINES:
            return
        procedure, site = _extracted(plan, found, structures)
        # One that was cut out of another stands before it: those that call it stand after it.
        names = [known.name for known in plan.procedures]
        callers = [names.index(caller) for caller in procedure.callers if caller in names]
        plan.procedures.insert(min(callers, default=len(names)), procedure)
        sites.append(site)


def is_leaf(value: Value) -> bool:
    """True if a value is written where it is used, and costs nothing."""
    return not operation(value.op).has_lines


def _sites(plan: ModulePlan) -> list[_Site]:
    """The methods that have statements of their own."""
    methods = [(m.name, m, True) for m in plan.objectives]
    methods += [(loss.name, loss.mean, False) for loss in plan.losses]
    if plan.terms is not None and not plan.terms_one_by_one:
        methods.append(("terms", plan.terms, True))
    if plan.log_prob is not None:
        methods.append(("log_prob", plan.log_prob, False))
    methods += [(f"log {label}", method, True) for label, method in plan.log_densities]
    methods += [(table.label, table.method, True) for table in plan.tables]
    methods += [(label, method, False) for label, method, _ in plan.mixtures]
    sites = [
        _Site(label, commented, m.arguments, [*(v for _, v in m.outputs), *(v for p in m.by_place for v in p.taken)])
        for label, m, commented in methods
        if m.same_as is None
    ]
    # A product whose experts may be left out is written in another way where they are.
    factors = [factor for factor in plan.factors if not factor.experts]
    return sites + [_Site(f.label, False, f.arguments, [v for _, v in f.parameters]) for f in factors]


def _candidates(sites: list[_Site]) -> Iterator[_Candidate]:
    """For each computation of several methods: all that it is made of, grown by what needs no more results."""
    where: dict[int, list[_Site]] = {}
    for site in sites:
        for number in site.values:
            where.setdefault(number, []).append(site)
    seen: set[Hashable] = set()
    for number, having in where.items():
        if len(having) < 2 or not any(_is_edge(site, number, where, having) for site in having):
            continue
        made_of = _made_of(having[0], number)
        for group in _groups(having, made_of):
            inside = _grown(made_of, group)
            key = inside, *(id(site) for site in group)
            if key not in seen:
                seen.add(key)
                yield from _candidate(group, inside)


def _groups(sites: list[_Site], inside: set[int]) -> Iterator[list[_Site]]:
    """All the methods that compute some values, and those among them that need the same of these."""
    yield sites
    by_need: dict[frozenset[int], list[_Site]] = {}
    for site in sites:
        by_need.setdefault(frozenset(site.leaving(inside)), []).append(site)
    if len(by_need) > 1:
        yield from (group for group in by_need.values() if len(group) > 1)


def _candidate(sites: list[_Site], inside: frozenset[int]) -> Iterator[_Candidate]:
    """A candidate, where its results are few and none is a tuple."""
    needed = [site.leaving({*inside}) for site in sites]
    leaving = frozenset[int]().union(*needed)
    divided = any(_has_parts(site, n) for site in sites for n in leaving)
    divided = divided or any(sites[0].values[n].op in _SHAPED for n in leaving)
    divided = divided or any(sites[0].values[n].region is not None for n in inside)  # a loop is not copied
    if 0 < len(leaving) <= MOST_RESULTS and not divided:
        yield _Candidate(tuple(sites), inside, leaving, sum(len(leaving - own) for own in needed))


def _is_edge(site: _Site, number: int, where: dict[int, list[_Site]], having: list[_Site]) -> bool:
    """True if a value is where what the methods have in common ends."""
    return number in site.results or any(len(where[user]) < len(having) for user in site.users.get(number, ()))


def _made_of(site: _Site, number: int) -> set[int]:
    """A computation and everything that it is made of."""
    found: set[int] = set()
    pending = [number]
    while pending:
        current = pending.pop()
        if current not in found:
            found.add(current)
            pending += site.parents[current]
    return found


def _grown(inside: set[int], sites: list[_Site]) -> frozenset[int]:
    """With what can be computed of it in all the methods, where no more results have to be given."""

    def leaving(found: set[int]) -> set[int]:
        return {n for site in sites for n in site.leaving(found)}

    results = leaving(inside)
    growing = True
    while growing:
        growing = False
        users = sorted({user for site in sites for n in results for user in site.users.get(n, ())} - inside)
        for user in users:
            common = all(user in site.values for site in sites)
            if not common or not sites[0].parents[user] <= inside:
                continue
            larger = inside | {user}
            given = leaving(larger)
            if len(given) <= len(results) or sites[0].values[user].op == "item":
                inside, results, growing = larger, given, True
                break
    return frozenset(inside)


def _has_parts(site: _Site, number: int) -> bool:
    """True if a value is a tuple, whose items are the results."""
    return any(site.values[user].op == "item" for user in site.users.get(number, ()))


# --- the rewriting ---


def _extracted(plan: ModulePlan, found: _Candidate, structures: Structures) -> tuple[Procedure, _Site]:
    """The procedure of a candidate; its results become results of a call in every method."""
    first = found.sites[0]
    order = [number for number in first.values if number in found.leaving]
    nameless = not all(first.values[number].hints for number in order)
    for site in found.sites:
        for number in order:
            for value in _at(site, number, structures):
                if not value.hints:
                    value.hints.append(_hint(value))
    copies = _copied([first.values[number] for number in order])
    wanted = {str(v.attributes[0]) for v in live_values(copies) if v.op == "argument"}
    arguments = tuple(argument for argument in first.arguments if argument.name in wanted)
    name = _name(plan, copies, nameless=nameless)
    callers = tuple(site.label for site in found.sites)
    for site in found.sites:
        _call(site, name, arguments, [_at(site, number, structures) for number in order])
    procedure = Procedure(name, callers, arguments, tuple(copies))
    return procedure, _Site(name, True, arguments, list(procedure.results))


def _at(site: _Site, number: int, structures: Structures) -> list[Value]:
    """The values of a method that compute one thing."""
    return [v for v in live_values(site.outputs) if not is_leaf(v) and structures.of(v) == number]


def _copied(results: list[Value]) -> list[Value]:
    """Values, and all that they are made of, as values of another method."""
    made: dict[int, Value] = {}
    for value in live_values(results):
        args = tuple(made[arg.number] for arg in value.args)
        made[value.number] = replace(value, args=args, number=len(made), hints=list(value.hints))
    return [made[value.number] for value in results]


def _call(site: _Site, name: str, arguments: tuple[Argument, ...], results: list[list[Value]]) -> None:
    """Let the results of a procedure be what a call of it gives."""
    live = live_values(site.outputs)
    known = {str(v.attributes[0]): v for v in live if v.op == "argument"}
    given = tuple(known[argument.name] for argument in arguments)
    origins = merged(*(value.origins for values in results for value in values))
    call = Value("procedure", given, (name, len(results)), (), False, (), -1, origins=origins)
    for position, values in enumerate(results):
        for value in values:
            if len(results) == 1:
                value.op, value.args, value.attributes = "procedure", given, (name, 1)
            else:
                value.op, value.args, value.attributes = "item", (call,), (position,)
            value.source, value.section, value.numbers = None, None, None
    # Leaves first, then each value as before, with the call before its results.
    live = [value for value in live_values(site.outputs) if value is not call]
    ordered = [value for value in live if is_leaf(value)]
    for value in (value for value in live if not is_leaf(value)):
        if value.op == "item" and value.args[0] is call and call not in ordered:
            ordered.append(call)
        ordered.append(value)
    for number, value in enumerate(ordered):
        value.number = number


def _hint(value: Value) -> str:
    """A name for a result that nobody named: that of what it is a part of."""
    while value.op in ("select", "squeeze", "neg"):
        (value,) = value.args
    return default_hint(value)


def _name(plan: ModulePlan, results: list[Value], *, nameless: bool) -> str:
    """`_draw_z` where a draw of z is among the results, otherwise after the results, or the first net where they have
    no names.
    """
    live = live_values(results)
    nets = [str(v.attributes[0]) for v in live if v.op in ("module", "body")]
    noise = [v.source[0][1] for v in live if operation(v.op).noise and v.source is not None]
    names = [value.hints[0] for value in results]
    drawn = [str(variable) for variable in dict.fromkeys(noise) if str(variable) in names]
    if drawn:
        wanted = "_".join(["_draw", *drawn])
    elif nameless and nets and len(results) > 1:
        wanted = f"_{nets[0]}_parts"
    else:
        wanted = "_".join(["", *dict.fromkeys(names)])
        wanted = wanted if len(wanted) <= _LONGEST_NAME else f"_{names[0]}_and_others"
    taken = {procedure.name for procedure in plan.procedures} | PRIVATE
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    return name
