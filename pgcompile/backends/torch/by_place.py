"""The option `per` of objectives and terms: the terms at each place of an index, in the place of their sum."""

from collections.abc import Iterable, Sequence

from pgcompile.backends.torch.layout import Line, collection, indented, stamped, statement
from pgcompile.backends.torch.method_writer import MethodWriter
from pgcompile.backends.torch.statements import Body
from pgcompile.model.names import identifier
from pgcompile.plan.by_place import ByPlace
from pgcompile.plan.methods.description import Method
from pgcompile.plan.ops import LEAVES

ALL_TERMS = "Every named term; with `per` an index, each sum over it by its places."


def indices_of(*methods: Method) -> list[str]:
    """The indices that some methods can be asked for the places of.

    What another method computes is asked there; a variable that is called `per` leaves no name for the option.
    """
    own = [m for m in methods if m.same_as is None and all(identifier(a.name) != "per" for a in m.arguments)]
    return list(dict.fromkeys(found.index for method in own for found in method.by_place))


def name_taken(body: Body, method: Method) -> None:
    """Give the values that the places need names, which stand before what is returned."""
    if not indices_of(method):
        return
    body.taken = [*body.taken, "per"]
    taken = [value for found in method.by_place for value in found.taken if value.op not in LEAVES]
    body.outputs = [*body.outputs, *(value for value in dict.fromkeys(taken) if value not in body.outputs)]
    body.with_lines |= {value.number for value in taken}


def places_of(body: Body, method: Method, *, keyed: bool) -> list[Line]:
    """The lines that return the terms of each place, where that is asked for.

    Args:
        body: the statements before, which are written.
        method: whose terms.
        keyed: whether they are returned by their names.
    """
    known = indices_of(method)
    return [line for found in method.by_place if found.index in known for line in _at_each(body, found, keyed=keyed)]


def _at_each(body: Body, found: ByPlace, *, keyed: bool) -> list[Line]:
    """Those of one index."""
    around = [f'    "{name}": ,' if keyed else "return " for name, _ in found.terms]
    before = len(".movedim(0, -1)") + max(map(len, around))
    after = body.after([value for _, value in found.terms], list(found.own), before)
    texts = [f"{text.atom}.movedim(0, -1)" for text in after.write()]
    returned = statement(f"return {texts[0]}", 12)
    if keyed:
        entries = [f'"{name}": {text}' for (name, _), text in zip(found.terms, texts, strict=True)]
        returned = collection("return {", entries, "}", 12)
    return [Line(f'        if per == "{found.index}":'), *after.lines, *stamped(returned, *after.origins)]


def called_by_place(call: str) -> str:
    """The call of a method, which is asked for the places of the same index."""
    return f"{call[:-1]}{'' if call.endswith('()') else ', '}per=per)"


def called_for_each_place(methods: Sequence[Method], calls: dict[str, str]) -> list[Line]:
    """The same where each term has a method of its own, of which some are no sums over an index."""
    lines = []
    for index in indices_of(*methods):
        entries = [f'"{m.name}": {called_by_place(calls[m.name])}' for m in methods if index in indices_of(m)]
        lines += [Line(f'        if per == "{index}":'), *indented(collection("return {", entries, "}"), 4)]
    return lines


def check_per(writer: MethodWriter, formula: str, indices: Iterable[str]) -> list[Line]:
    """The statement that refuses another index; none where there is none."""
    known = "".join(f', "{identifier(index)}"' for index in indices)
    if not known:
        return []
    writer.use("check_per")
    return statement(f'check_per("{formula}", per{known})')
