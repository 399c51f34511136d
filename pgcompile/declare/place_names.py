"""Names with subscripts: templates, other places, runs of places, whole sequences."""

from pgcompile.declare.common_starts import common_name
from pgcompile.diagnostics import Sink, Span, nearest
from pgcompile.model.indices import Indices, Lag
from pgcompile.syntax import tree
from pgcompile.syntax.places import place_name
from pgcompile.syntax.subscripts import Literal, Shift, Slice, subscripts


class PlaceNames:
    """Reads names.

    Args:
        indices: gets what the names stand for.
        sink: where faults go.

    `bases` are the indices of each variable that has some, `outside` the names of places that no index has.
    """

    def __init__(self, indices: Indices, sink: Sink) -> None:
        self.indices = indices
        self.sink = sink
        self.bases: dict[str, tuple[str, ...]] = {}
        self.outside: set[str] = set()

    def run(self, expr: tree.Expr) -> tuple[str, str, str] | None:
        """The variable, the index and the reach of `x_{<t}`."""
        found = subscripts(expr.id, self.indices) if isinstance(expr, tree.Name) else None
        if found is None or len(found[1]) != 1 or not isinstance(found[1][0], Slice):
            return None
        reach = found[1][0].reach(self.indices)
        return None if reach is None else (found[0], *reach)

    def run_name(self, run: tuple[str, str, str], span: Span) -> str:
        base, index, reach = run
        high = self.indices.ranges[index].high
        end = high.id if isinstance(high, tree.Name) else high.text if isinstance(high, tree.Number) else "T"
        name = f"{base}_{{{ {'all': f'1:{end}', 'here': f'1:{index}', 'past': f'<{index}'}[reach] }}}"
        self.indices.carried.setdefault(name, (index,))
        lag = Lag(self.placed(base, ((index, 0),), span), index, 0, reach=reach, span=span)
        self.indices.lags.setdefault(name, lag)
        return name

    def whole(self, name: tree.Name) -> tuple[str, str] | None:
        """The template and the index of `x_{1:T}`, and of `x` where no other variable has that name."""
        found = subscripts(name.id, self.indices)
        if found is None:
            carried = self.bases.get(name.id)
            if carried is None or len(carried) != 1:
                return None
            return self.placed(name.id, tuple((i, 0) for i in carried), name.span), carried[0]
        base, (part, *_) = found
        index = next((i for i, r in self.indices.ranges.items() if isinstance(part, Slice) and part.is_all(r)), None)
        if index is None or len(found[1]) > 1:
            return None
        return self.placed(base, ((index, 0),), name.span), index

    def name(self, name: tree.Name) -> tree.Name:
        """A name as that of a template."""
        found = subscripts(name.id, self.indices, self.bases)
        if (start := common_name(name.id, self.indices, self.bases)) is not None:
            self.sink.add(
                "PGC010",
                name.span,
                f"{name.id} is the start of each place of another index, which is not part of this version",
                help=f"start all of them alike: `{start} = 0`, or from a parameter, `param {start} : real`",
            )
            return name
        if found is None:
            if name.id.endswith("}"):
                self._report_undeclared(name)
            return name
        base, parts = found
        shifts = [part for part in parts if isinstance(part, Shift)]
        if len(shifts) == len(parts):
            return tree.Name(self.placed(base, tuple((s.index, s.offset) for s in shifts), name.span), span=name.span)
        if len(parts) == 1 and isinstance(parts[0], Literal):
            outside = parts[0].place >= 1 if parts[0].end else parts[0].place < 1
            if outside:
                self.outside.add(parts[0].named(base))
                return tree.Name(parts[0].named(base), span=name.span)
            return self._one_place(name, base, parts[0])
        self.sink.add(
            "PGC010",
            name.span,
            f"{name.id} in a formula is not part of this version: it is many places at once",
            help="carry what is needed of them: `h_t = f(x_t, h_{t-1})`",
        )
        return name

    def _one_place(self, name: tree.Name, base: str, at: Literal) -> tree.Name:
        """`z_3` or `z_T` in a formula, which has no index."""
        carried = self.bases[base]
        index = self.indices.ranges[carried[0]]
        if index.size is not None and at.place > index.size:
            message = f"{name.id} is outside 1..{index.size}, the places of {index.name}"
            self.sink.add("PGC118", name.span, message, help=f"write a place from 1 to {index.size}")
            return name
        if len(carried) > 1 or (index.padded and not at.end and at.place > 1):
            what = "of several indices" if len(carried) > 1 else "of padded sequences, which may end before it,"
            self.sink.add(
                "PGC010",
                name.span,
                f"one place {what} in a formula is not part of this version",
                help=f"refer to {base}_{index.name} or {base}_{{{index.name}-1}}",
            )
            return name
        end = index.high.id if isinstance(index.high, tree.Name) else "T"
        found = f"{base}_{{={end if at.end else at.place}}}"
        here = self.placed(base, ((index.name, 0),), name.span)
        position = -1 if at.end else at.place - 1
        self.indices.lags.setdefault(found, Lag(here, index.name, position, reach="one", span=name.span))
        return tree.Name(found, span=name.span)

    def at_first(self, name: tree.Name) -> tree.Name:
        """A name in a factor of the first place: z_1 is z_t there."""
        found = subscripts(name.id, self.indices, self.bases)
        if found is None or found[1] != (Literal(1),):
            return self.name(name)
        return tree.Name(self.placed(found[0], tuple((i, 0) for i in self.bases[found[0]]), name.span), span=name.span)

    def placed(self, base: str, places: tuple[tuple[str, int], ...], span: Span) -> str:
        """The name of a template, which is known from now on."""
        here = place_name(base, tuple((index, 0) for index, _ in places))
        self.indices.carried.setdefault(here, tuple(index for index, _ in places))
        known = self.indices.carried[here]
        moved = [(index, offset) for index, offset in places if offset]
        if not moved:
            return here
        name = place_name(base, places)
        self.indices.carried.setdefault(name, known)
        if len(moved) > 1:
            message = f"{name} is another place of two indices at once, which is not part of this version"
            self.sink.add("PGC010", span, message, help="refer to another place of one index")
        if self.indices.ranges[moved[0][0]].of_data and name not in self.indices.lags:
            index = moved[0][0]
            message = f"{name} is another row of the data, whose order is that of a batch"
            self.sink.add("PGC118", span, message, help=f"write `index {index} in 1..T`, where each row is a sequence")
        self.indices.lags.setdefault(name, Lag(here, moved[0][0], moved[0][1], span=span))
        return name

    def _report_undeclared(self, name: tree.Name) -> None:
        inside = name.id[name.id.index("{") + 1 : -1]
        word = "".join(c if c.isalnum() else " " for c in inside).split()
        letters = [w for w in word if not w.isdigit()]
        close = nearest(letters[0], self.indices.ranges) if letters and self.indices.ranges else None
        wanted = letters[0] if letters else "t"
        self.sink.add(
            "PGC117",
            name.span,
            f"{name.id} is at a place of an index, and {wanted} is none",
            help=f"did you mean {close}?" if close else f"declare it: `index {wanted} in 1..T`",
        )
