"""Linear maps of vectors: rotations, triangular products, permutations."""

import torch
from torch import Tensor, nn

from pgcompile.runtime.transforms.bijection import Bijection

__all__ = ["LULinear", "Permutation", "Reverse", "Rotation", "Shuffle"]


class Permutation(Bijection):
    """Features in another order, drawn once and kept in the checkpoint: y_i = x_order(i).

    Args:
        features: number of features.
        order: a list, or None for one drawn at random.
    """

    argument = "features"
    takes = "vector"
    domain = "any"
    codomain = "any"
    shape_rule = "same"
    rearranges = True
    options = {
        "order": {"kind": "order", "words": ()},
    }

    order: Tensor

    def __init__(self, features: int, order=None):
        super().__init__()
        with torch.device("cpu"):  # also where the module is made without data
            chosen = (
                torch.randperm(features)
                if order is None
                else torch.as_tensor(order, dtype=torch.long)
            )
        if chosen.shape != (features,) or chosen.sort().values.tolist() != list(
            range(features)
        ):
            raise ValueError(
                f"a permutation of {features} features names each from 0 to {features - 1} once"
            )
        self.register_buffer("order", chosen.to(torch.get_default_device()))

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D]."""
        return x.index_select(-1, self.order), None

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D]."""
        return y.index_select(-1, torch.argsort(self.order)), None


class Reverse(Bijection):
    """Features in reverse order."""

    argument = "none"
    takes = "vector"
    domain = "any"
    codomain = "any"
    shape_rule = "same"
    rearranges = True
    options = {}

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D]."""
        return x.flip(-1), None

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D]."""
        return y.flip(-1), None


class Shuffle(Bijection):
    """Channels of an image in another order, drawn once and kept in the checkpoint.

    Args:
        shape: [C, H, W].
    """

    argument = "shape"
    takes = "image"
    domain = "any"
    codomain = "any"
    shape_rule = "same"
    rearranges = True
    options = {}

    order: Tensor

    def __init__(self, shape: tuple):
        super().__init__()
        self.register_buffer("order", torch.randperm(shape[0]))

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., C, H, W] -> y [..., C, H, W]."""
        return x.index_select(-3, self.order), None

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., C, H, W] -> x [..., C, H, W]."""
        return y.index_select(-3, torch.argsort(self.order)), None


class Rotation(Bijection):
    """y = R x with R = exp(A - A^T), which is orthogonal: keeps volumes.

    Args:
        features: number of features.
    """

    argument = "features"
    takes = "vector"
    domain = "real"
    codomain = "real"
    shape_rule = "same"
    rearranges = False
    options = {}

    def __init__(self, features: int):
        super().__init__()
        self.skew = nn.Parameter(torch.randn(features, features))

    def matrix(self) -> Tensor:
        """R."""
        return torch.linalg.matrix_exp(self.skew - self.skew.mT)

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D]."""
        return x @ self.matrix().mT, None

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D]."""
        return y @ self.matrix(), None


class LULinear(Bijection):
    """y = L U x + b, with a unit diagonal in U and a positive one in L (Kingma & Dhariwal 2018).

    Args:
        features: number of features.
    """

    argument = "features"
    takes = "vector"
    domain = "real"
    codomain = "real"
    shape_rule = "same"
    rearranges = False
    options = {}

    def __init__(self, features: int):
        super().__init__()
        self.entries = nn.Parameter(
            torch.randn(features, features) * 0.1 / features**0.5
        )
        self.bias = nn.Parameter(torch.zeros(features))

    def factors(self):
        """L, U and the log-diagonal of L."""
        log_diagonal = self.entries.diagonal()
        lower = self.entries.tril(-1) + torch.diag(log_diagonal.exp())
        upper = self.entries.triu(1) + torch.diag(torch.ones_like(log_diagonal))
        return lower, upper, log_diagonal

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D], log |det dy/dx|."""
        lower, upper, log_diagonal = self.factors()
        return x @ (lower @ upper).mT + self.bias, log_diagonal.sum()

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D], log |det dx/dy|."""
        lower, upper, log_diagonal = self.factors()
        flat = (y - self.bias).reshape(-1, y.shape[-1]).mT
        half = torch.linalg.solve_triangular(lower, flat, upper=False)
        x = torch.linalg.solve_triangular(upper, half, upper=True, unitriangular=True)
        return x.mT.reshape(y.shape), -log_diagonal.sum()
