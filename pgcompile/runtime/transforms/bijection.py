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
        self.constant_names = tuple(constants)
        self.register_buffer(
            "constants", torch.tensor([float(v) for v in constants.values()])
        )

    def _load_from_state_dict(self, state, prefix, *rest):
        saved = state.get(prefix + "constants")
        own = getattr(self, "constants", None)
        if (
            own is not None
            and not own.is_meta
            and getattr(saved, "shape", 0) == own.shape
        ):
            near = max(1e-6, 4 * torch.finfo(saved.dtype).eps)
            pairs = zip(saved.tolist(), own.tolist(), strict=True)
            for name, (old, new) in zip(self.constant_names, pairs, strict=True):
                if abs(old - new) > near * abs(new):
                    rest[-1].append(
                        f"{prefix}{name} is {new:g} here, and {old:g} in the checkpoint"
                    )
        super()._load_from_state_dict(state, prefix, *rest)

    def inverse(self, y: Tensor, context: Tensor | None = None, at=None):
        """x and log |det dx/dy|."""
        raise NotImplementedError
