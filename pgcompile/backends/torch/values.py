"""The methods that read and give params and buffers by value, in a class that has some."""

from pgcompile.backends.torch.layout import Line, collection, plain_lines
from pgcompile.backends.torch.method_writer import MethodWriter
from pgcompile.model.names import MAPS, attribute_name, is_mapped
from pgcompile.model.tensors import TensorValue
from pgcompile.plan.module_attributes import is_triangular

_CALLS = {
    "softplus": ("F.softplus", "free_of_positive"),
    "sigmoid": ("torch.sigmoid", "torch.logit"),
    "softmax": ("onto_simplex", "free_of_simplex"),
    "lower_cholesky": ("lower_cholesky", "free_of_lower_cholesky"),
    "positive_definite": ("positive_definite", "free_of_positive_definite"),
}
"""The function of each operation of `MAPS`, and its inverse: torch's own, or one that is copied."""


def value_methods(writer: MethodWriter) -> list[list[Line]]:
    """`get` and `set`, and the table that they share; nothing for a class without params and buffers."""
    tensors = writer.plan.tensors.parameters
    if not tensors:
        return []
    writer.use("store")
    maps = {name: _maps(writer, tensor) for name, tensor in tensors.items()}
    attributes = {name: f"self.{writer.rename(attribute_name(tensor))}" for name, tensor in tensors.items()}
    if not any(maps.values()):
        return _plain_methods(attributes)
    entries = [
        f'"{name}": ({", ".join((attributes[name], *(pair or ("torch.positive",) * 2)))})'
        for name, pair in maps.items()
    ]
    get = plain_lines(
        [
            "    def get(self, name: str) -> Tensor:",
            '        """A param or buffer by its name, as a value in its space."""',
            "        free, to_value, _ = self.stored(name)",
            "        return to_value(free)",
        ]
    )
    give = plain_lines(
        [
            "    def set(self, name: str, value) -> None:",
            '        """Give a param or buffer a value in its space."""',
            "        free, _, inverse = self.stored(name)",
            "        store(name, free, value, inverse)",
        ]
    )
    head = [
        "    def stored(self, name: str) -> tuple:",
        '        """Free numbers of a param or buffer, the map into its space, the inverse."""',
    ]
    return [get, give, _lookup(head, entries)]


def _plain_methods(attributes: dict[str, str]) -> list[list[Line]]:
    """`get` and `set` where every tensor is stored as its value."""
    head = ["    def get(self, name: str) -> Tensor:", '        """A param or buffer by its name."""']
    give = plain_lines(
        [
            "    def set(self, name: str, value) -> None:",
            '        """Give a param or buffer a value."""',
            "        store(name, self.get(name), value)",
        ]
    )
    return [_lookup(head, [f'"{name}": {attribute}' for name, attribute in attributes.items()]), give]


_CHECKED = frozenset(
    "boolean unit_interval nonnegative positive nonnegative_integer positive_integer one_hot simplex".split()
)
"""Spaces of buffers whose values are looked at when they are given one."""


def _lookup(head: list[str], entries: list[str]) -> list[Line]:
    """A method that finds an entry of a table by a name."""
    return [
        *plain_lines(head),
        *collection("tensors = {", entries, "}"),
        *plain_lines(
            [
                "        if name not in tensors:",
                "            raise KeyError(f\"{name} is not one of {', '.join(tensors)}\")",
                "        return tensors[name]",
            ]
        ),
    ]


def _maps(writer: MethodWriter, tensor: TensorValue) -> tuple[str, str] | None:
    """Names of the map into a tensor's space and its inverse; None where the numbers are stored as they are."""
    if is_triangular(tensor):
        return "torch.tril", "torch.tril"
    if tensor.kind == "buffer" and tensor.space.kind in _CHECKED:
        writer.use("kept_in")
        return "torch.positive", f'kept_in("{tensor.name}", "{tensor.space.kind}")'
    if not is_mapped(tensor):
        return None
    pair = _CALLS[MAPS[tensor.space.kind]]
    for name in pair:
        if "." not in name:
            writer.use(name)
    return pair
