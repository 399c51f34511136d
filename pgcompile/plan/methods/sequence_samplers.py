"""The sampler of a model with indices: what is shared, then place after place, or all places of plates at once."""

from dataclasses import dataclass
from fractions import Fraction

from pgcompile.inference.algebra import order_atoms
from pgcompile.model.distributions import Distribution, names_of
from pgcompile.model.factors import Deterministic, Factor, FactorInstance, base_name
from pgcompile.model.indices import Lag
from pgcompile.model.kinds import expressions_of
from pgcompile.model.literals import evaluate
from pgcompile.plan.methods.description import Carry, FactorMethod, SampleStep, SequenceSampler
from pgcompile.plan.methods.maker import MethodMaker
from pgcompile.plan.methods.samplers import conditions_of, step_of, with_deterministic
from pgcompile.syntax import tree


def sequence_sampler_of(
    methods: MethodMaker, generative: Distribution, factors: list[FactorMethod]
) -> SequenceSampler | None:
    """The sampler of a model with indices.

    None where it would have to go both ways through an index, or through two indices one inside the other.
    """
    indices = methods.model.indices
    by_factor = {method.factor: method for method in factors if not method.first}
    atoms = order_atoms(generative)
    order = with_deterministic(methods, atoms, {name for atom in atoms for name in names_of(atom)[0]})
    parts = _parts(methods, order)
    if parts is None:
        return None
    steps = {
        name: step_of(methods, item, by_factor, one_place=name not in parts.together)
        for item in parts.order
        for name in names_of(item)[0][:1]
    }
    carrying = [*(name for name in steps if indices.of(name)), *parts.conditions]
    plates = tuple(i for i in indices.ranges if i != parts.time and any(i in indices.of(name) for name in carrying))
    if parts.together and parts.time is not None and plates:
        return None  # their places stand in another order than those of the loop
    looped = [name for name in steps if parts.time in indices.of(name)]
    return SequenceSampler(
        generative.spelled,
        tuple(step for name, step in steps.items() if name in parts.shared),
        tuple(step for name, step in steps.items() if name not in (*parts.shared, *parts.late)),
        tuple(step for name, step in steps.items() if name in parts.late),
        tuple((name, lag.of, lag.offset) for name, lag in parts.ones.items()),
        tuple(dict.fromkeys(p for n in parts.together for p in steps[n].parents if p in looped)),
        parts.time,
        plates,
        _carried(methods, [name for name, lag in parts.lags.items() if not lag.reach]),
        _guides(methods, factors, {n for n in steps if indices.of(n) and steps[n].factor is not None}),
        _firsts(methods, factors, {(a.factor.name, a.factor.targets) for a in atoms}),
        tuple(v for v in methods.model.variables if v in parts.conditions),
        tuple(dict.fromkeys(i for step in steps.values() for i in step.inputs)),
    )


@dataclass(frozen=True)
class _Parts:
    """What is drawn before, along and after an index.

    Args:
        order: everything that is drawn or computed, parents first.
        lags: the names of other places that it uses.
        ones: those among them that are one place.
        together: the variables that take all places of an index.
        shared: the variables that come first.
        late: the variables that come when all places are drawn.
        conditions: the variables that must be given.
        time: the index that is gone through place by place.
    """

    order: "tuple[FactorInstance | Factor, ...]"
    lags: dict[str, Lag]
    ones: dict[str, Lag]
    together: set[str]
    shared: set[str]
    late: set[str]
    conditions: set[str]
    time: str | None


def _parts(methods: MethodMaker, order: "list[FactorInstance | Factor]") -> _Parts | None:
    """The parts of a model; None where they cannot be drawn one after another."""
    indices = methods.model.indices
    made = [name for item in order for name in names_of(item)[0]]
    used = {p for item in order for p in names_of(item)[1]}
    lags = {name: lag for name, lag in indices.lags.items() if name in used}
    ones = {name: lag for name, lag in lags.items() if lag.reach == "one"}
    times = dict.fromkeys(lag.index for name, lag in lags.items() if name not in ones)
    behind = any((lag.offset > 0 and not lag.reach) or lag.reach == "all" for lag in lags.values())
    if len(times) > 1 or behind or any(lag.reach and lag.of not in made for lag in lags.values()):
        return None
    runs = {name for name, lag in lags.items() if lag.is_run}
    if any(isinstance(item, Factor) and runs & {*item.parents} for item in order):
        return None  # a formula of a run is computed where all places are known
    time = next(iter(times), None)
    together = {n for item in order if _takes_all_places(item) for n in names_of(item)[0]}
    # What is computed from given places alone comes first, the rest when all places are drawn.
    last = together if times else together & _descendants(order, {name for name in made if indices.of(name)})
    late = last | _descendants(order, {*ones} | last)
    if any(indices.of(name) for name in late):
        return None  # a place that needs a later one, or an end that is not known yet
    order, starts = _with_starts(methods, order, lags)
    known = {name for item in order for name in names_of(item)[0]} | {*made}
    conditions = conditions_of(order, {*made}) - lags.keys()
    conditions |= {lag.of for lag in lags.values() if lag.of not in known}
    conditions |= {s for s in starts if s not in known and s not in methods.model.tensors}
    # What does not go along the sequence, a plate's variables too, comes before it.
    apart = {name for name in known - late if (time not in indices.of(name) if time else not indices.of(name))}
    if time is not None and apart & _descendants(order, known - apart - late):
        return None
    return _Parts(tuple(order), lags, ones, together, apart, late, conditions, time)


