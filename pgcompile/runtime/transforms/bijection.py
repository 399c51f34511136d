"""The interface of every transform."""

import torch
from torch import Tensor, nn


class Bijection(nn.Module):
    """An invertible map with its log-determinant, from data to the base.

    A call gives y and log |det dy/dx|; `inverse` gives x and log |det dx/dy|. The
    log-determinant is zero for a map that keeps volumes, else it broadcasts to the batch.
    """

    least = 1
    conditional = False
    kept_by = None
    also_takes = {}
    net_gives = None

    constants: Tensor

    def remember(self, **constants: float) -> None:
        """Keep constants that change the function in the checkpoint."""
        self.remembered = {name: float(value) for name, value in constants.items()}
        values = torch.tensor([*self.remembered.values()])
        self.register_buffer("constants", values)

    def hold(self, device: torch.device, **values: Tensor) -> None:
        """Hold fixed tensors that no checkpoint needs: made on the CPU, and put back when one is loaded."""
        self.held = {**getattr(self, "held", {}), **values}
        for name, value in values.items():
            self.register_buffer(name, value.to(device), persistent=False)

    def _load_from_state_dict(self, state, prefix, *rest):
        saved = state.get(prefix + "constants")
        own = getattr(self, "remembered", {})
        if own and not saved.is_meta and saved.shape == (len(own),):
            near = max(1e-6, 4 * torch.finfo(saved.dtype).eps)
            for (name, new), old in zip(own.items(), saved.tolist(), strict=True):
                if abs(old - new) > near * abs(new):
                    rest[-1].append(
                        f"{prefix}{name} is {new:g} here, and {old:g} in the checkpoint"
                    )
        super()._load_from_state_dict(state, prefix, *rest)
        # A module made without data has none to keep: `to_empty`, or `assign` of what is loaded.
        for name, value in getattr(self, "held", {}).items():
            now = getattr(self, name)
            device = next((v.device for v in state.values()), now.device)
            device = device if now.is_meta else now.device
            self.register_buffer(name, value.to(device, now.dtype), persistent=False)

    def inverse(self, y: Tensor, context: Tensor | None = None, at=None):
        """x and log |det dx/dy|."""
        raise NotImplementedError
