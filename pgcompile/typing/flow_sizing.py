"""The sizes of a flow: one pass over its stages, which carries shape and kind of numbers along."""

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt, prod

from pgcompile.diagnostics import Span
from pgcompile.model.flows import FlowNet, FlowReference, FlowStep, SizedFlow, SplitUse, TransformUse
from pgcompile.model.literals import evaluate
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.typing.coupling_nets import coupling_net, net_shapes
from pgcompile.typing.flow_names import flow_name, mentions, splits, stage_name
from pgcompile.typing.flow_options import fits_features, read_transform
from pgcompile.typing.flow_spaces import BRIDGES, SAID, STAYING, kept_kinds
from pgcompile.typing.flow_steps import merged, repeated
from pgcompile.vocabulary.layers import show
from pgcompile.vocabulary.transform_options import Value
from pgcompile.vocabulary.transforms import Word, shape_after, transform_words

MOST_TRANSFORMS = 1000


@dataclass
class Sizing:
    """One pass over the stages of a flow, carrying the event shape between them.

    Args:
        typer: of the model.
        flow: the flow.
        use: where it is used first.
        context: number of features that it is conditioned on.
        count: number of transforms found so far.
        sound: whether nothing has been reported that a later stage may follow.
        kind: kind of the numbers that enter, None for any.
        out_kind: kind of the numbers that leave, None for that of those that enter.
    """

    typer: TypingContext
    flow: FlowNet
    use: Span
    context: int
    count: int = 0
    sound: bool = True
    kind: str | None = None
    out_kind: str | None = None

    def run(self, shape: tuple[int, ...]) -> SizedFlow | None:
        """The sized flow for an event shape; None after a report."""
        found = self._steps(self.flow.stages, shape)
        if found is None or not self.sound:
            return None
        steps, out = found
        context = self.context if self.flow.inputs else 0
        return SizedFlow(merged(steps), shape, out, context, self.kind, self.out_kind)

    def _meets(
        self, stage: tree.Expr, name: str, domain: str | None, codomain: str | None, kept: tuple[str, ...] = ()
    ) -> None:
        """Follow the kind of space from transform to transform; one that does not take what it is given is reported."""
        if domain is None:
            return
        if self.out_kind is None:
            self.kind = domain
        elif self.out_kind == "circle" and "circle" in kept:
            return  # whose ends stay where they are
        elif self.out_kind != domain and self.out_kind not in kept:
            bridge = BRIDGES.get((self.out_kind, domain))
            self.typer.sink.add(
                "PGC317",
                stage.span,
                f"{name} takes {SAID[domain]}, and what comes before it gives {SAID[self.out_kind]}",
                help=f"put {bridge} between them"
                if bridge is not None
                else STAYING.get(self.out_kind, f"use a transform of {SAID[self.out_kind]}"),
            )
            self.sound = False
        self.out_kind = codomain

    def _steps(
        self, stages: tuple[tree.Expr | tree.Repeat, ...], shape: tuple[int, ...]
    ) -> tuple[tuple[FlowStep, ...], tuple[int, ...]] | None:
        """The transforms of some stages and the shape after them."""
        steps: list[FlowStep] = []
        flat = list(stages)
        while flat:
            stage = flat.pop(0)
            if isinstance(stage, tree.Repeat):
                times = self._times(stage)
                if times is None:
                    return None
                # What changes the shape is made anew for each, as is what splits: the rest goes through it.
                if times > 1 and not splits(stage.stages):
                    before = (self.count, self.kind, self.out_kind)
                    body = self._steps(stage.stages, shape)
                    if body is None:
                        return None
                    if body[1] == shape:
                        each = self.count - before[0]
                        if self.out_kind != before[2]:
                            self._steps(stage.stages, shape)  # the second time it is given what the first one gives
                        self.count = before[0] + times * each
                        if not self._within(stage.span):
                            return None
                        steps.append(repeated(times, merged(body[0])))
                        continue
                    self.count, self.kind, self.out_kind = before
                flat = [*stage.stages * times, *flat]
                if len(flat) > MOST_TRANSFORMS and not self._within(stage.span, len(flat)):
                    return None
                continue
            name = flow_name(stage)
            if name == "Split":
                if not flat:
                    break
                return self._split(stage, tuple(flat), shape, steps)
            if name in self.typer.model.flows:
                one = self._other(stage, name, shape)
            else:
                read = read_transform(stage, self.typer)
                if read is None:
                    self.sound = False
                    continue  # the next stage may have a fault of its own
                one = self._transform(stage, *read, shape)
            if one is None:
                return None
            step, shape = one
            steps.append(step)
            self.count += 1
            if not self._within(stage.span):
                return None
        return tuple(steps), shape

    def _within(self, span: Span, count: int | None = None) -> bool:
        """Test the number of transforms, and report it if it is too large."""
        if (self.count if count is None else count) <= MOST_TRANSFORMS:
            return True
        self.typer.sink.add(
            "PGC310", span, f"{self.flow.name} has more than {MOST_TRANSFORMS} transforms", help="repeat less often"
        )
        return False

    def _times(self, stage: tree.Repeat) -> int | None:
        """The number of repetitions; None after a report."""
        value = evaluate(stage.count, self.typer.model.constants)
        if isinstance(value, Fraction) and value.denominator == 1 and 1 <= value <= MOST_TRANSFORMS:
            return int(value)
        text = self.typer.sink.source.snippet(stage.count.span)
        self.typer.sink.add(
            "PGC310",
            stage.count.span,
            f"`{text}` is no number of times from 1 to {MOST_TRANSFORMS}",
            help="write repeat 5 { ... }",
        )
        return None

    def _split(
        self, stage: tree.Expr, rest: tuple[tree.Expr | tree.Repeat, ...], shape: tuple[int, ...], steps: list[FlowStep]
    ) -> tuple[tuple[FlowStep, ...], tuple[int, ...]] | None:
        """The steps before a `Split`, and as one more step those that half of the channels go on through."""
        if len(shape) != 3 or shape[0] < 2:
            self._unfit(stage, "Split", "parts the channels of an image [C, H, W] with two channels or more", shape)
            return None
        inner = self._steps(rest, ((shape[0] + 1) // 2, *shape[1:]))
        if inner is None:
            return None
        body, out = inner
        return (*steps, SplitUse(shape, merged(body), out)), (prod(shape),)

    def _unfit(self, stage: tree.Expr, name: str, why: str, shape: tuple[int, ...]) -> None:
        """Report a stage that does not take the shape that reaches it."""
        self.typer.sink.add(
            "PGC317",
            stage.span,
            f"{name} {why}; here it is given {show(shape)}",
            related=[(self.use, f"{self.flow.name} is used here")],
            help=_fit_help(name, shape),
        )

    def _other(self, stage: tree.Expr, name: str, shape: tuple[int, ...]) -> tuple[FlowStep, tuple[int, ...]] | None:
        """Another flow in the pipeline."""
        other = self.typer.model.flows[name]
        inverted = stage_name(stage).endswith(".inv")
        if name == self.flow.name or mentions(other, self.flow.name, self.typer.model):
            self.typer.sink.add(
                "PGC209", stage.span, f"{self.flow.name} is defined in terms of itself", help="use another flow"
            )
            return None
        passed = stage.args if isinstance(stage, tree.Call) else ()
        own = [(None, each) for each in self.flow.inputs]
        if passed and [(a.name, getattr(a.value, "id", "")) for a in passed] != own:
            text = " ".join(self.typer.sink.source.snippet(stage.span).split())
            inputs = ", ".join(self.flow.inputs)
            self.typer.sink.add(
                "PGC311",
                stage.span,
                f"`{text}`: inside a flow, {name} is given the inputs of {self.flow.name} as they are",
                related=[(self.flow.span, f"{self.flow.name} has {f'the inputs {inputs}' if inputs else 'no inputs'}")],
                help=f"write {stage_name(stage)}({inputs}) here, and expressions where {self.flow.name} is used"
                if inputs
                else f"write {stage_name(stage)} here",
            )
            return None
        if len(other.inputs) != len(self.flow.inputs):
            self.typer.sink.add(
                "PGC311",
                stage.span,
                f"{name} takes {len(other.inputs)} contexts and {self.flow.name} takes {len(self.flow.inputs)}",
                related=[(other.span, "declared here")],
                help="give both the same inputs",
            )
            return None
        if other.sized is None:
            other.first_use = stage.span
            other.sized = Sizing(self.typer, other, stage.span, self.context).run(shape)
        if other.sized is None:
            return None
        given, out = other.sized.shape, other.sized.out_shape
        given, out = (out, given) if inverted else (given, out)
        if given != shape:
            self._unfit(stage, name, f"is a flow of {show(given)}", shape)
            return None
        kinds = (other.sized.kind, other.sized.out_kind)
        self._meets(stage, name, *(kinds[::-1] if inverted else kinds))
        return FlowReference(name, inverted), out

    def _transform(
        self, stage: tree.Expr, word: Word, options: dict[str, Value], shape: tuple[int, ...]
    ) -> tuple[FlowStep, tuple[int, ...]] | None:
        """A transform with its constructor arguments, and the shape after it; None after a report."""
        name = word.name
        after = shape_after(word, options, shape)
        if isinstance(after, str):
            self._unfit(stage, name, after, shape)
            return None
        why = fits_features(word, options, shape[0], self.context if self.flow.inputs else 0)
        if why is not None:
            self.typer.sink.add("PGC310", stage.span, why[0], help=why[1])
            return None
        self._meets(stage, name, word.domain, word.codomain, kept_kinds(word, options))
        own = next((o.name for o in word.options if o.kind == "module" and options[o.name] is not None), None)
        nets = {}
        # What says how the own perceptron is made, or the bound that another one replaces, is left out.
        idle = {"hidden", "act"} if own is not None else set()
        idle |= {"slope"} if options.get("bound") is not None and word.net_gives == {"": 2} else set()
        if own is not None:
            given, wanted = net_shapes(word, options, shape, self.context if self.flow.inputs else 0)
            made = coupling_net(str(options[own]), word, given, wanted, stage, self.typer)
            if made is None:
                self.sound = False
                return TransformUse(name, ()), after
            nets[own] = made
        arguments: list[tuple[str | None, Value]] = []
        if word.argument != "none":
            arguments.append((None, shape[0] if word.argument == "features" else shape))
        if word.conditional and self.flow.inputs:
            arguments.append(("context", self.context))
        arguments += [
            (o.name, options[o.name]) for o in word.options if options[o.name] is not None and o.name not in idle
        ]
        return TransformUse(name, tuple((n, nets.get(n or "", v)) for n, v in arguments)), after


def _fit_help(name: str, shape: tuple[int, ...]) -> str:
    """The change that would let a transform take a shape."""
    word = transform_words().get(name)
    takes_image = name == "Split" or (word is not None and "image" in word.takes)
    size = prod(shape)
    side = isqrt(size)
    into = f"Unflatten(into=[1, {side}, {side}])" if side**2 == size else "Unflatten(into=[channels, height, width])"
    if word is not None and word.shape_rule == "into" and len(shape) == 1:
        return f"write the shape of an image of {size} numbers: {into}"
    if len(shape) == 1 and takes_image:
        return f"put {into} before it, or declare the variable as an image"
    if len(shape) == 3 and name == "Split":
        return "put Squeeze before it, which makes four channels of each"
    if len(shape) == 3 and word is not None:
        for option in word.options:
            spared = [each for each in option.words if each not in option.least]
            if option.least and spared:
                return f"put Squeeze before it, or write {name}({option.name}={spared[0]})"
    if len(shape) > 1 and not takes_image:
        return "put Flatten before it, or use ImageCoupling, Conv1x1 and ActNorm for images"
    if shape == (1,):
        return "use a transform of one number, such as SplineAutoregressive or ElementwiseAffine"
    return "change the shape of the variable, or the transform"
