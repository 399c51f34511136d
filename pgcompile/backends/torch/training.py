"""The training step of the emitted class: its optimizers, schedules and updates, as the program's lines say."""

from collections.abc import Callable

from pgcompile.backends.torch.layout import WIDTH, safe_comment
from pgcompile.backends.torch.method_writer import annotation
from pgcompile.backends.torch.printer import number_text
from pgcompile.model.names import identifier
from pgcompile.model.training import OptimiseLine, loss_name
from pgcompile.plan.methods.description import Argument, LossMethod, ModulePlan
from pgcompile.plan.training import trained_by
from pgcompile.vocabulary.layers import Value
from pgcompile.vocabulary.optimisers import FUSED


def training_methods(
    plan: ModulePlan, rename: Callable[[str], str], use: Callable[[str], None]
) -> list[tuple[str, str, list[str]]]:
    """Each method: its head, its docstring and the statements of its body.

    Args:
        plan: what the class has.
        rename: Python name of an attribute.
        use: told of every helper used.
    """
    if not plan.losses:
        return []
    return _Training(plan, rename, use).methods()


class _Training:
    def __init__(self, plan: ModulePlan, rename: Callable[[str], str], use: Callable[[str], None]) -> None:
        self.plan = plan
        self.rename = rename
        self.use = use
        by_name = {loss.name: loss for loss in plan.losses}
        self.lines = [line for line in plan.model.optimise if loss_name(line, plan.model.optimise) in by_name]
        self.losses = [by_name[loss_name(line, plan.model.optimise)] for line in self.lines]
        self.arguments = {identifier(a.name) for loss in self.losses for a in loss.mean.arguments}
        alone = len(self.lines) == 1
        names = ["optimizer"] if alone else [f"optimizer_{i}" for i in range(1, len(self.lines) + 1)]
        self.names = [self._local(name) for name in names]

    def _local(self, name: str) -> str:
        """A local name of the step, which hides none of its arguments."""
        while name in self.arguments:
            name += "_"
        return name

    def methods(self) -> list[tuple[str, str, list[str]]]:
        """In the order in which a reader meets them."""
        found = [self._optimizers()]
        if any(line.recipe.scheduled for line in self.lines):
            found.append(self._schedules())
        if any(line.recipe.ema is not None for line in self.lines):
            found.append(self._averaged())
        if self.plan.model.ramps:
            found.append(self._inputs())
        found.append(self._step())
        return found

    # --- before training ---

    def _optimizers(self) -> tuple[str, str, list[str]]:
        fused = any(line.optimiser in FUSED for line in self.lines)
        head = "def optimizers(self, fused: bool | None = None) -> list:" if fused else "def optimizers(self) -> list:"
        each = ", ".join(f"{line.optimiser} for {line.objective}" for line in self.lines)
        made = [self._optimizer(line) for line in self.lines]
        text = f"return [{', '.join(made)}]"
        if len(text) + 8 <= WIDTH:
            return head, f"{each}.", [text]
        entries = [f"    {text}" for line in self.lines for text in self._split_optimizer(line)]
        return head, f"{each}.", ["return [", *entries, "]"]

    def _split_optimizer(self, line: OptimiseLine) -> list[str]:
        """An entry of the list, an argument a line where it is too long."""
        whole = f"{self._optimizer(line)},"
        if len(whole) + 12 <= WIDTH:
            return [whole]
        parts = [self._parameters(line)]
        if len(parts[0]) + 17 > WIDTH:
            parts = ["[", *(f"    {part}," for part in parts[0][1:-1].split(", ")), "]"]
        parts[-1] += ","
        return [
            f"torch.optim.{line.optimiser}(",
            *(f"    {p}" for p in parts),
            *(f"    {o}," for o in self._options(line)),
            "),",
        ]

    def _optimizer(self, line: OptimiseLine) -> str:
        return f"torch.optim.{line.optimiser}({', '.join([self._parameters(line), *self._options(line)])})"

    def _options(self, line: OptimiseLine) -> list[str]:
        options = [f"{name}={_literal(value)}" for name, value in line.options]
        return options + (["fused=fused"] if line.optimiser in FUSED else [])

    def _parameters(self, line: OptimiseLine) -> str:
        trained = trained_by(line, self.plan.model, self.plan.tensors)
        if trained is None:
            return "self.parameters()"
        if len(trained.modules) == 1 and not trained.parameters:
            return f"self.{self.rename(trained.modules[0])}.parameters()"
        parts = [f"*self.{self.rename(name)}.parameters()" for name in trained.modules]
        parts += [f"self.{self.rename(name)}" for name in trained.parameters]
        return f"[{', '.join(parts)}]"

    def _schedules(self) -> tuple[str, str, list[str]]:
        made = []
        for name, line in zip(self.names, self.lines, strict=True):
            recipe = line.recipe
            steps = "steps" if recipe.steps is None else str(recipe.steps)
            if recipe.plateau is not None:
                self.use("Plateau")
                factor, patience, least = recipe.plateau
                numbers = f"{number_text(factor)}, {patience}, {number_text(least)}"
                made.append(f"Plateau({name}, {recipe.warmup}, {numbers})")
            elif recipe.scheduled:
                self.use("learning_rate")
                made.append(f'learning_rate({name}, "{recipe.schedule}", {recipe.warmup}, {steps})')
        text = f"return [{', '.join(made)}]"
        body = [self._unpacked(), text]
        if len(text) + 8 > WIDTH:
            body = [self._unpacked(), "return [", *(f"    {one}," for one in made), "]"]
        return (
            "def schedules(self, optimizers: list, steps: int) -> list:",
            "Learning rates over a run of `steps` steps.",
            body,
        )

    def _averaged(self) -> tuple[str, str, list[str]]:
        decay = next(line.recipe.ema for line in self.lines if line.recipe.ema is not None)
        body = [
            "tools = torch.optim.swa_utils",
            f"average = tools.get_ema_multi_avg_fn({number_text(decay)})",
            "return tools.AveragedModel(self, multi_avg_fn=average, use_buffers=True)",
        ]
        return "def averaged(self) -> nn.Module:", "The average of the weights over training so far.", body

    def _inputs(self) -> tuple[str, str, list[str]]:
        self.use("ramp")
        entries = [
            f'"{identifier(name)}": ramp(step, "{r.kind}", {number_text(r.start)}, {number_text(r.end)}, {r.steps})'
            for name, r in self.plan.model.ramps.items()
        ]
        text = f"return {{{', '.join(entries)}}}"
        body = [text] if len(text) + 8 <= WIDTH else ["return {", *(f"    {entry}," for entry in entries), "}"]
        return "def inputs_at(self, step: int) -> dict:", "Inputs that change while training.", body

    # --- a step ---

    def _step(self) -> tuple[str, str, list[str]]:
        arguments: dict[str, Argument] = {a.name: a for loss in self.losses for a in loss.mean.arguments}
        ordered = sorted(arguments.values(), key=lambda a: (a.is_input, a.optional))
        given = "".join(f", {identifier(a.name)}: {annotation(a)}" for a in ordered)
        lines = [self._unpacked(in_step=True)]
        for name, line, loss in zip(self.names, self.lines, self.losses, strict=True):
            lines += self._update(name, line, loss)
        names = dict.fromkeys(loss.name for loss in self.losses)
        results = [f'"{name}": {self._local(name)}.detach()' for name in names]
        text = f"return {{{', '.join(results)}}}"
        lines += [text] if len(text) + 8 <= WIDTH else ["return {", *(f"    {result}," for result in results), "}"]
        head = f"def train_step(self, {self._local('optimizers')}: list{given}) -> dict:"
        return head, safe_comment(self._step_summary()), lines

    def _step_summary(self) -> str:
        """`One optimizer step on -elbo; returns the loss before the update.`"""
        parts: list[str] = []
        for line in self.lines:
            updates = line.recipe.updates
            count = "one" if updates == 1 else str(updates)
            noun = "" if parts else " optimizer step" + "s" * (updates > 1)
            parts.append(f"{count}{noun} on {'-' if line.direction == 'maximize' else ''}{line.objective}")
        steps = ", then ".join(parts)
        several = any(line.recipe.updates > 1 for line in self.lines)
        if len(self.lines) == 1:
            result = f"the loss before the {'last update' if several else 'update'}"
        else:
            result = f"the losses before {'the last update of each' if several else 'the updates'}"
        return f"{steps[0].upper()}{steps[1:]}; returns {result}."

    def _update(self, name: str, line: OptimiseLine, loss: LossMethod) -> list[str]:
        given = ", ".join(identifier(a.name) for a in loss.mean.arguments)
        alone = trained_by(line, self.plan.model, self.plan.tensors) is not None
        recipe = line.recipe
        inputs = f"inputs=parameters_of({name})" if alone else ""
        lines = [
            f"{self._local(loss.name)} = self.{loss.name}({given})",
            f"{name}.zero_grad()",
            f"{self._local(loss.name)}.backward({inputs})",
        ]
        if recipe.clip_value is not None:
            lines.append(f"nn.utils.clip_grad_value_(parameters_of({name}), {number_text(recipe.clip_value)})")
        if recipe.clip_norm is not None:
            lines.append(f"nn.utils.clip_grad_norm_(parameters_of({name}), {number_text(recipe.clip_norm)})")
        lines.append(f"{name}.step()")
        if recipe.clamp is not None:
            bound, weight = number_text(recipe.clamp), self._local("weight")
            lines += [
                "with torch.no_grad():",
                f"    for {weight} in parameters_of({name}):",
                f"        {weight}.clamp_(-{bound}, {bound})",
            ]
        if any("parameters_of(" in text for text in lines):
            self.use("parameters_of")
        if recipe.updates > 1:
            lines = [f"for _ in range({recipe.updates}):", *(f"    {text}" for text in lines)]
        return lines

    def _unpacked(self, *, in_step: bool = False) -> str:
        given = self._local("optimizers") if in_step else "optimizers"
        return f"({self.names[0]},) = {given}" if len(self.names) == 1 else f"{', '.join(self.names)} = {given}"


def _literal(value: Value) -> str:
    """An option of an optimizer; numbers that are whole stay so where torch counts."""
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, tuple):
        return f"({', '.join(_literal(v) for v in value)})"
    return repr(value)
