"""The methods that read and give params and buffers by value, in a class that has some."""

from pgcompile.backends.torch.layout import Line, collection, plain_lines
from pgcompile.backends.torch.method_writer import MethodWriter
from pgcompile.model.names import attribute_name, is_mapped
from pgcompile.plan.module_attributes import is_triangular


def value_methods(writer: MethodWriter) -> list[list[Line]]:
    """`get`, `set`, and the table that they share; nothing for a class without params and buffers."""
    tensors = writer.plan.tensors.parameters
    if not tensors:
        return []
    writer.use("value_of")
    writer.use("give_value")
    entries = []
    for name, tensor in tensors.items():
        space = tensor.space.kind if is_mapped(tensor) or is_triangular(tensor) else "real"
        entries.append(f'"{name}": (self.{writer.rename(attribute_name(tensor))}, "{space}")')
    get = plain_lines(
        [
            "    def get(self, name: str) -> Tensor:",
            '        """A param or buffer by its name, as a value in its space."""',
            "        return value_of(*self.stored(name))",
        ]
    )
    give = plain_lines(
        [
            "    def set(self, name: str, value) -> None:",
            '        """Give a param or buffer a value in its space."""',
            "        give_value(name, *self.stored(name), value)",
        ]
    )
    stored = [
        Line("    def stored(self, name: str) -> tuple:"),
        Line('        """The tensor behind a param or buffer, and the space that it is mapped into."""'),
        *collection("tensors = {", entries, "}"),
        *plain_lines(
            [
                "        if name not in tensors:",
                "            raise KeyError(f\"{name} is not one of {', '.join(tensors)}\")",
                "        return tensors[name]",
            ]
        ),
    ]
    return [get, give, stored]
