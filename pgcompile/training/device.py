"""Devices and precisions of computing."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from pgcompile.diagnostics import DataError
from pgcompile.training.settings import Settings

_LOW = {"bf16": torch.bfloat16, "fp16": torch.float16}


def device_of(name: str) -> torch.device:
    """A device by its name; `auto` is the best there is.

    Raises:
        DataError: it cannot be used here.
    """
    if name != "auto":
        try:
            device = torch.device(name)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            if reason.startswith("Expected one of"):
                reason = "there are cpu, cuda, cuda:0, mps and auto"
            raise DataError(f"the device {name} cannot be used: {reason}") from None
        return device
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def autocast(device: torch.device, settings: Settings) -> AbstractContextManager[object]:
    """Products in low precision, where that is asked for."""
    if settings.precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=_LOW[settings.precision])


def scaler(device: torch.device, settings: Settings) -> torch.amp.GradScaler | None:
    """Scaler of the loss that keeps half-precision gradients from vanishing; bfloat16 needs none."""
    return torch.amp.GradScaler(device.type) if settings.precision == "fp16" else None


@contextmanager
def matmul_precision(settings: Settings) -> Iterator[None]:
    """TF32 while training, and what was before afterwards."""
    before = torch.get_float32_matmul_precision()
    if settings.tf32:
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def can_fuse(device: torch.device, parameters: list[torch.nn.Parameter]) -> bool:
    """True if one kernel can update all parameters."""
    return device.type in ("cpu", "cuda") and all(p.is_floating_point() for p in parameters)
