"""p(grey), compiled by pgcompile 0.1.0 from a program."""

import math

import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor, nn


class FlowDistribution(D.Distribution):
    """A base seen through a flow, which takes data to it and back."""

    arg_constraints = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, base, flow, context=None, inverted=False) -> None:
        self.base, self.flow = base, flow
        self.context, self.inverted = context, inverted
        shape = flow.out_shape if inverted else flow.shape
        batch = base.batch_shape
        if context is not None:
            batch = torch.broadcast_shapes(batch, context.shape[:-1])
            self.base = base.expand(batch)
        super().__init__(batch, torch.Size(shape), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Where the mean of the base comes from, which is no mean but its place."""
        return self._back(self.base.mean)[0]

    def expand(self, batch_shape, _instance=None):
        """The same for more batch dimensions."""
        base = self.base.expand(batch_shape)
        return FlowDistribution(base, self.flow, self.context, self.inverted)

    def _back(self, u: Tensor) -> tuple:
        run = self.flow if self.inverted else self.flow.inverse
        return run(u, self.context)

    def log_prob(self, value: Tensor) -> Tensor:
        """log-density of the base where the flow takes a value, and log-determinant."""
        run = self.flow.inverse if self.inverted else self.flow
        u, ladj = run(value, self.context)
        return self.base.log_prob(u) + ladj

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Pathwise draws."""
        return self._back(self.base.rsample(sample_shape))[0]

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draws without a gradient."""
        if torch.compiler.is_compiling():
            with torch.no_grad():
                return self.rsample(sample_shape)
        with torch.inference_mode():  # many small steps, of which nothing is kept
            draws = self.rsample(sample_shape)
        return draws.clone()  # a tensor like any other

    def rsample_and_log_prob(self, sample_shape=()) -> tuple:
        """Pathwise draws and their log-density, from one pass through the flow."""
        u = self.base.rsample(sample_shape)
        x, ladj = self._back(u)
        return x, self.base.log_prob(u) - ladj


class Bijection(nn.Module):
    """An invertible map with its log-determinant, from data to the base.

    A call gives y and log |det dy/dx|; `inverse` gives x and log |det dx/dy|. The
    log-determinant is zero for a map that keeps volumes, else it broadcasts to the batch.
    """

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


class ComposedTransform(Bijection):
    """Transforms one after another, the first applied first to data.

    Args:
        transforms: the transforms.
        shape: event shape of the data.
        out_shape: event shape of the base, if it is another one.
        context: number of context features, 0 for none.

    Raises:
        ValueError: the value or the context has other features, or the context is missing.
    """

    def __init__(
        self, transforms, shape: tuple, out_shape: tuple | None = None, context: int = 0
    ):
        super().__init__()
        self.transforms = nn.ModuleList(transforms)
        self.shape = tuple(shape)
        self.out_shape = self.shape if out_shape is None else tuple(out_shape)
        self.context = context

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., *shape], context [..., C] -> y [..., *out_shape], log |det dy/dx| [...]."""
        x, context = self.broadcast(x, context, self.shape)
        batch = x.shape[: x.dim() - len(self.shape)]
        total = None
        for transform in self.transforms:
            x, ladj = transform(x, context)
            total = added(total, ladj)
        return x, spread(total, x, batch)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., *out_shape], context [..., C] -> x [..., *shape], log |det dx/dy| [...]."""
        y, context = self.broadcast(y, context, self.out_shape)
        batch = y.shape[: y.dim() - len(self.out_shape)]
        total = None
        for transform in reversed(self.transforms):
            y, ladj = transform.inverse(y, context)
            total = added(total, ladj)
        return y, spread(total, y, batch)

    def broadcast(self, x: Tensor, context: Tensor | None, shape: tuple):
        """The value and the context over their common batch."""
        rank = len(shape)
        if x.dim() < rank or x.shape[x.dim() - rank :] != shape:
            raise ValueError(
                f"the flow takes values of shape [..., {str(list(shape))[1:-1]}], not {list(x.shape)}"
            )
        if self.context == 0 and context is None:
            return x, None
        if context is None:
            raise ValueError(
                f"the flow over {math.prod(shape)} features takes a context of {self.context}: none is given"
            )
        if self.context == 0:
            raise ValueError(
                f"the flow over {math.prod(shape)} features takes no context: one is given"
            )
        if context.dim() < 1 or context.shape[-1] != self.context:
            raise ValueError(
                f"the flow over {math.prod(shape)} features takes a context of shape [..., {self.context}], "
                f"not {list(context.shape)}"
            )
        batch = torch.broadcast_shapes(x.shape[: x.dim() - rank], context.shape[:-1])
        return x.expand(*batch, *shape), context.expand(*batch, self.context)


def added(total: Tensor | None, ladj: Tensor | None):
    """The sum of log-determinants, None for zero."""
    if total is None or ladj is None:
        return ladj if total is None else total
    return total + ladj


def spread(total: Tensor | None, x: Tensor, batch: tuple) -> Tensor:
    """A log-determinant over the whole batch."""
    return x.new_zeros(batch) if total is None else total.expand(batch)


class ElementwiseFunction(Bijection):
    """y_i = f(x_i), for one f.

    Args:
        shape: event shape.
    """

    def __init__(self, shape: tuple):
        super().__init__()
        self.axes = tuple(range(-len(shape), 0))

    def call(self, x: Tensor):
        """The value and the log-slope."""
        raise NotImplementedError

    def back(self, y: Tensor) -> Tensor:
        """The value of the inverse."""
        raise NotImplementedError

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., *shape] -> y [..., *shape], log |det dy/dx| [...]."""
        y, slope = self.call(x)
        return y, slope.expand(x.shape).sum(self.axes) if self.axes else slope

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., *shape] -> x [..., *shape], log |det dx/dy| [...]."""
        x = self.back(y)
        slope = -self.call(x)[1]
        return x, slope.expand(y.shape).sum(self.axes) if self.axes else slope


class Logit(ElementwiseFunction):
    """y = logit(alpha + (1 - 2 alpha) x): the unit interval to reals (Dinh et al. 2017).

    Args:
        shape: event shape.
        alpha: keeps the ends of the interval finite.
    """

    def __init__(self, shape: tuple, alpha: float = 0.05):
        super().__init__(shape)
        self.remember(alpha=alpha)
        self.alpha = alpha

    def call(self, x: Tensor):
        """The value and the log-slope."""
        y = torch.logit(self.alpha + (1 - 2 * self.alpha) * x)
        return y, F.softplus(y) + F.softplus(-y) + math.log(1 - 2 * self.alpha)

    def back(self, y: Tensor) -> Tensor:
        """(sigmoid y - alpha) / (1 - 2 alpha)."""
        return (torch.sigmoid(y) - self.alpha) / (1 - 2 * self.alpha)


class Dequantise(ElementwiseFunction):
    """y = (x + u) / levels with u uniform in [0, 1): grey levels 0, 1, .. to the unit interval (Theis et al. 2016).

    The density of y so found is, on average, a lower bound of the probability of x; the constant
    -log(levels) an entry is in the log-determinant. The way back rounds down, and gives no noise.

    Args:
        shape: event shape.
        levels: number of grey levels.
    """

    def __init__(self, shape: tuple, levels: int = 256):
        super().__init__(shape)
        self.remember(levels=levels)
        self.levels = levels

    def noise(self, x: Tensor) -> Tensor:
        """The noise added to grey levels."""
        return torch.rand_like(x)

    def call(self, x: Tensor):
        """The value and the log-slope."""
        slope = torch.full_like(x, -math.log(self.levels))
        return (x + self.noise(x)) / self.levels, slope

    def back(self, y: Tensor) -> Tensor:
        """The grey level."""
        return (y * self.levels).floor().clamp(0, self.levels - 1)


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


class Squeeze(Bijection):
    """Blocks of factor x factor pixels as channels (Dinh et al. 2017)."""

    def __init__(self, factor: int = 2):
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., C, H, W] -> y [..., C f f, H / f, W / f]."""
        return F.pixel_unshuffle(x, self.factor), None

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., C f f, H / f, W / f] -> x [..., C, H, W]."""
        return F.pixel_shuffle(y, self.factor), None


class Unflatten(Bijection):
    """A vector as an array.

    Args:
        features: number of features.
        into: event shape of the array.

    Raises:
        ValueError: the array has another number of entries.
    """

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


def named_others(transform: nn.Module) -> dict:
    """Parameters and buffers of an autoregressive transform, but for the layers of its net."""
    named = (*transform.named_parameters(), *transform.named_buffers())
    return {name: part for name, part in named if not name.startswith("net.layers.")}


def others(transform: nn.Module) -> tuple:
    """The same, without their names."""
    return tuple(named_others(transform).values())


class Glow(nn.Module):
    """p(grey); grey: nonnegative_integer[64]."""

    def __init__(self) -> None:
        super().__init__()
        steps = []
        steps += [
            Dequantise((64,), levels=17),
            Logit((64,), alpha=0.05),
            Unflatten(64, into=(1, 8, 8)),
            Squeeze(factor=2),
        ]
        for _ in range(4):
            steps += [
                ActNorm((4, 4, 4)),
                Conv1x1((4, 4, 4), lu=True),
                ImageCoupling(
                    (4, 4, 4),
                    hidden=64,
                    mask="channel",
                    flip=False,
                    slope=0.001,
                ),
            ]
        steps_2 = []
        steps_2.append(Squeeze(factor=2))
        for _ in range(4):
            steps_2 += [
                ActNorm((8, 2, 2)),
                Conv1x1((8, 2, 2), lu=True),
                ImageCoupling(
                    (8, 2, 2),
                    hidden=64,
                    mask="channel",
                    flip=False,
                    slope=0.001,
                ),
            ]
        steps.append(MultiScale((4, 4, 4), steps_2, (8, 2, 2)))
        self.f = ComposedTransform(steps, (64,))
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def likelihood(self, grey: Tensor) -> Tensor:
        """log p(grey); grey: [..., 64] -> [...]."""
        grey = take(self, "likelihood", grey=(grey, (64,)))
        # log p(grey)
        u, ladj = self.f(grey)
        return -0.5 * u.square().sum(-1) - 0.5 * 64 * math.log(2 * math.pi) + ladj

    def loss(self, grey: Tensor) -> Tensor:
        """The scalar to minimise: minus the batch mean of likelihood."""
        return -self.likelihood(grey).mean()

    def terms(self, grey: Tensor) -> dict:
        """Every named term."""
        return {"likelihood": self.likelihood(grey)}

    def sample(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Draw from p(grey); variables in `given` are held fixed."""
        shape, held = hold(self, shape, given, {"grey": ((64,), ())})
        grey = held["grey"] if "grey" in held else self.p_grey().sample(shape)
        return {"grey": grey}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(grey); variables in `given` are held fixed."""
        shape, held = hold(self, shape, given, {"grey": ((64,), ())})
        grey = held["grey"] if "grey" in held else self.p_grey().mean.expand(*shape, 64)
        return {"grey": grey}

    def log_prob(self, grey: Tensor) -> Tensor:
        """log p(grey); grey: [..., 64] -> [...]."""
        grey = take(self, "log_prob", grey=(grey, (64,)))
        u, ladj = self.f(grey)
        return -0.5 * u.square().sum(-1) - 0.5 * 64 * math.log(2 * math.pi) + ladj

    def log_prob_of(self, name: str, /, **values: Tensor) -> Tensor:
        """Log-density of a factor or model by its name, per example."""
        factor = self.factor(name)
        head, _, rest = name.replace(" ", "").split("(")[-1].rstrip(")").partition("|")
        targets, parents = head.split(","), [n for n in rest.split(",") if n]
        if missing := {*targets, *parents} - values.keys():
            raise KeyError(f"{name} needs {min(missing)}")
        asked = {n: values.pop(n) for n in targets}
        found = factor(*[values.pop(n) for n in parents], **values)
        return log_prob_under(self, name, found, asked)

    def p_grey(self) -> D.Distribution:
        """p(grey) = Flow(Normal(loc=0, scale=1), f)."""
        base = D.Independent(
            D.Normal(self._like.new_zeros(64), 1.0, validate_args=False),
            1,
        )
        return FlowDistribution(base, self.f)

    def factor(self, name: str):
        """A factor by its name: call it with its parents for a distribution."""
        law = {"p(grey)": self.p_grey}
        if (label := str(name).replace(" ", "")) not in law:
            raise KeyError(f"{name} is not one of {', '.join(law)}")
        return law[label]

    def optimizers(self, fused: bool | None = None) -> list:
        """Adam for likelihood."""
        return [torch.optim.Adam(self.parameters(), lr=0.001, fused=fused)]

    def train_step(self, optimizers: list, grey: Tensor) -> dict:
        """One optimizer step on -likelihood; returns the loss before the update."""
        (optimizer,) = optimizers
        loss = self.loss(grey)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach()}


# What is said of calls that are wrong.


def out_of_range(value: Tensor, allowed) -> int | None:
    """A whole number that is not allowed; None where reading it would wait, or fail."""
    if not value.is_cpu or torch.compiler.is_compiling():
        return None
    try:
        ends = [int(end) for end in value.aminmax()]
    except RuntimeError:  # there is none, or it is one of many under vmap
        return None
    return next((n for n in ends if not allowed[0] <= n <= allowed[-1]), None)


def take_one(like: Tensor, said: str, value, shape: tuple, kind=None) -> Tensor:
    """A dense real tensor that ends in `shape`, in a module's dtype and on its device.

    The kind of its numbers is "float", "int64", or the range of a category's values.
    """
    real = isinstance(value, Tensor) and not value.is_complex()
    if not real or value.layout is not torch.strided:
        is_tensor = isinstance(value, Tensor)
        got = f"{value.dtype} ({value.layout})" if is_tensor else type(value)
        raise TypeError(f"{said} must be a dense real tensor, not {got}")
    size = tuple(value.shape)
    if size[max(len(size) - len(shape), 0) :] != shape:
        raise ValueError(f"{said} ends in {shape}, not {size}")
    if kind is not None and value.is_floating_point() is (kind != "float"):
        wanted = "float" if kind == "float" else "int64"
        raise TypeError(f"{said} must be {wanted}, not {value.dtype}")
    if isinstance(kind, range) and (found := out_of_range(value, kind)) is not None:
        raise ValueError(f"{said} must lie in {kind[0]}..{kind[-1]}, not {found}")
    if value.is_meta and not like.is_meta:
        raise ValueError(f"{said} is on meta, the module on {like.device}")
    if kind is None or kind == "float":
        return value.to(like)
    return value.to(like.device, torch.int64)


def broadcast_batches(formula: str, batch: dict) -> tuple:
    """The shape that batch shapes, by variable, broadcast to."""
    first, *others = [*batch.values()] or [()]
    if all(size == first for size in others):
        return first
    try:
        return torch.broadcast_shapes(*batch.values())
    except RuntimeError:
        said = ", ".join(f"{name} {tuple(size)}" for name, size in batch.items())
    said = f"the batch shapes of {said} in {formula} do not broadcast together"
    raise ValueError(said)


def take_each(module, formula: str, variables: dict) -> tuple:
    """Variables as `take_one` gives them, each of its event shape, and the batch shapes."""
    found, batch = [], {}
    for name, (value, shape, *kind) in variables.items():
        value = take_one(module._like, f"{name} of {formula}", value, shape, *kind)
        found.append(value)
        batch[name] = tuple(value.shape)[: value.ndim - len(shape)]
    return found, batch


def take(module, formula: str, /, **variables):
    """Variables in a module's dtype and on its device; their batches must broadcast."""
    found, batch = take_each(module, formula, variables)
    broadcast_batches(formula, batch)
    return found if len(found) > 1 else found[0]


