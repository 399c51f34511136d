"""A program's formulas for a paper."""

from pgcompile.diagnostics import InternalError
from pgcompile.syntax import tree
from pgcompile.syntax.rows import at_rows, is_total, row_names
from pgcompile.syntax.spelling import latex_name
from pgcompile.vocabulary.functionals import functional_of, net_of
from pgcompile.vocabulary.functions import COMPARISONS, FUNCTIONS

_COMPARISONS = {"<": "<", "<=": r"\le", ">": ">", ">=": r"\ge", "==": "=", "!=": r"\ne"}
_SPACES = {"real": r"\mathbb{R}", "boolean": r"\{0, 1\}", "positive": r"\mathbb{R}_{>0}", "unit_interval": "[0, 1]"}


def latex(program: tree.Program) -> str:
    """Spaces, factors and objectives as an `align*` block; nets and sizes are left to the text around it."""
    rows = [row for statement in program.statements if (row := _statement(statement)) is not None]
    body = " \\\\\n".join(f"  {row}" for row in rows)
    return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"


def _statement(statement: tree.Statement) -> str | None:
    match statement:
        case tree.SpaceDeclaration(names, space):
            joined = ", ".join(latex_name(n.id) for n in names)
            return rf"{joined} &\in {_space(space)}"
        case tree.Proportional(left, right):
            return rf"{_latex(left)} &\propto {_latex(right)}"
        case tree.Definition(left, right):
            return f"{_latex(left)} &= {_latex(right)}"
        case tree.Optimise(direction, objective):
            return rf"&\{direction[:3]} \; {_latex(objective)}"
        case tree.Structure(expr):
            return f"&{_latex(expr)}"
        case _:
            return None


def _space(space: tree.SpaceExpr) -> str:
    sizes = r" \times ".join(_latex(item) for group in space.groups for item in group)
    base = _SPACES.get(space.name)
    if base is None:
        return (
            rf"\mathrm{{{space.name.replace('_', ' ')}}}({sizes})"
            if sizes
            else rf"\mathrm{{{space.name.replace('_', ' ')}}}"
        )
    return f"{base}^{{{sizes}}}" if sizes else base


def _latex(expr: tree.Expr) -> str:
    match expr:
        case tree.Number(text):
            mantissa, _, exponent = text.lower().partition("e")
            return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else text
        case tree.Name(id):
            return latex_name(id)
        case tree.Text(value):
            return rf"\text{{{value}}}"
        case tree.Call(name, (left, right), None) if name in COMPARISONS:
            return f"{_latex(left.value)} {_COMPARISONS[COMPARISONS[name]]} {_latex(right.value)}"
        case tree.Call(name, args, given):
            inner = ", ".join(_argument(a) for a in args)
            bar = rf" \mid {', '.join(_argument(a) for a in given)}" if given else ""
            head = FUNCTIONS[name].latex if name in FUNCTIONS else ""
            head = head or latex_name(name)
            return f"{head}({inner}{bar})"
        case tree.Index(base, indices):
            return f"{_bracketed(base)}_{{{', '.join(map(_latex, indices))}}}"
        case tree.Rename() if (call := at_rows(expr)) is not None:
            return _latex(call)
        case tree.Rename(base, pairs):
            renamed = ", ".join(rf"{latex_name(o.id)} \to {latex_name(n.id)}" for o, n in pairs)
            return f"{_bracketed(base)}[{renamed}]"
        case tree.ListLiteral(items):
            return f"[{', '.join(map(_latex, items))}]"
        case tree.TupleLiteral(items):
            return f"({', '.join(map(_latex, items))})"
        case tree.Negative(operand):
            return f"-{_bracketed(operand)}"
        case tree.Sum(terms):
            text = "".join(f" {'-' if sign < 0 else '+'} {_inner_sum(term)}" for sign, term in terms)
            return text[3:] if text.startswith(" + ") else "-" + text[3:]
        case tree.Product(factors):
            return r" \, ".join(_bracketed(f) for f in factors)
        case tree.Quotient(numerator, denominator):
            return rf"\frac{{{_latex(numerator)}}}{{{_latex(denominator)}}}"
        case tree.MatMul(left, right):
            return rf"{_bracketed(left)} \, {_bracketed(right)}"
        case tree.Power(base, exponent):
            return f"{_bracketed(base)}^{{{_latex(exponent)}}}"
        case tree.Log() | tree.Expectation() | tree.Functional() | tree.Integral() | tree.OverIndex():
            return _operator(expr)
        case tree.Pipeline(stages):
            return r" \gg ".join(map(_latex, stages))
        case tree.Where(value, bindings):
            bound = ", ".join(f"{_names(b)} = {_latex(b.value)}" for b in bindings)
            return rf"{_latex(value)}, \quad {bound}"
        case _:
            raise InternalError(f"no LaTeX for {type(expr).__name__}")


