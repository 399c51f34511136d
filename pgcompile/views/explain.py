"""Derivations: from what the user wrote to what is computed."""

from pgcompile.compiler import Analysis
from pgcompile.objective.gradients import check_gradients, sampled_atoms
from pgcompile.objective.rewrite import rewrite
from pgcompile.syntax.format import format_expr


def explain(analysis: Analysis) -> str:
    """Every rewrite of every objective, with the rule that allowed it and why it may."""
    blocks = []
    for name, term in analysis.objectives.items():
        rewritten = rewrite(term, analysis.model, analysis.sink, name)
        check_gradients(analysis.model, {name: rewritten}, analysis.sink)
        lines = [f"{name} = {format_expr(analysis.model.objectives[name].expr)}"]
        for step in rewritten.steps:
            lines.append(f"  [{step.rule}] {step.before}")
            if step.after != step.before:
                lines.append(f"      = {step.after}")
            lines.append(f"      {step.why}")
        for draw, atom in sampled_atoms(analysis.model, rewritten):
            count = "1 sample" if draw.samples == 1 else f"{draw.samples} samples"
            lines.append(f"  {', '.join(atom.targets)} ~ {atom.label}: {count}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) if blocks else "the program has no objective"
