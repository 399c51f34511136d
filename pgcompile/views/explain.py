"""Derivations: from what the user wrote to what is computed."""

from contextlib import suppress

from pgcompile.inference.elimination import states
from pgcompile.model.factors import FactorInstance
from pgcompile.model.kinds import is_pathwise, kind_of
from pgcompile.model.variable import shown
from pgcompile.objective.remaining_draws import sampled_atoms
from pgcompile.objective.terms import Draw
from pgcompile.pipeline import Analysis
from pgcompile.syntax.format import format_expr
from pgcompile.syntax.spelling import latex_name
from pgcompile.views.latex import latex_expr


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
            lines.append(f"  {shown(atom.targets)} ~ {atom.label}: {count}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) if blocks else "the program has no objective"


def explain_gradients(analysis: Analysis) -> str:
    """The gradient estimator of every draw of every objective, and why it is chosen."""
    blocks = []
    for name, rewritten in analysis.rewritten.items():
        lines = [f"{name} = {format_expr(analysis.model.objectives[name].expr)}"]
        drawn = sampled_atoms(analysis.model, rewritten)
        for draw, atom in drawn:
            plan, why = _gradient(analysis, draw, atom)
            lines += [f"  {shown(atom.targets)} ~ {atom.label}: {plan}", f"      {why}"]
        blocks.append("\n".join(lines if drawn else [*lines, "  nothing is drawn: the gradient is exact"]))
    return "\n\n".join(blocks) if blocks else "the program has no objective"


def _gradient(analysis: Analysis, draw: Draw, atom: FactorInstance) -> tuple[str, str]:
    """The plan of one drawn variable, and its reason."""
    variable, family = atom.targets[0], atom.factor.family
    what = family.name if family is not None else kind_of(atom.factor).noun
    count = "one draw" if draw.samples == 1 else f"{draw.samples} draws"
    if variable in draw.enumerated:
        return f"enumerated, {states(atom, analysis.model)} values", "finitely many values: the sum over them is exact"
    if variable in draw.relaxed:
        how = "the hard draw with the gradient of the soft one" if draw.estimator.relax != "gumbel" else "a soft draw"
        return (
            f"relaxed, {how}, {count}",
            f"asked for: biased, the less so the lower the temperature {draw.estimator.temperature:g}",
        )
    if variable in draw.scored:
        baseline = "less the mean of the other draws" if draw.samples > 1 else "without a baseline"
        if draw.estimator.baseline is not None:
            baseline = f"less the baseline {format_expr(draw.estimator.baseline)}"
        asked = is_pathwise(atom.factor)
        why = "asked for" if asked else f"{what} draws are no differentiable function of their parameters"
        return f"score function, {count}, {baseline}", f"{why}; unbiased"
    if family is not None and not family.pathwise:
        return f"none, {count}", "nothing is learned in what it is drawn from"
    if draw.estimator.grad in ("stl", "dreg"):
        name = "sticking the landing" if draw.estimator.grad == "stl" else "doubly reparameterised"
        return f"pathwise, {count}, {name}", "the parameters inside its own log-density pass no gradient"
    return f"pathwise, {count}", f"{what} draws are differentiable functions of noise and their parameters"


def explain_latex(analysis: Analysis) -> str:
    """The derivation of every objective as LaTeX."""
    import sympy

    blocks = []
    for name, rewritten in analysis.rewritten.items():
        lines = [rf"{latex_name(name)} &= {latex_expr(analysis.model.objectives[name].expr)}"]
        for step in rewritten.steps:
            after = sympy.latex(step.formula) if step.formula is not None else rf"\text{{{_plain(step.after)}}}"
            reason = rf"\text{{{_plain(step.rule)}: {_plain(step.why)}}}"
            if step.after == step.before:
                lines.append(rf"{_label(step.before)} &: {reason}")
            else:
                lines.append(rf"{_label(step.before)} &= {after} && {reason}")
        blocks.append("\\begin{align*}\n  " + " \\\\\n  ".join(lines) + "\n\\end{align*}")
    return "\n\n".join(blocks) if blocks else "% the program has no objective"


def _label(text: str) -> str:
    """A formula of a step, typeset where it can be read as one."""
    from pgcompile.diagnostics import CompileError, Source
    from pgcompile.pipeline import parse_only
    from pgcompile.syntax import tree

    with suppress(CompileError):
        (statement,) = parse_only(Source(f"e = {text}")).statements
        if isinstance(statement, tree.Definition):
            return latex_expr(statement.right)
    return rf"\text{{{_plain(text)}}}"


def _plain(text: str) -> str:
    """Text in which nothing is a LaTeX command."""
    for char in "\\{}_^#%&$~":
        text = text.replace(char, "\\textbackslash " if char == "\\" else f"\\{char}")
    return text


def explain_code(code: str) -> str | None:
    """The meaning of a diagnostic's code: a program that gets it, what is said of it, and the same program mended.

    None where there is no such code.
    """
    from pgcompile.diagnostics import CompileError, Source
    from pgcompile.diagnostics.catalogue import CATALOGUE
    from pgcompile.diagnostics.render import render_all
    from pgcompile.pipeline import analyse, generate

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
