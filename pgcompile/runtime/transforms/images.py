"""Transforms of images: couplings by convolutions, 1x1 convolutions, activation normalisation, shapes."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pgcompile.runtime.transforms.bijection import Bijection
from pgcompile.runtime.transforms.composed import added

__all__ = [
    "ActNorm",
    "BatchNorm",
    "Conv1x1",
    "Flatten",
    "ImageCoupling",
    "Squeeze",
    "Unflatten",
    "Unsqueeze",
]


class ImageCoupling(Bijection):
    """Affine coupling of an image by convolutions (Dinh et al. 2017; Kingma & Dhariwal 2018).

    Args:
        shape: [C, H, W].
        context: number of context features, given to every pixel.
        hidden: channels of the net.
        mask: `channel` keeps the first half of the channels, `checkerboard` every other pixel.
        flip: keep the other half instead.
        slope: the least slope.
        bound: keep the log-scale between -bound and bound by a tanh instead.
        net: a module of your own, from [N, C + context, H, W] to shifts and log-scales [N, 2 C, H, W].

    Raises:
        ValueError: no such mask, or one channel only for `channel`.
    """

    argument = "shape"
    takes = "image"
    conditional = True
    domain = "real"
    codomain = "real"
    shape_rule = "same"
    rearranges = False
    net_gives = {"": 2}
    options = {
        "hidden": {"kind": "integer", "at_least": 1},
        "mask": {
            "kind": "word",
            "words": ("channel", "checkerboard"),
            "least": {"channel": 2},
        },
        "flip": {"kind": "flag"},
        "slope": {"kind": "real", "above": 0, "below": 1},
        "bound": {"kind": "real", "above": 0},
        "net": {"kind": "module"},
    }

    kept: Tensor

    def __init__(
        self,
        shape: tuple,
        context: int = 0,
        hidden: int = 64,
        mask: str = "channel",
        flip: bool = False,
        slope: float = 1e-3,
        bound: float | None = None,
        net=None,
    ):
        super().__init__()
        channels, height, width = shape
        if mask not in ("channel", "checkerboard"):
            raise ValueError(
                f"there is no image mask {mask!r}: write channel or checkerboard"
            )
        if mask == "channel" and channels < 2:
            raise ValueError(
                "a channel mask needs two channels: put Squeeze before it, or use a checkerboard mask"
            )
        if bound is None:
            self.remember(slope=slope)
        else:
            self.remember(bound=bound)
        self.limit, self.bound = -math.log(slope), bound
        if mask == "channel":
            kept = (torch.arange(channels) < (channels + 1) // 2)[:, None, None]
        else:
            kept = (torch.arange(height)[:, None] + torch.arange(width)) % 2 == 0
        self.register_buffer("kept", (kept != flip).expand(shape).clone())
        self.net = net
        if net is not None:
            return
        self.first = nn.Conv2d(channels + context, hidden, 3, padding=1)
        self.middle = nn.Conv2d(hidden, hidden, 1)
        self.last = nn.Conv2d(hidden, 2 * channels, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def read(self, x: Tensor, context: Tensor | None):
        """Shift and log-scale [..., C, H, W], zero where the image is kept."""
        shown = torch.where(self.kept, x, 0.0)
        if context is not None:
            plane = context[..., None, None].expand(*context.shape, *x.shape[-2:])
            shown = torch.cat((shown, plane), -3)
        flat = shown.reshape(-1, *shown.shape[-3:])
        if self.net is not None:
            phi = self.net(flat)
        else:
            phi = self.last(F.relu(self.middle(F.relu(self.first(flat)))))
        shift, raw = phi.reshape(*x.shape[:-3], *phi.shape[-3:]).chunk(2, -3)
        if self.bound is not None:
            log_scale = self.bound * torch.tanh(raw / self.bound)
        else:
            log_scale = raw / (1 + (raw / self.limit).abs())
        moved = ~self.kept
        return torch.where(moved, shift, 0.0), torch.where(moved, log_scale, 0.0)

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., C, H, W] -> y [..., C, H, W], log |det dy/dx| [...]."""
        shift, log_scale = self.read(x, context)
        return torch.addcmul(shift, x, log_scale.exp()), log_scale.sum((-3, -2, -1))

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., C, H, W] -> x [..., C, H, W], log |det dx/dy| [...]."""
        shift, log_scale = self.read(y, context)
        return (y - shift) * torch.exp(-log_scale), -log_scale.sum((-3, -2, -1))


class Conv1x1(Bijection):
    """A 1x1 convolution: the same linear map of the channels at every pixel (Kingma & Dhariwal 2018).

    Args:
        shape: [C, H, W].
        lu: hold the matrix as a product of triangles, whose determinant costs nothing.
    """

    argument = "shape"
    takes = "image"
    domain = "real"
    codomain = "real"
    shape_rule = "same"
    rearranges = False
    options = {
        "lu": {"kind": "flag"},
    }

    order: Tensor

    def __init__(self, shape: tuple, lu: bool = True):
        super().__init__()
        self.pixels = shape[1] * shape[2]
        self.lu = lu
        start = torch.linalg.qr(torch.randn(shape[0], shape[0])).Q
        if not lu:
            self.weight = nn.Parameter(start)
            return
        turned, lower, upper = torch.linalg.lu(start)
        self.register_buffer("order", turned.argmax(-1))
        self.register_buffer("sign", upper.diagonal().sign())
        self.log_diagonal = nn.Parameter(upper.diagonal().abs().log())
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))

    def triangles(self):
        """L and U; rows of their product are taken in `order`."""
        lower = self.lower.tril(-1) + torch.diag(torch.ones_like(self.log_diagonal))
        return lower, self.upper.triu(1) + torch.diag(
            self.sign * self.log_diagonal.exp()
        )

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., C, H, W] -> y [..., C, H, W], log |det dy/dx|."""
        if self.lu:
            lower, upper = self.triangles()
            weight, ladj = (lower @ upper)[self.order], self.log_diagonal.sum()
        else:
            weight, ladj = self.weight, torch.linalg.slogdet(self.weight).logabsdet
        return (weight @ x.flatten(-2)).unflatten(-1, x.shape[-2:]), ladj * self.pixels

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., C, H, W] -> x [..., C, H, W], log |det dx/dy|."""
        if not self.lu:
            ladj = torch.linalg.slogdet(self.weight).logabsdet
            x = torch.linalg.inv(self.weight) @ y.flatten(-2)
            return x.unflatten(-1, y.shape[-2:]), -ladj * self.pixels
        lower, upper = self.triangles()
        sorted_rows = y.index_select(-3, torch.argsort(self.order)).movedim(-3, 0)
        half = torch.linalg.solve_triangular(
            lower, sorted_rows.flatten(1), upper=False, unitriangular=True
        )
        x = torch.linalg.solve_triangular(upper, half, upper=True)
        return x.reshape(sorted_rows.shape).movedim(
            0, -3
        ), -self.log_diagonal.sum() * self.pixels


class ActNorm(Bijection):
    """y = exp(a) (x - b) for each channel, set from the first batch of training (Kingma & Dhariwal 2018).

    That it has been set is part of the checkpoint: a loaded one is not set again.

    Args:
        shape: [D] or [C, H, W].
    """

    argument = "shape"
    takes = "vector or image"
    domain = "real"
    codomain = "real"
    shape_rule = "same"
    rearranges = False
    options = {}

    initialised: Tensor

    def __init__(self, shape: tuple):
        super().__init__()
        self.rank = len(shape)
        self.pixels = math.prod(shape[1:])
        self.loc = nn.Parameter(torch.zeros(shape[0], *(1 for _ in shape[1:])))
        self.log_scale = nn.Parameter(torch.zeros(shape[0], *(1 for _ in shape[1:])))
        self.register_buffer("initialised", torch.zeros((), dtype=torch.bool))
        self.ready = False

    def _load_from_state_dict(self, state, prefix, *rest):
        super()._load_from_state_dict(state, prefix, *rest)
        if not self.initialised.is_meta:
            self.ready = bool(self.initialised)

    @torch.no_grad()
    def settle(self, x: Tensor) -> None:
        """Zero mean and unit variance over a batch."""
        over = [d for d in range(x.dim()) if d != x.dim() - self.rank]
        shape = self.loc.shape
        if x.numel() // shape[0] < 2:
            raise ValueError(
                "activation normalisation is set from a batch: give two examples or more"
            )
        self.loc.copy_(x.mean(over).reshape(shape))
        self.log_scale.copy_(-(x.std(over, correction=0) + 1e-6).log().reshape(shape))
        self.initialised.fill_(True)
        self.ready = True

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., *shape] -> y [..., *shape], log |det dy/dx|."""
        if self.training and not self.ready:
            self.settle(x)
        return (x - self.loc) * self.log_scale.exp(), self.log_scale.sum() * self.pixels

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., *shape] -> x [..., *shape], log |det dx/dy|."""
        return y * torch.exp(
            -self.log_scale
        ) + self.loc, -self.log_scale.sum() * self.pixels


class BatchNorm(Bijection):
    """Batch normalisation as a transform (Dinh et al. 2017): batch statistics in training, running ones else and back.

    Args:
        shape: [D] or [C, H, W]: a channel has one mean and one variance.
        eps: added to the variance.
        momentum: share of the running statistics that a batch replaces.
    """

    argument = "shape"
    takes = "vector or image"
    domain = "real"
    codomain = "real"
    shape_rule = "same"
    rearranges = False
    options = {
        "eps": {"kind": "real", "above": 0},
        "momentum": {"kind": "real", "above": 0, "at_most": 1},
    }

    mean: Tensor
    variance: Tensor

    def __init__(self, shape: tuple, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.remember(eps=eps)
        self.rank, self.eps, self.momentum = len(shape), eps, momentum
        self.pixels = math.prod(shape[1:])
        each = (shape[0], *(1 for _ in shape[1:]))
        self.log_gain = nn.Parameter(torch.zeros(each))
        self.bias = nn.Parameter(torch.zeros(each))
        self.register_buffer("mean", torch.zeros(each))
        self.register_buffer("variance", torch.ones(each))

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., *shape] -> y [..., *shape], log |det dy/dx|."""
        mean, variance = self.mean, self.variance
        if self.training:
            over = [d for d in range(x.dim()) if d != x.dim() - self.rank]
            if x.numel() // self.mean.numel() < 2:
                raise ValueError(
                    "batch normalisation is trained on batches of two examples or more"
                )
            variance, mean = torch.var_mean(x, over, correction=0)
            mean, variance = (
                mean.reshape(self.mean.shape),
                variance.reshape(self.mean.shape),
            )
            with torch.no_grad():
                self.mean.lerp_(mean.to(self.mean.dtype), self.momentum)
                self.variance.lerp_(variance.to(self.mean.dtype), self.momentum)
        log_scale = self.log_gain - (variance + self.eps).log() / 2
        return (x - mean) * log_scale.exp() + self.bias, log_scale.sum() * self.pixels

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., *shape] -> x [..., *shape], log |det dx/dy|, by the running statistics."""
        log_scale = self.log_gain - (self.variance + self.eps).log() / 2
        return (y - self.bias) * torch.exp(
            -log_scale
        ) + self.mean, -log_scale.sum() * self.pixels


class Squeeze(Bijection):
    """Blocks of factor x factor pixels as channels (Dinh et al. 2017)."""

    argument = "none"
    takes = "image"
    domain = "any"
    codomain = "any"
    shape_rule = "blocks_to_channels"
    rearranges = True
    options = {
        "factor": {"kind": "integer", "at_least": 1},
    }

    def __init__(self, factor: int = 2):
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., C, H, W] -> y [..., C f f, H / f, W / f]."""
        return F.pixel_unshuffle(x, self.factor), None

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., C f f, H / f, W / f] -> x [..., C, H, W]."""
        return F.pixel_shuffle(y, self.factor), None


class Unsqueeze(Squeeze):
    """Channels as blocks of factor x factor pixels: the inverse of `Squeeze`."""

    shape_rule = "channels_to_blocks"

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., C f f, H, W] -> y [..., C, H f, W f]."""
        return super().inverse(x, context)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., C, H f, W f] -> x [..., C f f, H, W]."""
        return super().forward(y, context)


class Flatten(Bijection):
    """An array as a vector.

    Args:
        shape: event shape of the array.
    """

    argument = "shape"
    takes = "any shape"
    domain = "any"
    codomain = "any"
    shape_rule = "flat"
    rearranges = True
    options = {}

    def __init__(self, shape: tuple):
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., *shape] -> y [..., D]."""
        return x.flatten(-len(self.shape)), None

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., *shape]."""
        return y.unflatten(-1, self.shape), None


class Unflatten(Bijection):
    """A vector as an array.

    Args:
        features: number of features.
        into: event shape of the array.

    Raises:
        ValueError: the array has another number of entries.
    """

    argument = "features"
    takes = "vector"
    domain = "any"
    codomain = "any"
    shape_rule = "into"
    rearranges = True
    options = {
        "into": {"kind": "sizes", "entries": 1},
    }

    def __init__(self, features: int, into: tuple = ()):
        super().__init__()
        if math.prod(into) != features:
            raise ValueError(f"{features} features are no array of shape {list(into)}")
        self.into = tuple(into)

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., *into]."""
        return x.unflatten(-1, self.into), None

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., *into] -> x [..., D]."""
        return y.flatten(-len(self.into)), None


class MultiScale(Bijection):
    """Half of the channels go to the base as they are, the others through more transforms (Dinh et al. 2017).

    Args:
        shape: [C, H, W].
        transforms: what the first half of the channels goes through.
        out_shape: event shape of what these give.
    """

    def __init__(self, shape: tuple, transforms, out_shape: tuple):
        super().__init__()
        self.transforms = nn.ModuleList(transforms)
        self.shape, self.out_shape = tuple(shape), tuple(out_shape)
        self.first = (shape[0] + 1) // 2

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., C, H, W] -> y [..., C H W], log |det dy/dx| [...]."""
        x, left = x.split((self.first, self.shape[0] - self.first), -3)
        total = None
        for transform in self.transforms:
            x, ladj = transform(x, context)
            total = added(total, ladj)
        return torch.cat((x.flatten(-len(self.out_shape)), left.flatten(-3)), -1), total

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., C H W] -> x [..., C, H, W], log |det dx/dy| [...]."""
        inner = math.prod(self.out_shape)
        y, left = y.split((inner, y.shape[-1] - inner), -1)
        y = y.unflatten(-1, self.out_shape)
        total = None
        for transform in reversed(self.transforms):
            y, ladj = transform.inverse(y, context)
            total = added(total, ladj)
        left = left.unflatten(-1, (self.shape[0] - self.first, *self.shape[1:]))
        return torch.cat((y, left), -3), total
