"""Prints a tree as program text: one spelling for every construct, comments and blank lines kept."""

from pgcompile.diagnostics import InternalError, Source
from pgcompile.syntax import tree
from pgcompile.syntax.places import shown_place
from pgcompile.syntax.rows import at_rows, is_total, primed, row_names
from pgcompile.vocabulary.functions import COMPARISONS

# Binding strength of what an expression prints as, loosest first.
_CLAUSE, _COMPARISON, _SUM, _TERM, _UNARY, _JUXTAPOSED, _POWER, _POSTFIX, _ATOM = range(9)


def format_program(program: tree.Program, source: Source) -> str:
    """The program in canonical spelling. Comments stay with their statements, runs of blank lines become one."""
    pieces: list[tuple[int, str]] = []
    for statement in program.statements:
        pieces.append((statement.span.start, format_statement(statement)))
    trailing: dict[int, list[str]] = {}
    for comment in program.comments:
        owner = next(
            (i for i, s in enumerate(program.statements) if s.span.start <= comment.span.start <= s.span.end), None
        )
        behind = [i for i, s in enumerate(program.statements) if s.span.end <= comment.span.start]
        if not comment.alone and behind and owner is None:
            trailing.setdefault(behind[-1], []).append(comment.text)
        else:
            at = program.statements[owner].span.start - 1 if owner is not None else comment.span.start
            pieces.append((at, comment.text))
    lines: list[str] = []
    order = sorted(pieces, key=lambda piece: piece[0])
    starts = {statement.span.start: index for index, statement in enumerate(program.statements)}
    previous_end = 0
    for at, text in order:
        if lines and source.text.count("\n", previous_end, at) > 1:
            lines.append("")
        index = starts.get(at)
        notes = trailing.get(index, []) if index is not None else []
        lines.append("  ".join([text, *notes]))
        previous_end = program.statements[index].span.end if index is not None else at + len(text)
        if notes:
            previous_end = source.text.find("\n", previous_end)
    return "\n".join(lines) + "\n"


def format_statement(statement: tree.Statement) -> str:
    """One statement."""
    match statement:
        case tree.SpaceDeclaration(names, space):
            return f"{_names(names)} : {_space(space)}"
        case tree.ConstDeclaration(name, value):
            return f"const {name.id} = {format_expr(value)}"
        case tree.TensorDeclaration(kind, names, space, initial):
            end = f" = {format_expr(initial)}" if initial is not None else ""
            return f"{kind} {_names(names)} : {_space(space)}{end}"
        case tree.NetDeclaration(name, inputs, body, bindings):
            head = f"({_names(inputs)})" if inputs is not None else ""
            clause = f" where {', '.join(map(_binding, bindings))}" if bindings else ""
            return f"net {name.id}{head} = {format_expr(body)}{clause}"
        case tree.FlowDeclaration(name, inputs, stages):
            head = f"({_names(inputs)})" if inputs is not None else ""
            return f"flow {name.id}{head} = {_flow(stages)}"
        case tree.ExternNet(name, inputs, outputs):
            results = [f"{n.id}: {_space(s)}" if n is not None else _space(s) for n, s in outputs]
            right = f"({', '.join(results)})" if outputs[0][0] is not None else results[0]
            return f"extern net {name.id}({_names(inputs)}) -> {right}"
        case tree.ExternFactor(head):
            return f"extern {format_expr(head)}"
        case tree.Proportional(left, right):
            return f"{format_expr(left)} ∝ {format_expr(right)}"
        case tree.Definition(left, right):
            return f"{format_expr(left)} = {format_expr(right)}"
        case tree.Optimise(direction, objective, wrt, optimiser):
            parts = [direction, format_expr(objective)]
            if wrt is not None:
                parts += ["wrt", ", ".join(format_expr(w) for w in wrt)]
            if optimiser is not None:
                parts += ["using", format_expr(optimiser) if optimiser.args else optimiser.name]
            return " ".join(parts)
        case tree.Structure(expr):
            return format_expr(expr)
        case tree.IndexDeclaration(name, None, None):
            return f"index {name.id} in data"
        case tree.IndexDeclaration(name, low, high, padded):
            assert low is not None and high is not None
            return f"index {name.id} in {format_expr(low)}..{format_expr(high)}{' padded' if padded else ''}"
        case _:
            raise InternalError(f"no spelling for {type(statement).__name__}")