def _with_starts(
    methods: MethodMaker, order: "list[FactorInstance | Factor]", lags: dict[str, Lag]
) -> "tuple[list[FactorInstance | Factor], list[str]]":
    """What is drawn and computed, with the formulas that recurrences start from and without numbers; the starts."""
    named = [s.id for lag in lags.values() for s in lag.starts if isinstance(s, tree.Name)]
    starts = [s for s in named if _literal(methods, s) is None]
    made = {name for item in order for name in names_of(item)[0]}
    missing = [methods.model.deterministic[s] for s in starts if s in methods.model.deterministic and s not in made]
    literals = [i for i in order if isinstance(i, Factor) and _literal(methods, i.targets[0]) is not None]
    return [*dict.fromkeys(missing), *(item for item in order if item not in literals)], starts


def _takes_all_places(item: "FactorInstance | Factor") -> bool:
    """True of a deterministic variable that sums over the places of an index."""
    if not isinstance(item, Factor):
        return False
    return any(isinstance(node, tree.OverIndex) for node in tree.walk(*expressions_of(item)))


def _descendants(order: "list[FactorInstance | Factor]", names: set[str]) -> set[str]:
    """Variables computed from some variables."""
    found: set[str] = set()
    for item in order:
        targets, parents = names_of(item)
        if (names | found) & {*parents}:
            found |= {*targets}
    return found


def _literal(methods: MethodMaker, name: str) -> Fraction | None:
    """The number that a deterministic variable is, where it is one."""
    factor = methods.model.deterministic.get(name)
    if factor is None or not isinstance(factor.definition, Deterministic) or factor.definition.bindings:
        return None
    found = evaluate(factor.definition.expr, methods.model.constants)
    return found if isinstance(found, Fraction) else None


def _carried(methods: MethodMaker, names: list[str]) -> tuple[Carry, ...]:
    """Carried variables, the farthest first, so that each takes the value of the next before that changes."""
    indices = methods.model.indices
    found: list[Carry] = []
    bases = dict.fromkeys(indices.lags[n].of for n in names)
    for base in bases:
        own = {-lag.offset: (name, lag) for name, lag in indices.lags_of(base) if not lag.reach}
        farthest = max(own)
        starts = own[farthest][1].starts
        for distance in range(farthest, 0, -1):
            name = own[distance][0] if distance in own else f"{base}_back_{distance}"
            nearer = own[distance - 1][0] if distance - 1 in own else f"{base}_back_{distance - 1}"
            start = starts[farthest - distance]
            named = start.id if isinstance(start, tree.Name) else None
            written = evaluate(start, methods.model.constants)
            number = _literal(methods, named) if named is not None else written
            if isinstance(number, Fraction):
                named = None
            found.append(
                Carry(
                    name,
                    base if distance == 1 else nearer,
                    named,
                    float(number) if isinstance(number, Fraction) else 0.0,
                )
            )
    return tuple(found)


def _guides(methods: MethodMaker, factors: list[FactorMethod], drawn: set[str]) -> tuple[tuple[str, SampleStep], ...]:
    """A factor of the posterior for each drawn variable that has one over what a place may know."""
    found = []
    later = {name for name, lag in methods.model.indices.lags.items() if lag.offset > 0 or lag.is_run or lag.reach}
    for method in factors:
        factor = method.factor
        if base_name(factor.name) == "p" or len(factor.targets) != 1 or factor.targets[0] not in drawn:
            continue
        if not {*factor.parents} & later:
            found.append(
                (factor.targets[0], step_of(methods, FactorInstance(factor), {factor: method}, one_place=True))
            )
    return tuple(found)


def _firsts(
    methods: MethodMaker, factors: list[FactorMethod], generated: set[tuple[str, tuple[str, ...]]]
) -> tuple[tuple[str, SampleStep], ...]:
    found = []
    for method in factors:
        if method.first and (method.factor.name, method.factor.targets) in generated:
            factor: Factor = method.factor
            found.append(
                (factor.targets[0], step_of(methods, FactorInstance(factor), {factor: method}, one_place=True))
            )
    return tuple(found)
