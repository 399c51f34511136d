"""Checks of what speaks of whole sequences, against the program written out place by place.

The module is given sequences of one, two and five places, and the judge the same numbers as variables of their own.
Noise that the module drew for all places is handed over place by place.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pgcompile.declare import build
from pgcompile.diagnostics import InternalError, Sink
from pgcompile.inference.generative import generative_part
from pgcompile.model.distributions import Distribution
from pgcompile.model.names import identifier
from pgcompile.model.variable import Variable
from pgcompile.objective.resolve import resolve_objectives
from pgcompile.objective.terms import OBSERVED, Draw, DrawKey, Term, draws_of
from pgcompile.plan.axes import length_name
from pgcompile.plan.values import InTurns, Value
from pgcompile.plan.values import Noise as Planned
from pgcompile.reference import Reference
from pgcompile.reference.draws import Noise
from pgcompile.reference.formulas import Formulas
from pgcompile.reference.spaces import values_in
from pgcompile.reference.unrolled import place_name, unrolled
from pgcompile.syntax.places import places_of
from pgcompile.verification.checks import EXACT, Z_BOUND, Check, kolmogorov_smirnov, relative, score
from pgcompile.verification.harness import BATCH, Harness
from pgcompile.verification.recording import Call, noise_of, recording

if TYPE_CHECKING:
    from pgcompile.compiled import Compiled

LENGTHS = (1, 2, 5)
_TRIES = 4
_GROUPS, _EACH = 12, 20
_SAMPLES = 4000


@dataclass
class Sequences:
    """One program at one length of its sequences.

    Args:
        harness: the module and its parameters.
        length: the number of places of every index without a size of its own.
    """

    harness: Harness
    length: int
    differences: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        program = self.program
        indices = self.harness.model.indices
        self.lengths = {name: known.size or self.length for name, known in indices.ranges.items()}
        spaces = self.harness.model.spaces
        shapes = {found[0]: spaces[n].shape for n in indices.carried if n in spaces and (found := places_of(n))}
        tree = unrolled(program.analysis.tree, self.lengths, shapes)
        sink = Sink(program.analysis.source)
        constants = {name: float(value) for name, value in self.harness.model.constants.items()}
        self.model, self.resolver = build(tree, sink, constants)
        self.terms = resolve_objectives(self.model, self.resolver, sink)
        if sink.has_errors:
            raise InternalError("the program written out has faults: " + "; ".join(d.message for d in sink.diagnostics))
        self.data, self.observed = self._data()

    @property
    def program(self) -> Compiled:
        """The program."""
        return self.harness.program

    def _data(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Sequences for the module, and their places for the judge."""
        model, generator = self.harness.model, torch.Generator().manual_seed(self.length)
        whole: dict[str, Tensor] = {}
        places: dict[str, Tensor] = {}
        for name in model.variables:
            space = model.spaces.get(name)
            if space is None or name in model.indices.lags:
                continue
            carried = model.indices.of(name)
            sizes = tuple(self.lengths[i] for i in carried)
            shape = (BATCH, *sizes, *space.shape)
            value = values_in(space.kind, shape, space.categories, generator)
            whole[identifier(name)] = value
            if not carried:
                places[name] = value
                continue
            found = places_of(name)
            assert found is not None
            for at in product(*(range(size) for size in sizes)):
                places[place_name(found[0], tuple(k + 1 for k in at))] = _at(value, at)
        return whole, {k: v for k, v in places.items() if k in self.model.spaces}

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

    # --- the module ---

    def call(self, name: str) -> Any:
        """A method on the data that it asks for."""
        method = getattr(self.harness.module, identifier(name))
        values = {**self.data, **{identifier(k): v for k, v in self.harness.inputs.items()}}
        wanted = inspect.signature(method).parameters
        return method(**{k: v for k, v in values.items() if k in wanted})

    def noise(self, name: str, runs: Sequence[Sequence[Call]], term: Term) -> dict[DrawKey, tuple[Noise, ...]]:
        """The noise of each draw at each place, for the terms of the program written out."""
        planned, at = self._in_order(self.program.noise[name], {})
        found: dict[tuple[Variable, tuple[int, ...], Hashable], list[Noise]] = {}
        drawn = noise_of_places(planned, at, runs)
        for (owner, variable), places, noise in drawn:
            indices = self.harness.model.indices.of(variable.name)
            axes = [axis for axis in noise.axes if axis in self.lengths]
            for k in product(*(range(self.lengths[str(axis)]) for axis in axes)):
                here = {**places, **dict(zip(map(str, axes), k, strict=True))}
                picked = noise
                for axis in axes:
                    picked = _picked(picked, picked.axes.index(axis), here[str(axis)])
                where = tuple(here[i] + 1 for i in indices if i in here)
                found.setdefault((variable, where, _drawn_from(owner, variable)), []).append(picked)
        keyed: dict[DrawKey, tuple[Noise, ...]] = {}
        for draw in draws_of(term):
            for variable in draw.variables:
                for (own, spot, drawn_from), noises in found.items():
                    split = places_of(own.name)
                    name_here = place_name(split[0], spot) if split is not None else own.name
                    if name_here == variable.name and drawn_from == _drawn_from(draw, variable):
                        keyed[draw, variable] = tuple(_owned(n, draw) for n in noises)
        return keyed

    def _in_order(self, planned: Sequence[Planned], places: dict[str, int]) -> tuple[list[Value], list[dict[str, int]]]:
        values: list[Value] = []
        at: list[dict[str, int]] = []
        for draw in planned:
            if isinstance(draw, InTurns):
                turns = range(self.lengths[draw.index])
                for k in reversed(turns) if draw.backwards else turns:
                    more, where = self._in_order(draw.noise, {**places, draw.index: k})
                    values += more
                    at += where
            else:
                values.append(draw)
                at.append(places)
        return values, at

    # --- checks ---

    def checks(self) -> Iterator[Check]:
        """The joint log-density, the objectives, the losses and the terms."""
        module, suffix = self.harness.module, f" of {self.length} places"
        part = generative_part(self.model, self.resolver)
        if hasattr(module, "log_prob") and part is not None:
            found, expected = self.call("log_prob"), self.reference().log_density(part, OBSERVED)
            yield Check(f"log_prob{suffix}", relative(found, expected), EXACT)
            yield self._slopes(f"gradient of log_prob{suffix}", found, expected)
        for name in self.program.analysis.objectives:
            yield from self._objective(f"{name}{suffix}", name, "", 0, name)
        if hasattr(module, "sample") and part is not None and self.length == LENGTHS[1]:
            yield from self._sampler(part)
        lines = [o for o in self.harness.model.optimise if o.objective in self.terms]
        for method in self.program.losses:
            line = next((o for o in lines if method in ("loss", f"loss_{o.objective}")), None)
            if line is not None:
                sign = -1 if line.direction == "maximize" else 1
                yield from self._objective(f"{method}{suffix}", method, "", sign, line.objective)
        if "terms" in self.program.noise and len(self.terms) > 1:
            for name in self.program.analysis.objectives:
                yield from self._objective(f"terms: {name}{suffix}", "terms", name, 0, name)

    def _sampler(self, part: Distribution) -> Iterator[Check]:
        """Draws of every variable at every place, and of random combinations of all, against the judge's own."""
        conditions = [v.name for v in part.parents if v.name not in self.model.deterministic]
        given = {n: self.data[n][0] for n in self.data if self._is_condition(n, conditions)}
        inputs = self.harness.inputs_of(part)
        method = self.harness.module.sample
        asked = inspect.signature(method).parameters
        sizes = {length_name(known): self.lengths[i] for i, known in self.harness.model.indices.ranges.items()}
        with torch.no_grad():
            found = method((_SAMPLES,), {**given, **inputs} or None, **{k: v for k, v in sizes.items() if k in asked})
            observed = {v: value[:1] for v, value in self.observed.items() if v in conditions}
            reference = self.reference(observed=observed)
            draw = Draw(part, _SAMPLES, OBSERVED)
            inside = OBSERVED.extended(draw.variables, draw)
            columns: list[tuple[Tensor, Tensor]] = []
            for name in self.harness.model.variables:
                split = places_of(name)
                if identifier(name) not in found or name in self.harness.model.deterministic:
                    continue
                mine = found[identifier(name)]
                grid = product(*(range(self.lengths[i]) for i in self.harness.model.indices.of(name)))
                for at in grid:
                    own = place_name(split[0], tuple(k + 1 for k in at)) if split is not None else name
                    if Variable(own) not in part.targets:
                        continue
                    theirs = reference.variable(Variable(own), inside).tensor.reshape(_SAMPLES, -1)
                    here = _at(mine, at).reshape(_SAMPLES, -1)
                    columns += [(here[:, i].double(), theirs[:, i].double()) for i in range(min(here.shape[1], 4))]
        if columns:
            columns += _combined(columns)
            distances = [kolmogorov_smirnov(a, b) for a, b in columns]
            yield Check(f"sample of {self.length} places", max(d for d, _ in distances), distances[0][1], "KS")

    def _is_condition(self, name: str, conditions: list[str]) -> bool:
        for own in self.harness.model.variables:
            if identifier(own) == name:
                split = places_of(own)
                base = own if split is None else place_name(split[0], (1,) * len(split[1]))
                return base in conditions
        return False

    def _objective(self, what: str, method: str, key: str, sign: int, name: str) -> Iterator[Check]:
        """Draw by draw, with divergences averaged over the same draws or known; else by the means of many runs."""
        term = self.terms[name]
        results, calls = [], []
        for _ in range(_TRIES):
            with recording(self.harness.module) as made:
                result = self.call(method)
            results.append(result[key] if key else result)
            calls.append(made)
        noise = self.noise(method, calls, term)
        found = torch.stack([r.reshape(1) if sign else r for r in results])
        tried = []
        for integrates in (True, False):
            expected = self._term(
                self.reference(_TRIES, noise, shared=not integrates, integrates=integrates), name, sign
            )
            exact = [
                Check(what, relative(found, expected), EXACT),
                self._slopes(f"gradient of {what}", found, expected),
            ]
            tried.append(exact)
            if all(check.passed for check in exact):
                yield from exact
                return
        if all(draw.samples == 1 for draw in draws_of(term)) and not self.program.closed_in(method):
            yield from tried[1]
            return
        yield from self._by_means(what, method, key, sign, name, term)

    def _by_means(self, what: str, method: str, key: str, sign: int, name: str, term: Term) -> Iterator[Check]:
        differences, slopes, sizes, slope_sizes = [], [], [], []
        for _ in range(_GROUPS):
            results, calls = [], []
            for _ in range(_EACH):
                with recording(self.harness.module) as made:
                    result = self.call(method)
                results.append(result[key] if key else result)
                calls.append(made)
            found = torch.stack([r.reshape(1) if sign else r for r in results]).mean(0)
            noise = self.noise(method, calls, term)
            expected = self._term(self.reference(_EACH, noise, shared=True), name, sign).mean(0)
            mine, theirs = self.harness.slopes(found.mean()), self.harness.slopes(expected.mean())
            differences.append((found - expected).detach())
            slopes.append(mine - theirs)
            sizes.append(expected.detach())
            slope_sizes.append(theirs)
        values = score(torch.stack(differences), torch.stack(sizes).mean(0).abs())
        gradients = score(torch.stack(slopes), torch.stack(slope_sizes).mean(0).abs())
        yield Check(what, float(values.max()), Z_BOUND, "z")
        yield Check(f"gradient of {what}", float(gradients.max()) if gradients.numel() else 0.0, Z_BOUND, "z")

    def _term(self, reference: Reference, name: str, sign: int) -> Tensor:
        formulas = Formulas(reference, self.resolver, self.terms[name])
        value = formulas.whole(name)
        value = value.expand(*torch.broadcast_shapes(value.shape, (reference.replicates, BATCH)))
        return sign * value.mean(-1, keepdim=True) if sign else value

    def _slopes(self, what: str, found: Tensor, expected: Tensor) -> Check:
        found, expected = torch.broadcast_tensors(found, expected)
        weights = torch.randn(found.shape, dtype=torch.float64)
        mine, theirs = (self.harness.slopes((weights * value).sum(), again=True) for value in (found, expected))
        worst = [relative(a, b) for a, b in zip(mine, theirs, strict=True)]
        return Check(what, max(worst, default=0.0), EXACT)


def _combined(columns: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """Random combinations of all columns, each in units of its own spread."""
    mine, theirs = (torch.stack(side) for side in zip(*columns, strict=True))
    centre, spread = theirs.mean(1, keepdim=True), theirs.std(1, keepdim=True) + 1e-9
    weights = torch.randn(8, len(columns), dtype=torch.float64)
    return list(zip(weights @ ((mine - centre) / spread), weights @ ((theirs - centre) / spread), strict=True))


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


def _at(value: Tensor, places: tuple[int, ...]) -> Tensor:
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


def _drawn_from(draw: Draw, variable: Variable) -> Hashable:
    """What tells the draws of a variable apart: the name of its factor and the number of samples."""
    atom = draw.atom_of(variable)
    return (atom.factor.name if atom is not None else "", draw.samples)


def _owned(noise: Noise, draw: Draw) -> Noise:
    """Noise whose samples are those of a draw of the program written out."""
    axes = tuple(draw if isinstance(axis, Draw) else axis for axis in noise.axes)
    return Noise(noise.kind, noise.value, noise.arguments, axes, noise.batched)