def _names(names: tuple[tree.Name, ...]) -> str:
    return ", ".join(name.id for name in names)


def _space(space: tree.SpaceExpr) -> str:
    return space.name + "".join(f"[{', '.join(format_expr(item) for item in group)}]" for group in space.groups)


def _flow(stages: tuple[tree.Expr | tree.Repeat, ...]) -> str:
    """The stages of a flow."""
    return " >> ".join(
        f"repeat {format_expr(stage.count)} {{ {_flow(stage.stages)} }}"
        if isinstance(stage, tree.Repeat)
        else format_expr(stage)
        for stage in stages
    )


def format_expr(expr: tree.Expr) -> str:
    """One expression, with the brackets it needs and no others."""
    return _format(expr)[0]


def _at(expr: tree.Expr, strength: int) -> str:
    text, own = _format(expr)
    return text if own >= strength else f"({text})"


def _format(expr: tree.Expr) -> tuple[str, int]:
    match expr:
        case tree.Number(text):
            return text, _ATOM
        case tree.Name(id):
            return shown_place(primed(id)), _ATOM
        case tree.Text(value):
            return f'"{value}"', _ATOM
        case tree.Call(name, (left, right), None) if name in COMPARISONS:
            return f"{_at(left.value, _SUM)} {COMPARISONS[name]} {_at(right.value, _SUM)}", _COMPARISON
        case tree.Call(name, args, given):
            bar = f"|{_arguments(given, ',')}" if given is not None else ""
            separator = "," if given is not None else ", "
            return f"{name}({_arguments(args, separator)}{bar})", _ATOM
        case tree.Index(base, indices):
            return f"{_at(base, _POSTFIX)}[{', '.join(map(format_expr, indices))}]", _POSTFIX
        case tree.Rename() if (call := at_rows(expr)) is not None:
            return _format(call)
        case tree.Rename(base, pairs):
            renamed = ", ".join(f"{old.id} -> {new.id}" for old, new in pairs)
            return f"{_at(base, _POSTFIX)}[{renamed}]", _POSTFIX
        case tree.ListLiteral(items):
            return f"[{', '.join(map(format_expr, items))}]", _ATOM
        case tree.TupleLiteral(items):
            return f"({', '.join(map(format_expr, items))})", _ATOM
        case tree.Negative(operand):
            return f"-{_at(operand, _UNARY)}", _UNARY
        case tree.Sum(terms):
            return _sum(terms), _SUM
        case tree.Product((tree.Name("detach"), *factors)):
            return f"detach {format_expr(tree.Product(tuple(factors)) if len(factors) > 1 else factors[0])}", _UNARY
        case tree.Product(factors):
            return _product(factors)
        case tree.Quotient(numerator, denominator):
            return f"{_at(numerator, _TERM)} / {_at(denominator, _UNARY)}", _TERM
        case tree.MatMul(left, right):
            return f"{_at(left, _TERM)} @ {_at(right, _UNARY)}", _TERM
        case tree.Power(base, exponent):
            return f"{_at(base, _POSTFIX)}^{_at(exponent, _POSTFIX)}", _POWER
        case tree.Log() | tree.Expectation() | tree.Functional() | tree.Integral() | tree.OverIndex():
            return _operator(expr)
        case tree.Whole(call) | tree.Along(call):
            return _format(call)
        case tree.AtFirst(first, rest):
            return f"{_at(first, _TERM)} at first, then {_at(rest, _TERM)}", _SUM
        case tree.Pipeline(stages):
            return " >> ".join(map(format_expr, stages)), _SUM
        case tree.Where(value, bindings):
            bound = ", ".join(_binding(b) for b in bindings)
            return f"{format_expr(value)} where {bound}", _CLAUSE
        case _:
            raise InternalError(f"no spelling for {type(expr).__name__}")


