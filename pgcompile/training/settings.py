"""Settings of a training."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pgcompile.diagnostics import RequestError

PRECISIONS = ("fp32", "bf16", "fp16")
STRATEGIES = ("ddp", "fsdp")
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune")


@dataclass(frozen=True)
class Settings:
    """Settings of a training, apart from those of the program's own lines (`using Adam(lr = 1e-3, clip_norm = 1)`).

    Args:
        epochs: passes over the data.
        batch_size: examples of an update, over all machines.
        validation: share of the rows held out, the last ones of a seeded shuffle.
        seed: of the initial weights, the split, the order and the noise.
        device: `cpu`, `cuda`, `mps`, or `auto` for the best there is.
        inputs: values of the program's `input`s that no schedule drives.
        precision: `fp32`, or `bf16` or `fp16` for autocast; fp16 scales the loss.
        tf32: whether float32 products may use the TF32 units.
        compile: mode of `torch.compile` for the losses, None for eager.
        accumulate: parts in which the gradient of a batch is computed, one after another.
        ema: how much of the averaged weights is kept at each step; None for what the program says.
        patience: epochs without a better validation loss after which to stop.
        log_every: steps between two readings of the losses.
        save_every: seconds between two checkpoints of the run.
        tensorboard: write TensorBoard events too.
        strategy: `ddp` or `fsdp`, when there are several processes.
        workers: processes that load data which is not in memory.
        normalize: variables that are shifted and scaled to mean 0 and standard deviation 1.
        dequantize: variables with whole numbers below a count of levels, which become (x + noise) / levels.
    """

    epochs: int = 50
    batch_size: int = 128
    validation: float = 0.1
    seed: int = 0
    device: str = "auto"
    inputs: Mapping[str, float] = field(default_factory=dict)
    precision: str = "fp32"
    tf32: bool = False
    compile: str | None = None
    accumulate: int = 1
    ema: float | None = None
    patience: int | None = None
    log_every: int = 50
    save_every: float = 60.0
    tensorboard: bool = False
    strategy: str = "ddp"
    workers: int = 0
    normalize: tuple[str, ...] = ()
    dequantize: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value, known in (
            ("precision", self.precision, PRECISIONS),
            ("strategy", self.strategy, STRATEGIES),
            ("compile", self.compile, (None, *COMPILE_MODES)),
        ):
            if value not in known:
                raise RequestError(f"{name} is {value!r}, and not one of {', '.join(map(str, known))}")
        for name, least in (("epochs", 1), ("batch_size", 1), ("accumulate", 1), ("log_every", 1), ("workers", 0)):
            if getattr(self, name) < least:
                raise RequestError(f"{name} is {getattr(self, name)}, and it is at least {least}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise RequestError(f"ema is {self.ema}, and it lies between 0 and 1")
        if self.save_every < 0:
            raise RequestError(f"save_every is {self.save_every}, and it is a number of seconds")
        if not 0 <= self.validation < 1:
            raise RequestError(f"validation is {self.validation}, and it is a share of the rows, from 0 to below 1")
        if self.accumulate > self.batch_size:
            raise RequestError(f"a batch of {self.batch_size} cannot be taken in {self.accumulate} parts")
