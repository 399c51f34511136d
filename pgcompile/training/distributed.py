"""Several processes that train one model: torch's own engine, started by `torchrun`."""

import atexit
import gc
import logging
import os
import sys
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pgcompile.diagnostics import DataError
from pgcompile.training.device import device_of
from pgcompile.training.settings import Settings


class _Losses(nn.Module):
    """The losses of a model as one `forward`, which DistributedDataParallel wraps."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, name: str, **given: Any) -> Tensor:
        """One loss."""
        loss: Tensor = getattr(self.model, name)(**given)
        return loss


def _leave(of: "weakref.ref[Team]") -> None:
    """Leave the team at the end of the program, while the interpreter is whole.

    A process group ends its threads when the last that holds it goes, and DistributedDataParallel does:
    a thread of gloo that let go of a tensor after the interpreter did would abort the process.
    """
    if (team := of()) is not None and hasattr(team, "_wrapped"):
        del team._wrapped
    gc.collect()
    if dist.is_initialized():
        dist.destroy_process_group()


def exit_team(status: int) -> None:
    """End this process at once if it is one of several, without taking the interpreter down.

    What still holds the group in C++ cannot be listed from here, and its threads must not meet an interpreter that
    is being taken down: the system ends them with the process. A process of its own returns.

    Args:
        status: the exit status.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return
    dist.barrier()  # nobody closes a connection that another still reads from
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@dataclass
class Team:
    """The processes of a training, of which this is one.

    Args:
        rank: the number of this one.
        size: how many there are.
        device: where this one computes.
        strategy: `ddp` or `fsdp`.
    """

    rank: int
    size: int
    device: torch.device
    strategy: str

    @classmethod
    def join(cls, settings: Settings) -> "Team":
        """The team that `torchrun` started, or a team of one."""
        if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls(0, 1, torch.device("cpu"), settings.strategy)
        if settings.device == "auto" and torch.cuda.is_available():
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(device)
        else:
            device = device_of("cpu" if settings.device == "auto" else settings.device)
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        team = cls(dist.get_rank(), dist.get_world_size(), device, settings.strategy)
        atexit.register(_leave, weakref.ref(team))
        return team

    @property
    def leads(self) -> bool:
        """True for the process that writes files and shows progress."""
        return self.rank == 0

    @property
    def sharded(self) -> bool:
        """True if parameters are sharded over the processes."""
        return self.size > 1 and self.strategy == "fsdp"

    # --- the model ---

    def distribute(self, model: nn.Module) -> nn.Module:
        """The model with the first process's weights, its parameters sharded if that is the strategy (FSDP2)."""
        if self.size == 1:
            return model
        for tensor in (*model.parameters(), *model.buffers()):
            dist.broadcast(tensor.data, 0)
        if not self.sharded:
            return model
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        for part in [part for child in model.children() for part in _parts(child)]:
            if any(True for _ in part.parameters()):
                fully_shard(part)
        numbers = {p for p in model.parameters() if p.dim() == 0}
        fully_shard(model, ignored_params=numbers)
        for parameter in numbers:  # which cannot be sharded
            parameter.register_post_accumulate_grad_hook(self._average_slope)
        names = [n for n in dir(type(model)) if n == "loss" or n.startswith("loss_") or n in ("terms", "sample")]
        for name in names:
            register_fsdp_forward_method(model, name)
        return model

    def _average_slope(self, parameter: Tensor) -> None:
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= self.size

    def losses(self, model: nn.Module, names: list[str]) -> dict[str, Callable[..., Tensor]]:
        """The losses by name; with DDP, gradients are averaged as they are made."""
        if self.size == 1 or self.sharded:
            return {name: getattr(model, name) for name in names}
        from torch.nn.parallel import DistributedDataParallel

        self._wrapped = DistributedDataParallel(_Losses(model), find_unused_parameters=len(names) > 1)

        def loss_of(name: str) -> Callable[..., Tensor]:
            return lambda **given: self._wrapped(name, **given)

        return {name: loss_of(name) for name in names}

    def last_of(self, last: bool) -> AbstractContextManager[object]:
        """Gradients are averaged once, with the last part of a batch."""
        if self.size == 1 or self.sharded or last:
            return nullcontext()
        wait: AbstractContextManager[object] = self._wrapped.no_sync()
        return wait

    # --- the data ---

    def share(self, chunk: Tensor) -> tuple[Tensor, float]:
        """This process's rows of a batch, and what its mean counts in the mean of the team's means.

        Batches of fewer rows than processes are left out.
        """
        if self.size == 1:
            return chunk, 1.0
        if len(chunk) < self.size:
            return chunk[:0], 0.0
        mine = chunk[self.rank :: self.size]
        return mine, len(mine) * self.size / len(chunk)

    def any_asks(self, asked: bool) -> bool:
        """True if any process asks for something: they stop and save together."""
        if self.size == 1:
            return asked
        flag = torch.tensor(int(asked), device=self.device)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag)

    def mean_of(self, values: Tensor) -> Tensor:
        """The mean over the processes, on the CPU."""
        if self.size == 1:
            return values
        total = values.to(self.device)
        dist.all_reduce(total)
        return (total / self.size).cpu()

    def mean(self, value: float) -> float:
        """The mean of a number over the processes."""
        return value if self.size == 1 else float(self.mean_of(torch.tensor(value)))

    # --- checkpoints ---

    def whole_state(self, model: nn.Module) -> dict[str, Tensor]:
        """The state of a model, from all processes."""
        if not self.sharded:
            return model.state_dict()
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        options = StateDictOptions(full_state_dict=True, cpu_offload=False)
        return get_model_state_dict(model, options=options)  # type: ignore[return-value]

    def whole_optimizers(self, model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> list[dict[str, Any]]:
        """The states of a model's optimizers, from all processes."""
        if not self.sharded:
            return [optimizer.state_dict() for optimizer in optimizers]
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

        options = StateDictOptions(full_state_dict=True)
        return [get_optimizer_state_dict(model, optimizer, options=options) for optimizer in optimizers]

    def load_model(self, model: nn.Module, state: dict[str, Tensor]) -> None:
        """Put a whole state into a model."""
        if not self.sharded:
            model.load_state_dict(state)
            return
        from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

        set_model_state_dict(model, dict(state), options=StateDictOptions(full_state_dict=True))

    def load_optimizers(
        self, model: nn.Module, optimizers: list[torch.optim.Optimizer], states: list[dict[str, Any]]
    ) -> None:
        """Put whole states into a model's optimizers."""
        for optimizer, state in zip(optimizers, states, strict=True):
            if not self.sharded:
                optimizer.load_state_dict(state)
                continue
            from torch.distributed.checkpoint.state_dict import StateDictOptions, set_optimizer_state_dict

            options = StateDictOptions(full_state_dict=True)
            set_optimizer_state_dict(model, optimizer, state, options=options)

    def noise(self) -> list[dict[str, Tensor]]:
        """The states of the random numbers of every process."""
        own = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            own["cuda"] = torch.cuda.get_rng_state(self.device)
        if self.size == 1:
            return [own]
        found: list[dict[str, Tensor]] = [{} for _ in range(self.size)]
        for name, state in own.items():
            parts = [torch.empty_like(state, device=self.device) for _ in range(self.size)]
            dist.all_gather(parts, state.to(self.device))
            for rank, part in enumerate(parts):
                found[rank][name] = part.cpu()
        return found

    def restore_noise(self, states: list[dict[str, Tensor]]) -> None:
        """Go on with the random numbers of a run.

        Raises:
            DataError: it had another number of processes.
        """
        if len(states) != self.size:
            raise DataError(f"the run had {len(states)} processes, and there are {self.size}: start as many")
        own = states[self.rank]
        torch.set_rng_state(own["cpu"])
        if self.device.type == "cuda" and "cuda" in own:
            torch.cuda.set_rng_state(own["cuda"], self.device)


def _parts(module: nn.Module) -> list[nn.Module]:
    """The modules sharded together: a net, or its layers where the class may call what stands before the last."""
    heads = (nn.Softplus, nn.Sigmoid, nn.Softmax)
    in_part = isinstance(module, nn.Sequential) and isinstance(module[-1], heads)
    return list(module.children()) if in_part else [module]