def _operator(
    expr: tree.Log | tree.Expectation | tree.Functional | tree.Integral | tree.OverIndex,
) -> tuple[str, int]:
    """An operator of objectives."""
    match expr:
        case tree.Log(operand):
            return _log(operand)
        case tree.Expectation(over, body, options) if rows := row_names(over):
            word = "sum" if is_total(options) else "mean"
            return f"{word}_{{{', '.join(map(primed, rows))}}} {_at(body, _JUXTAPOSED)}", _UNARY
        case tree.Expectation(over, body, options):
            return _expectation(over, body, options), _ATOM
        case tree.Functional(kind, left, right, options):
            other = f" || {format_expr(right)}" if right is not None else ""
            return f"{kind}[{format_expr(left)}{other}{_options(options)}]", _ATOM
        case tree.Integral(body, variables, True):
            names = ", ".join(v.id for v in variables)
            return f"sum_{names if len(variables) == 1 else f'{{{names}}}'} {_at(body, _JUXTAPOSED)}", _UNARY
        case tree.OverIndex(kind, index, body, low, high):
            within = (
                index.id
                if low is None or high is None
                else f"{{{index.id}={format_expr(low)}}}^{{{format_expr(high)}}}"
            )
            return f"{kind}_{within} {_at(body, _JUXTAPOSED)}", _UNARY
        case tree.Integral(body, variables):
            return f"∫ {_at(body, _JUXTAPOSED)} {' '.join(f'd{v.id}' for v in variables)}", _UNARY


def _arguments(arguments: tuple[tree.Argument, ...], separator: str) -> str:
    values = [(a.name, _at(a.value, _COMPARISON)) for a in arguments]
    return separator.join(f"{name} = {value}" if name else value for name, value in values)


def _sum(terms: tuple[tuple[int, tree.Expr], ...]) -> str:
    sign, first = terms[0]
    text = f"-{_at(first, _UNARY)}" if sign < 0 else _at(first, _TERM)
    for sign, term in terms[1:]:
        text += f" {'-' if sign < 0 else '+'} {_at(term, _TERM)}"
    return text


def _product(factors: tuple[tree.Expr, ...]) -> tuple[str, int]:
    """Factors stand side by side where each is a distribution, as papers write them; else with `*`."""
    if all(isinstance(f, tree.Call | tree.Rename) for f in factors):
        return " ".join(_at(f, _POSTFIX) for f in factors), _JUXTAPOSED
    parts = [_at(factors[0], _UNARY)]
    # A product inside a product keeps its brackets, and a prefix operator would swallow what follows it.
    for index, factor in enumerate(factors):
        text = _at(factor, _UNARY)
        if isinstance(factor, tree.Product):
            text = f"({format_expr(factor)})"
        if index == 0:
            parts[0] = text
        else:
            parts.append(text)
    return " * ".join(parts), _TERM


def _log(operand: tree.Expr) -> tuple[str, int]:
    match operand:
        case tree.Call() | tree.Rename():
            return f"log {_at(operand, _POSTFIX)}", _UNARY
        case tree.Product(factors) if all(isinstance(f, tree.Call | tree.Rename) for f in factors):
            return f"log {format_expr(operand)}", _UNARY
        case tree.Name(id) if len(id.split("_")[0]) == 1:
            return f"log {id}", _UNARY
        case _:
            return f"log({_at(operand, _COMPARISON)})", _ATOM


def _expectation(over: tree.Expr | None, body: tree.Expr, options: tuple[tree.Option, ...]) -> str:
    if over is None:
        return f"E[{format_expr(body)}]"
    if isinstance(over, tree.Name) and not options:
        return f"E_{over.id}[{format_expr(body)}]"
    return f"E_{{{format_expr(over)}{_options(options)}}}[{format_expr(body)}]"


def _options(options: tuple[tree.Option, ...]) -> str:
    return f"; {', '.join(f'{o.name}={format_expr(o.value)}' for o in options)}" if options else ""


def _binding(binding: tree.Binding) -> str:
    names = _names(binding.names)
    return f"{names if len(binding.names) == 1 else f'({names})'} = {_at(binding.value, _COMPARISON)}"