def log_prob_under(module, name: str, found, values: dict, /, **kinds) -> Tensor:
    """Log-density of a factor's variables; `kinds` has the ranges of categories."""
    (first, value), *more = values.items()
    known = {first: (value, tuple(found.event_shape), kinds.get(first))}
    (value,), batch = take_each(module, name, known)
    if not more:
        broadcast_batches(name, {**batch, "its parents": tuple(found.batch_shape)})
    return found.log_prob(value, *(v for _, v in more))


def values_of(given: dict | None) -> dict:
    """What a sampler is given, by name."""
    if given is not None and not hasattr(given, "items"):
        raise TypeError(f"given must be a dict of tensors by name, not {given!r}")
    return given or {}


def shape_of_draws(shape) -> tuple:
    """The batch shape of draws: a number, or several."""
    try:
        return torch.empty(shape, device="meta").shape
    except (TypeError, RuntimeError):
        said = "shape must be a number of draws or a tuple of such, not"
    raise TypeError(f"{said} {shape!r}")


def hold(module, shape: tuple, given: dict | None, variables: dict) -> tuple:
    """Check and expand what is given; `variables`: event shape, parents, kind."""
    shape, given, held, batch = shape_of_draws(shape), values_of(given), {}, {}
    for name, value in given.items():
        if name not in variables:
            raise KeyError(f"{name} is not one of {', '.join(variables)}")
        event, above, *kind = variables[name]
        if missing := {*above} - given.keys():
            raise ValueError(f"{name} is given, but {min(missing)} above it is not")
        held[name] = take_one(module._like, f"{name} in given", value, event, *kind)
        batch[name] = tuple(value.shape[: value.ndim - len(event)])
    shape = (*shape, *broadcast_batches("given", batch))
    return shape, {n: v.expand((*shape, *variables[n][0])) for n, v in held.items()}
