"""The constructor of the emitted class: the transforms of each flow, from data to the base."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pgcompile.backends.torch.constructor import layers_text
from pgcompile.backends.torch.layout import WIDTH, Line, plain_lines, split_call, stamped
from pgcompile.backends.torch.printer import number_text
from pgcompile.model.flows import (
    CouplingNet,
    CouplingsUse,
    FlowReference,
    FlowStep,
    RepeatUse,
    SizedFlow,
    SplitUse,
    TransformUse,
)
from pgcompile.plan.module_attributes import ModuleAttributes
from pgcompile.plan.origin import Origin
from pgcompile.vocabulary.layers import Value
from pgcompile.vocabulary.transforms import transform_words


def flow_lines(tensors: ModuleAttributes, rename: Callable[[str], str], use: Callable[[str], None]) -> list[Line]:
    """`self.f = ComposedTransform([...], (2,))` for every flow in use.

    Args:
        tensors: what the class owns.
        rename: Python name of an attribute.
        use: told of every transform used.
    """
    lines: list[Line] = []
    for name, sized in tensors.flows.items():
        made = plain_lines(f"        {text}" for text in _Writer(rename, use).write(rename(name), sized))
        lines += stamped(made, Origin(tensors.model.flows[name].span, name))
    return lines


@dataclass
class _Writer:
    rename: Callable[[str], str]
    use: Callable[[str], None]
    lines: list[str] = field(default_factory=list)
    lists: int = 0

    def write(self, name: str, sized: SizedFlow) -> list[str]:
        """The statements that make one flow."""
        self.use("ComposedTransform")
        transforms = self._list(sized.steps, 0)
        rest = [str(sized.shape)]
        rest += [f"out_shape={sized.out_shape}"] if sized.out_shape != sized.shape else []
        rest += [f"context={sized.context}"] if sized.context else []
        self._add(f"self.{name} = ComposedTransform({', '.join([transforms, *rest])})", 0)
        return self.lines

    def _add(self, text: str, indent: int) -> None:
        pad = " " * indent
        self.lines += [pad + part for part in split_call(text, WIDTH - 8 - indent)]

    def _list(self, steps: tuple[FlowStep, ...], indent: int) -> str:
        """A list of transforms: written out where it is short, else gathered under a name."""
        if len(steps) == 1 and isinstance(steps[0], CouplingsUse):
            self._gather_couplings(steps[0], indent)
            return "[AlternatingCouplings(couplings)]"
        entries = [self._one(step) for step in steps]
        simple = f"[{', '.join(entry for entry in entries if entry)}]"
        if None not in entries and len(simple) <= WIDTH - 30:
            return simple
        self.lists += 1
        name = "steps" if self.lists == 1 else f"steps_{self.lists}"
        self.lines.append(f"{' ' * indent}{name} = []")
        self._gather(name, steps, indent)
        return name

    def _gather(self, name: str, steps: tuple[FlowStep, ...], indent: int) -> None:
        """Statements that put transforms into a list, those that are repeated in a loop."""
        waiting: list[str] = []

        def close() -> None:
            if waiting:
                self._extend(name, waiting, indent)
                waiting.clear()

        for step in steps:
            match step:
                case RepeatUse(count, body):
                    close()
                    self.lines.append(f"{' ' * indent}for _ in range({count}):")
                    self._gather(name, body, indent + 4)
                case SplitUse(shape, body, out_shape):
                    close()
                    self.use("MultiScale")
                    inner = self._list(body, indent)
                    self._add(f"{name}.append(MultiScale({shape}, {inner}, {out_shape}))", indent)
                case CouplingsUse():
                    close()
                    self._gather_couplings(step, indent)
                    self.lines.append(f"{' ' * indent}{name}.append(AlternatingCouplings(couplings))")
                case _:
                    text = self._one(step)
                    assert text is not None
                    waiting.append(text)
        close()

    def _gather_couplings(self, use: CouplingsUse, indent: int) -> None:
        """The list of couplings that keep in turn the same two halves."""
        self.use("AlternatingCouplings")
        texts = [self._transform(c) for c in use.couplings]
        if use.count == 1:
            self._entries("couplings = [", texts, indent)
            return
        pad = " " * indent
        self.lines += [f"{pad}couplings = []", f"{pad}for _ in range({use.count}):"]
        self._extend("couplings", texts, indent + 4)

    def _extend(self, name: str, texts: list[str], indent: int) -> None:
        pad = " " * indent
        line = f"{pad}{name} += [{', '.join(texts)}]"
        if len(texts) == 1:
            self._add(f"{name}.append({texts[0]})", indent)
        elif len(line) <= WIDTH - 8:
            self.lines.append(line)
        else:
            self._entries(f"{name} += [", texts, indent)

    def _entries(self, opening: str, texts: list[str], indent: int) -> None:
        """A list, an entry a line."""
        pad = " " * indent
        self.lines.append(f"{pad}{opening}")
        for text in texts:
            parts = split_call(text, WIDTH - 13 - indent)
            self.lines += [f"{pad}    {part}" for part in (*parts[:-1], f"{parts[-1]},")]
        self.lines.append(f"{pad}]")

    def _one(self, step: FlowStep) -> str | None:
        """The source of one transform; None for what takes several statements."""
        match step:
            case TransformUse():
                return self._transform(step)
            case FlowReference(name, inverted):
                text = f"self.{self.rename(name)}"
                if inverted:
                    self.use("Inverted")
                    return f"Inverted({text})"
                return text
            case _:
                return None

    def _transform(self, use: TransformUse) -> str:
        self.use(use.word)
        word = transform_words()[use.word]
        arguments = []
        for name, value in use.arguments:
            option = word.option(name) if name else None
            if isinstance(value, CouplingNet):
                arguments.append(f"{name}={self._net(value)}")
                continue
            text = f"nn.{value}" if option is not None and option.kind == "activation" else _value(value)
            arguments.append(f"{name}={text}" if name else text)
        return f"{use.word}({', '.join(arguments)})"

    def _net(self, net: CouplingNet) -> str:
        """The net of a coupling: layers of its own, or a part that the class was given."""
        if net.layers is not None:
            return layers_text(net.layers, self.use)
        self.use("Borrowed")
        return f"Borrowed(self.{self.rename(net.name)})"


def _value(value: Value) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, float):
        return number_text(value)
    return repr(value)
