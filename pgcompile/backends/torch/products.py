"""The method of a product of experts, which is defined for any part of what it is conditioned on."""

from pgcompile.backends.torch.distributions import constructor_head
from pgcompile.backends.torch.layout import Line, bare, definition, docstring, indented, statement
from pgcompile.backends.torch.method_writer import MethodWriter
from pgcompile.model.factors import Factor, FamilyUse
from pgcompile.model.names import identifier
from pgcompile.plan.methods.description import FactorMethod
from pgcompile.plan.values import Value
from pgcompile.syntax import tree
from pgcompile.syntax.format import format_expr

PRODUCT_BASES: dict[str, dict[str, float]] = {
    "Bernoulli": {"logits": 0.0},
    "Categorical": {"logits": 0.0},
    "OneHotCategorical": {"logits": 0.0},
    "Gamma": {"concentration": 1.0, "rate": 0.0},
    "Exponential": {"rate": 0.0},
    "Beta": {"concentration1": 1.0, "concentration0": 1.0},
    "Dirichlet": {"concentration": 1.0},
}
"""Points from which the parameters of a family are counted where densities are multiplied."""

_WITH_A_CLOSED_FORM = {"Normal": "product_of_normals", "MultivariateNormal": "product_of_gaussians"}


def product_head(writer: MethodWriter, method: FactorMethod) -> list[Line]:
    """The head of a product of experts, and the product of those whose variables are given."""
    names = [identifier(a.name) for a in method.arguments]
    optional = "".join(f", {name}: Tensor | None = None" for name in names)
    lines = definition(
        f"    def {writer.method_name(method.name)}(self{optional}, present: dict | None = None) -> D.Distribution:"
    )
    powers = [f"^{_power_text(p)}" if p is not None else "" for _, p in writer.plan.model.products[method.label]]
    written = " ".join(f"{e.label}{power}" for (e, _), power in zip(method.experts, powers, strict=True))
    lines += docstring(
        f"{method.label} ∝ {written}",
        "experts of what is not given are left out; `present` has a mask of the rows that have a variable",
    )
    lines += statement(f"if present or {' or '.join(f'{name} is None' for name in names)}:")
    known = dict.fromkeys(name for needs in method.needs for name in needs)
    if known:
        writer.use("check_present")
        asked = ", ".join(["present", *(f'"{name}"' for name in known)])
        lines += statement(f"check_present({asked})", 12)
    lines.append(Line("            experts = []"))
    for (expert, power), needs in zip(method.experts, method.needs, strict=True):
        lines += _expert(writer, method, expert, power, needs)
    return [*lines, *statement(f"return {_product_call(writer, method.factor)}", 12)]


def _expert(
    writer: MethodWriter, method: FactorMethod, expert: Factor, power: Value | None, needs: tuple[str, ...]
) -> list[Line]:
    """The statements that add one expert, where what it needs is given."""
    called = next(m for m in writer.plan.factors if m.factor == expert)
    drawn = f"self.{writer.method_name(called.name)}({', '.join(identifier(a.name) for a in called.arguments)})"
    weight = "1.0"
    before: list[Line] = []
    if power is not None:
        body = writer.body_of(method, [power])
        weight = body.write()[0].text
        before = bare(body.lines)
    if not needs:
        return [*indented(before, 4), *statement(f"experts.append(({weight}, {drawn}))", 12)]
    writer.use("row_mask")
    given = " and ".join(f"{identifier(n)} is not None" for n in needs)
    lines = [Line(f"            if {given}:"), *indented(before, 8)]
    masked = ", ".join(f'"{n}"' for n in needs)
    lines += statement(f"mask = row_mask(present, {masked})", 16)
    text = "mask" if weight == "1.0" else f"{weight} * mask"
    return [*lines, *statement(f"experts.append(({text}, {drawn}))", 16)]


def _product_call(writer: MethodWriter, factor: Factor) -> str:
    use = factor.definition
    assert isinstance(use, FamilyUse)
    special = _WITH_A_CLOSED_FORM.get(use.family.name)
    if special is not None:
        writer.use(special)
        return f"{special}(experts)"
    writer.use("product_of_family")
    bases = ", ".join(f"{name}={base}" for name, base in PRODUCT_BASES[use.family.name].items())
    return f"product_of_family(experts, {constructor_head(writer, use)}, {bases})"


def _power_text(power: tree.Expr) -> str:
    text = format_expr(power)
    return text if isinstance(power, tree.Number | tree.Name) else f"{{{text}}}"