def _operator(expr: tree.Log | tree.Expectation | tree.Functional | tree.Integral | tree.OverIndex) -> str:
    """An operator of objectives."""
    match expr:
        case tree.Log(operand):
            simple = isinstance(operand, tree.Call | tree.Name | tree.Product)
            return rf"\log {_latex(operand)}" if simple else rf"\log\left({_latex(operand)}\right)"
        case tree.Expectation(over, body, options) if names := row_names(over):
            head = r"\sum" if is_total(options) else r"\operatorname{mean}"
            return rf"{head}_{{{', '.join(map(latex_name, names))}}} {_latex(body)}"
        case tree.Expectation(over, body, options):
            subscript = f"_{{{_latex(over)}{_options(options)}}}" if over is not None else ""
            return rf"\mathbb{{E}}{subscript}\left[{_latex(body)}\right]"
        case tree.Functional(kind, left, right, options):
            functional, net = functional_of(kind), net_of(kind)
            head = functional.latex if functional is not None else rf"\mathrm{{{kind}}}"
            head += f"_{{{latex_name(net)}}}" if net else ""
            other = rf" \,\|\, {_latex(right)}" if right is not None else ""
            return rf"{head}\left[{_latex(left)}{other}{_options(options)}\right]"
        case tree.Integral(body, variables, True):
            return rf"\sum_{{{', '.join(latex_name(v.id) for v in variables)}}} {_latex(body)}"
        case tree.OverIndex(kind, index, body, low, high):
            signs = {"sum": r"\sum", "prod": r"\prod", "mean": r"\operatorname{mean}"}
            within = index.id if low is None or high is None else f"{index.id}={_latex(low)}"
            above = "" if high is None else f"^{{{_latex(high)}}}"
            return rf"{signs[kind]}_{{{within}}}{above} {_bracketed(body)}"
        case tree.Integral(body, variables):
            differentials = " ".join(rf"\, d{latex_name(v.id)}" for v in variables)
            return rf"\int {_latex(body)} {differentials}"


def latex_expr(expr: tree.Expr) -> str:
    """One formula."""
    return _latex(expr)


def _options(options: tuple[tree.Option, ...]) -> str:
    """`; samples = 8` after what they belong to."""
    return "".join(rf"; \mathrm{{{o.name.replace('_', ' ')}}} = {_latex(o.value)}" for o in options)


def _names(binding: tree.Binding) -> str:
    names = ", ".join(latex_name(n.id) for n in binding.names)
    return f"({names})" if len(binding.names) > 1 else names


def _argument(argument: tree.Argument) -> str:
    value = _latex(argument.value)
    return f"{latex_name(argument.name)} = {value}" if argument.name else value


def _inner_sum(expr: tree.Expr) -> str:
    return rf"\left({_latex(expr)}\right)" if isinstance(expr, tree.Sum) else _latex(expr)


def _bracketed(expr: tree.Expr) -> str:
    loose = tree.Sum | tree.Negative | tree.Product | tree.Log | tree.Integral
    return rf"\left({_latex(expr)}\right)" if isinstance(expr, loose) else _latex(expr)
