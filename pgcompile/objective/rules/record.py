"""Notes and steps for the draws that are left."""

from typing import TYPE_CHECKING

from sympy import Expr

from pgcompile.inference.elimination import states
from pgcompile.model.variable import Variable, shown
from pgcompile.objective.terms import Draw

if TYPE_CHECKING:
    from pgcompile.objective.rules.state import Rewriting


def record_sampling(
    state: "Rewriting", draw: Draw, pieces: list[Expr], needed: set[Variable], *, logarithm: bool = False
) -> None:
    """Record how an expectation is estimated: by enumeration, by samples, with a score function."""
    if draw.rows:
        what = f"{draw.rows} over {shown(draw.variables)}"
        state.step("rows of the batch", what, "a table of all pairs of rows", "every row is compared with every other")
        return
    labels = [state.label(s) for piece in pieces for s in sorted(piece.free_symbols, key=str) if s in state.leaves]
    what = f"E_{{{draw.distribution.spelled}}}[{', '.join(dict.fromkeys(labels))}]"
    if logarithm:
        mean = f"log E_{{{draw.distribution.spelled}}}[exp({', '.join(dict.fromkeys(labels))})]"
        state.step("log-sum-exp", mean, "a log-sum-exp of log-densities", "no density is ever exponentiated alone")
    enumerated = [v for v in draw.enumerated if v in needed]
    scored = [v for v in draw.scored if v in needed]
    if enumerated:
        sizes = [states(draw.atom_of(v), state.model) or 0 for v in enumerated]  # type: ignore[arg-type]
        values = " x ".join(map(str, sizes))
        state.step("enumeration", what, f"a sum over {shown(enumerated)}: {values} values", "they are finitely many")
    drawn = [v for v in draw.variables if v in needed and v not in enumerated]
    if not drawn:
        return
    word = "sample" if scored or draw.relaxed else "pathwise sample"
    count = f"one {word}" if draw.samples == 1 else f"{draw.samples} {word}s"
    why = "its expectation is not known in closed form"
    if scored:
        baseline = draw.estimator.baseline
        less = "" if draw.samples == 1 else ", less the mean of the other draws"
        less = less if baseline is None else f", less the baseline {state.text(baseline)}"
        why += f"; draws of {shown(scored)} pass no gradient: a score function carries it{less}"
    if draw.relaxed:
        why += f"; {shown(draw.relaxed)} is replaced by a relaxation, whose gradient is biased"
    state.step("sampling" if word == "sample" else "pathwise sampling", what, f"{count} of {shown(drawn)}", why)
    note_plan(state, draw, scored)


def note_plan(state: "Rewriting", draw: Draw, scored: list[Variable]) -> None:
    """The default plan of a discrete draw is worth a note: it costs several draws."""
    objective = state.model.objectives.get(state.name)
    if not scored or not draw.unasked or draw.estimator.baseline is not None or objective is None:
        return
    state.sink.add(
        "N106",
        objective.span,
        f"{state.name} draws {shown(scored)} {draw.samples} times: its gradient is a score function, "
        "less the mean of the other draws",
        help="choose with E_{q; samples=8}, or give baseline=b(...); relax=gumbel is differentiable, and biased",
    )


def record_refusals(state: "Rewriting", draw: Draw, pieces: list[Expr]) -> None:
    """Record why each leaf that is sampled in the end is not taken in closed form."""
    inside = {symbol for piece in pieces for symbol in piece.free_symbols}
    for (symbol, where), refusal in state.refusals.items():
        if where != draw or symbol not in inside:
            continue
        with state.at(*state.spans.get(symbol, ())):
            if not refusal.note:
                state.step("closed form", refusal.before, refusal.before, f"{refusal.why}: it is sampled")
                continue
            state.step("closed form", refusal.before, refusal.before, f"not valid: {refusal.why}; it is sampled")
            spans = state.spans.get(symbol, ())
            if spans:
                text = f"{refusal.before} is sampled, not taken in closed form: {refusal.why}"
                state.sink.add("N102", spans[0], text)
