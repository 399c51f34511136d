"""Factors at places: `p(x_t|z_t)` at each place, and `p(x_{1:T}|z_{1:T})` as the product of them all."""

from dataclasses import dataclass, replace

from pgcompile.diagnostics import InternalError
from pgcompile.reference.index_reading import IndexReading, Places, place_name
from pgcompile.syntax import tree
from pgcompile.syntax.subscripts import Literal, Shift, Slice, Subscript


@dataclass
class FactorsAtPlaces(IndexReading):
    """Names and factors of a program at some places of its indices."""

    def _grid(self, parts: tuple[Subscript, ...]) -> list[dict[str, int]]:
        places: list[dict[str, int]] = [{}]
        for part in parts:
            if isinstance(part, Shift) and part.index not in places[0]:
                places = [{**p, part.index: k} for p in places for k in range(1, self.lengths[part.index] + 1)]
        return places

    def _named(self, name: tree.Name, places: Places) -> tree.Name:
        found = self._split(name.id)
        if found is None:
            return name
        base, parts = found
        at = []
        for part in parts:
            match part:
                case Shift(index, offset):
                    at.append(places[index] + offset)
                case Literal(place, True):
                    index = self.carried[base][-1]
                    at.append(self.lengths[index] + place)
                case Literal(place):
                    at.append(place)
                case _:
                    raise InternalError(f"{name.id} is many places at once")
        shifts = [part for part in parts if isinstance(part, Shift)]
        if len(shifts) == len(parts) > 1:
            # What stands before the first place of one index is the same at all places of the others.
            outside = [k for part, k in zip(shifts, at, strict=True) if not 1 <= k <= self.lengths[part.index]]
            at = outside or at
        return tree.Name(place_name(base, tuple(at)), span=name.span)

    def _called(self, call: tree.Call, places: Places) -> tree.Expr:
        """A factor; of whole sequences, the product of its factors at all places."""
        whole = self._product(call, places)
        return self._one_factor(call, places) if whole is None else whole

    def _product(self, call: tree.Call, places: Places) -> tree.Expr | None:
        """The factors of all places, where a factor is written of whole sequences, or at no place."""
        targets = [(n, self._split(n)) for a in call.args for n in tree.names_in(a.value)]
        loose = [f for _, f in targets if f is not None and self._is_whole(f[1], places)]
        named = [n for n, f in targets if f is None and n in self.carried]
        if not loose and not named:
            return None
        found: dict[str, tree.Expr] = {}
        for name, split in targets:
            base = name if split is None else split[0]
            head = self.heads.get((call.name, base))
            if head is None:
                return None
            own = tuple(Shift(i) for i in self.carried.get(base, ()))
            for at in self._grid(own):
                made = self._one_factor(head, {**places, **at})
                found.setdefault(repr(made), made)
        every = tuple(found.values())
        return every[0] if len(every) == 1 else tree.Product(every, span=call.span)

    def _is_whole(self, parts: tuple[Subscript, ...], places: Places) -> bool:
        return any(isinstance(p, Slice) or (isinstance(p, Shift) and p.index not in places) for p in parts)

    def _one_factor(self, call: tree.Call, places: Places) -> tree.Call:

        def every(arguments: tuple[tree.Argument, ...]) -> tuple[tree.Argument, ...]:
            found = []
            for argument in arguments:
                name = argument.value
                if isinstance(name, tree.Call):  # observed(x_t)
                    found += [replace(argument, value=replace(name, args=(inner,))) for inner in every(name.args)]
                    continue
                assert isinstance(name, tree.Name)
                split = self._split(name.id)
                reach = split[1][0].reach(self.indices) if split and isinstance(split[1][0], Slice) else None
                if split is not None and reach is not None and reach[1] != "all":
                    found.append(tree.Argument(None, tree.Name(f"{split[0]}_run", span=name.span)))
                    continue
                if split is None and name.id in self.carried:
                    split = (name.id, tuple(Slice("1:T") for _ in self.carried[name.id]))
                if split is not None and any(isinstance(p, Slice) for p in split[1]):
                    index = self.carried[split[0]][0]
                    for k in range(1, self.lengths[index] + 1):
                        found.append(tree.Argument(None, tree.Name(place_name(split[0], (k,)), span=name.span)))
                elif (here := self._named(name, places)).id not in self.tensors:  # a parameter is no condition
                    found.append(replace(argument, value=here))
            return tuple(found)

        made = replace(
            call, args=every(call.args), given=(every(call.given) or None) if call.given is not None else None
        )
        for argument, own in zip(call.args, made.args, strict=False):
            names = tree.names_in(argument.value), tree.names_in(own.value)
            base = self._base(min(names[0])) if names[0] else ""
            first = self.firsts.get((call.name, base))
            if first is not None and names[1] == {place_name(base, (1,))}:
                return replace(made, given=first.given and every(first.given))
        return made
