"""Derivations: from what the user wrote to what is computed."""

from contextlib import suppress

from pgcompile.compiler import Analysis
from pgcompile.objective.gradients import sampled_atoms
from pgcompile.syntax.format import format_expr


def explain(analysis: Analysis) -> str:
    """Every rewrite of every objective, with the rule that allowed it and why it may."""
    blocks = []
    for name, rewritten in analysis.rewritten.items():
        lines = [f"{name} = {format_expr(analysis.model.objectives[name].expr)}"]
        for step in rewritten.steps:
            lines.append(f"  [{step.rule}] {step.before}")
            if step.after != step.before:
                lines.append(f"      = {step.after}")
            lines.append(f"      {step.why}")
        for draw, atom in sampled_atoms(analysis.model, rewritten):
            count = "1 sample" if draw.samples == 1 else f"{draw.samples} samples"
            if atom.targets[0] in draw.enumerated:
                count = "every value"
            lines.append(f"  {', '.join(atom.targets)} ~ {atom.label}: {count}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) if blocks else "the program has no objective"


def explain_code(code: str) -> str | None:
    """What a code means: a program that gets it, what is said of it, and the same program mended.

    None where there is no such code.
    """
    from pgcompile.compiler import analyse, generate
    from pgcompile.diagnostics import CompileError, Source
    from pgcompile.diagnostics.catalogue import CATALOGUE
    from pgcompile.diagnostics.render import render_all

    entry = next((e for e in CATALOGUE if e.code == code), None)
    if entry is None:
        return None
    analysis = analyse(Source(entry.wrong))
    if entry.compiled:
        with suppress(CompileError):  # its diagnostics are in the analysis
            generate(analysis, "Model")
    said = render_all([d for d in analysis.diagnostics if d.code == code][:1], colour=False)
    wrong = entry.wrong if len(entry.wrong) < 2000 else f"{entry.wrong[:60]} ..."
    parts = [
        f"{code}: {entry.title}",
        "",
        "Wrong:",
        "",
        _indented(wrong),
        "",
        said,
        "",
        "Right:",
        "",
        _indented(entry.right),
    ]
    return "\n".join(parts)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.replace("\0", "\\0").strip("\n").splitlines())
