"""The judge of some data points of sequences: the program written out for their length."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import torch
from torch import Tensor

from pgcompile.declare import build
from pgcompile.declare.conditions import conditioned
from pgcompile.diagnostics import InternalError, Sink
from pgcompile.inference.distributions import Resolver
from pgcompile.model.model import Model
from pgcompile.model.names import identifier
from pgcompile.model.variable import Variable
from pgcompile.objective.resolve import resolve_objectives
from pgcompile.objective.terms import Draw, DrawKey, Term, draws_of
from pgcompile.plan.values import InTurns, Value
from pgcompile.plan.values import Noise as Planned
from pgcompile.reference import Reference
from pgcompile.reference.draws import Noise
from pgcompile.reference.formulas import Formulas
from pgcompile.reference.index_reading import place_name
from pgcompile.reference.unrolled import unrolled
from pgcompile.syntax.places import places_of
from pgcompile.verification.harness import Harness
from pgcompile.verification.recording import Call, noise_of


@dataclass
class WrittenOut:
    """The judge of some rows.

    Args:
        harness: the module and its parameters.
        given: the number of places of each index in the data.
        lengths: how many of them these rows have.
        rows: the numbers of the rows.
        data: what the module is given, of all rows.
    """

    harness: Harness
    given: Mapping[str, int]
    lengths: Mapping[str, int]
    rows: list[int]
    data: Mapping[str, Tensor]
    model: Model = field(init=False)
    resolver: Resolver = field(init=False)
    terms: dict[str, Term] = field(init=False)
    observed: dict[str, Tensor] = field(init=False)
    bases: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        program, indices, spaces = self.harness.program, self.harness.model.indices, self.harness.model.spaces
        shapes = {found[0]: spaces[n].shape for n in indices.carried if n in spaces and (found := places_of(n))}
        tree = unrolled(conditioned(program.analysis.tree), self.lengths, shapes)
        sink = Sink(program.analysis.source)
        constants = {name: float(value) for name, value in self.harness.model.constants.items()}
        self.model, self.resolver = build(tree, sink, constants)
        self.terms = resolve_objectives(self.model, self.resolver, sink)
        if sink.has_errors:
            raise InternalError("the program written out has faults: " + "; ".join(d.message for d in sink.diagnostics))
        for name in indices.carried:
            if (split := places_of(name)) is not None and name not in indices.lags:
                for at in product(*(range(1, self.lengths[i] + 1) for i in indices.of(name))):
                    self.bases[place_name(split[0], at)] = name
        self.observed = self._observed()

    def _observed(self) -> dict[str, Tensor]:
        """The places of sequences as variables of their own."""
        found: dict[str, Tensor] = {}
        model = self.harness.model
        for name in model.variables:
            value = self.data.get(identifier(name))
            if value is None or name in model.indices.lags:
                continue
            split = places_of(name)
            if split is None:
                found[name] = value[self.rows]
                continue
            for at in product(*(range(self.lengths[i]) for i in model.indices.of(name))):
                found[place_name(split[0], tuple(k + 1 for k in at))] = place_of(value[self.rows], at)
            if f"{split[0]}_run" in self.model.spaces:
                (index,) = model.indices.of(name)
                found[f"{split[0]}_run"] = value[self.rows].narrow(1, 0, self.lengths[index])
        return {k: v for k, v in found.items() if k in self.model.spaces}

    def reference(
        self,
        replicates: int = 1,
        noise: dict[DrawKey, tuple[Noise, ...]] | None = None,
        observed: dict[str, Tensor] | None = None,
        *,
        shared: bool = False,
        integrates: bool = False,
    ) -> Reference:
        """The interpreter of the program written out."""
        return Reference(
            self.model,
            self.harness._modules(),
            self.harness._tensors(),
            self.observed if observed is None else observed,
            replicates,
            1 if noise else 200,
            self.harness._extern_factors(),
            noise or {},
            shared,
            integrates=integrates,
        )

    def _base(self, name: str) -> str:
        """The variable of the program that a name stands for a place of."""
        return self.bases.get(name, name)

    def value(self, reference: Reference, name: str) -> Tensor:
        """An objective, `[replicates, rows]`."""
        value = Formulas(reference, self.resolver, self.terms[name]).whole(name)
        return value.expand(*torch.broadcast_shapes(value.shape, (reference.replicates, len(self.rows))))

    def noise(self, name: str, runs: Sequence[Sequence[Call]], term: Term) -> dict[DrawKey, tuple[Noise, ...]]:
        """The noise of each draw at each place, for the terms of the program written out."""
        planned, at = self._in_order(self.harness.program.noise[name], {})
        found: dict[tuple[Variable, tuple[int, ...], Hashable], list[Noise]] = {}
        drawn = noise_of_places(planned, at, runs)
        for (owner, variable), places, noise in drawn:
            indices = self.harness.model.indices.of(variable.name)
            axes = [axis for axis in noise.axes if axis in self.given]
            for k in product(*(range(self.given[str(axis)]) for axis in axes)):
                here = {**places, **dict(zip(map(str, axes), k, strict=True))}
                picked = noise
                for axis in axes:
                    picked = _picked(picked, picked.axes.index(axis), here[str(axis)])
                where = tuple(here[i] + 1 for i in indices if i in here)
                found.setdefault((variable, where, _drawn_from(owner, variable, self._base)), []).append(picked)
        keyed: dict[DrawKey, tuple[Noise, ...]] = {}
        for draw in draws_of(term):
            for variable in draw.variables:
                for (own, spot, drawn_from), noises in found.items():
                    split = places_of(own.name)
                    name_here = place_name(split[0], spot) if split is not None else own.name
                    if name_here == variable.name and drawn_from == _drawn_from(draw, variable, self._base):
                        keyed[draw, variable] = tuple(_owned(n, draw, self.rows) for n in noises)
        return keyed

    def _in_order(self, planned: Sequence[Planned], places: dict[str, int]) -> tuple[list[Value], list[dict[str, int]]]:
        values: list[Value] = []
        at: list[dict[str, int]] = []
        for draw in planned:
            if isinstance(draw, InTurns):
                turns = range(self.given[draw.index])
                for k in reversed(turns) if draw.backwards else turns:
                    more, where = self._in_order(draw.noise, {**places, draw.index: k})
                    values += more
                    at += where
            else:
                values.append(draw)
                at.append(places)
        return values, at


def noise_of_places(
    planned: Sequence[Value], at: Sequence[dict[str, int]], runs: Sequence[Sequence[Call]]
) -> list[tuple[DrawKey, dict[str, int], Noise]]:
    """The noise of each planned draw, with the places at which it was made in turn."""
    found: list[tuple[DrawKey, dict[str, int], Noise]] = []
    groups: dict[tuple[tuple[str, int], ...], list[int]] = {}
    for position, places in enumerate(at):
        groups.setdefault(tuple(sorted(places.items())), []).append(position)
    for spot, positions in groups.items():
        part = noise_of([planned[i] for i in positions], [[calls[i] for i in positions] for calls in runs])
        found += [(key, dict(spot), noise) for key, noises in part.items() for noise in noises]
    return found


def place_of(value: Tensor, places: tuple[int, ...]) -> Tensor:
    """Some places of sequences, whose rows come first."""
    for place in places:
        value = value.select(1, place)
    return value


def _picked(noise: Noise, axis: int, place: int) -> Noise:
    """Noise at one place of an index."""
    at = 1 + axis

    def pick(tensor: Tensor) -> Tensor:
        return tensor.select(at, place)

    axes = (*noise.axes[:axis], *noise.axes[axis + 1 :])
    return Noise(noise.kind, pick(noise.value), tuple(map(pick, noise.arguments)), axes, noise.batched)


def _drawn_from(draw: Draw, variable: Variable, base: Callable[[str], str]) -> Hashable:
    """The identity of a draw of a variable: its factor, the samples, and the variables that are drawn with it."""
    atom = draw.atom_of(variable)
    together = frozenset(base(v.name) for v in draw.variables)
    return (atom.factor.name if atom is not None else "", draw.samples, together)


def _owned(noise: Noise, draw: Draw, rows: list[int]) -> Noise:
    """Noise of some rows whose samples are those of a draw of the program written out."""
    axes = tuple(draw if isinstance(axis, Draw) else axis for axis in noise.axes)

    def own(tensor: Tensor) -> Tensor:
        return tensor.index_select(1 + len(axes), torch.tensor(rows)) if noise.batched else tensor

    return Noise(noise.kind, own(noise.value), tuple(map(own, noise.arguments)), axes, noise.batched)
