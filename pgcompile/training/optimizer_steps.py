"""Optimizer steps: a `Player` for each `maximize` or `minimize` line, with its loss and its parameters."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from pgcompile.model.training import OptimiseLine, loss_name
from pgcompile.program import Program


class Player:
    """One line: what it minimises, what it changes, and how.

    Args:
        line: the line.
        name: the method that is minimised.
        optimizer: of the parameters that it changes.
        others: parameters that it leaves alone.
    """

    def __init__(
        self, line: OptimiseLine, name: str, optimizer: torch.optim.Optimizer, others: list[nn.Parameter]
    ) -> None:
        self.line, self.name, self.optimizer, self.others = line, name, optimizer, others
        self.recipe = line.recipe
        self.parameters: list[nn.Parameter] = [p for group in optimizer.param_groups for p in group["params"]]
        self.schedule: Any = None
        self.loss: Callable[..., Tensor]
        self.arguments: tuple[str, ...] = ()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While it plays, nothing else asks for a gradient."""
        asking = [p for p in self.others if p.requires_grad]
        for parameter in asking:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in asking:
                parameter.requires_grad_(True)

    def clip(self) -> None:
        """Bound the gradient, as the line says."""
        if self.recipe.clip_value is not None:
            nn.utils.clip_grad_value_(self.parameters, self.recipe.clip_value)
        if self.recipe.clip_norm is not None:
            if any(isinstance(p, DTensor) for p in self.parameters):
                _clip_sharded(self.parameters, self.recipe.clip_norm)
            else:
                nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip_norm)

    @torch.no_grad()
    def clamp(self) -> None:
        """Bound the weights, as the line says (Arjovsky et al. 2017)."""
        if self.recipe.clamp is not None:
            for parameter in self.parameters:
                parameter.clamp_(-self.recipe.clamp, self.recipe.clamp)


def _clip_sharded(parameters: list[nn.Parameter], limit: float) -> None:
    """The same where some parameters are spread over processes and others are not: torch stacks no norms of both."""
    slopes = [p.grad for p in parameters if p.grad is not None]
    norms = [torch.linalg.vector_norm(slope) for slope in slopes]
    whole = torch.stack([norm.full_tensor() if isinstance(norm, DTensor) else norm for norm in norms]).norm()
    factor = (limit / (whole + 1e-6)).clamp(max=1.0)
    for slope in slopes:
        slope.mul_(factor)


def players_of(program: Program, model: Any, *, fused: bool) -> list[Player]:
    """The players of a model, whose class makes their optimizers."""
    lines = program.analysis.model.optimise
    takes_fused = "fused" in inspect.signature(model.optimizers).parameters
    made = model.optimizers(fused=True) if fused and takes_fused else model.optimizers()
    everything = list(model.parameters())
    players = []
    for line, optimizer in zip(lines, made, strict=True):
        if any(isinstance(p, DTensor) for p in everything):
            for group in optimizer.param_groups:
                group["foreach"] = False  # numbers are not spread, and lists of both kinds cannot be updated at once
        mine = {id(p) for group in optimizer.param_groups for p in group["params"]}
        player = Player(line, loss_name(line, lines), optimizer, [p for p in everything if id(p) not in mine])
        player.arguments = arguments_of(program, player.name)
        players.append(player)
    return players


def arguments_of(program: Program, method: str) -> tuple[str, ...]:
    """Names of what a method computes from, as the class has it: FSDP hides them on the model."""
    known = inspect.signature(getattr(program.Model, method)).parameters.values()
    return tuple(argument.name for argument in known if argument.kind is not argument.KEYWORD_ONLY)[1:]


def with_schedules(players: list[Player], model: Any, steps: int) -> None:
    """Give the players their schedules over a run of `steps` steps."""
    if not hasattr(model, "schedules"):
        return
    made = iter(model.schedules([p.optimizer for p in players], steps))
    for player in players:
        player.schedule = next(made) if player.recipe.scheduled else None
