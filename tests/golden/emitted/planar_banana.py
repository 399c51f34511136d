"""q(z); p(z), compiled by pgcompile 0.1.0 from a program."""

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


def named_others(transform: nn.Module) -> dict:
    """Parameters and buffers of an autoregressive transform, but for the layers of its net."""
    named = (*transform.named_parameters(), *transform.named_buffers())
    return {name: part for name, part in named if not name.startswith("net.layers.")}


def others(transform: nn.Module) -> tuple:
    """The same, without their names."""
    return tuple(named_others(transform).values())


class ContextMLP(nn.Sequential):
    """A multi-layer perceptron over a value and its context, beside each other."""

    def __init__(self, features: int, outputs: int, hidden: tuple, act: type = nn.ReLU):
        sizes = (features, *hidden)
        layers = [
            layer
            for size in zip(sizes, hidden)
            for layer in (nn.Linear(*size), activation(act))
        ]
        super().__init__(*layers, nn.Linear(sizes[-1], outputs))

    def by_parameter(self, x: Tensor) -> Tensor:
        """x [features, N] -> outputs [outputs, N], which lie parameter by parameter."""
        for layer in self:
            if isinstance(layer, nn.Linear):
                x = torch.addmm(layer.bias.unsqueeze(-1), layer.weight, x)
            else:
                x = layer(x)
        return x


def activation(act: type) -> nn.Module:
    """An activation of sums that nothing else needs: in place where its derivative needs the value only."""
    return nn.ReLU(inplace=True) if act is nn.ReLU else act()


class Planar(Bijection):
    """y = x + u tanh(w.x + b), with w.u > -1 so that it is invertible (Rezende & Mohamed 2015, appendix A).

    The inverse is one increasing equation along w, solved between brackets.

    Args:
        features: number of features.
        context: number of context features; with some, w, u and b come from a net.
        hidden: hidden units of the net.
        act: activation of the net.
    """

    def __init__(
        self,
        features: int,
        context: int = 0,
        hidden: tuple = (64, 64),
        act: type = nn.ReLU,
    ):
        super().__init__()
        self.features = features
        outputs = 2 * features + 1
        self.net = ContextMLP(context, outputs, hidden, act) if context else None
        if context == 0:
            self.phi = nn.Parameter(torch.randn(outputs) * 0.1)

    def read(self, context: Tensor | None):
        """w, u with w.u > -1, b and w.u."""
        phi = self.phi if self.net is None else self.net(context)
        w, u, b = phi.split((self.features, self.features, 1), -1)
        raw = (w * u).sum(-1, keepdim=True)
        length = w.square().sum(-1, keepdim=True)
        size = length.clamp_min(torch.finfo(w.dtype).tiny)
        change = F.softplus(raw) - 1 - raw
        # Where w is 0, nothing is added to u, and w.u stays 0.
        return w, u + change * w / size, b, raw + change * length / size

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D], log |det dy/dx| [...]."""
        w, u, b, along = self.read(context)
        h = torch.tanh((w * x).sum(-1, keepdim=True) + b)
        return x + u * h, torch.log1p(along * (1 - h.square())).squeeze(-1)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D], log |det dx/dy| [...]."""
        w, u, b, along = self.read(context)
        target = (w * y).sum(-1, keepdim=True)

        # a = w.x lies within |w.u| of w.y.
        def f(step):
            h = torch.tanh(target + step * reach + b)
            return step * reach + along * h, torch.log(
                (1 + along * (1 - h.square())) * reach
            )

        reach = along.abs() + 1e-3
        step, _ = solved(f, torch.zeros_like(target), 1.0)
        h = torch.tanh(target + step * reach + b)
        return y - u * h, -torch.log1p(along * (1 - h.square())).squeeze(-1)


def extended(f, x: Tensor, bound: float):
    """A monotone function on [-bound, bound], continued along its tangents outside.

    Where it is flatter than 1e-3 at the end, it goes on with that slope: every value is
    taken somewhere.

    Returns:
        The value and the log-slope.
    """
    inside = x.clamp(-bound, bound)
    y, log_slope = f(inside)
    log_slope = torch.where(inside == x, log_slope, log_slope.clamp_min(-6.9))
    return torch.addcmul(y, log_slope.exp(), x - inside), log_slope


def solved(f, y: Tensor, bound: float):
    """x with f(x) = y for an increasing f that is continued along its tangents outside [-bound, bound].

    The root is bracketed; Newton steps are taken inside the bracket, halvings in turn. Two last
    steps of Newton carry gradients: each doubles the order that is right, so first and second
    derivatives are those of the inverse function.

    Returns:
        x and the log-slope of the inverse.
    """
    with torch.no_grad():
        low, high = torch.full_like(y, -bound), torch.full_like(y, bound)
        x = torch.zeros_like(y)
        for i in range(24):
            value, log_slope = f(x)
            under = value < y
            low, high = torch.where(under, x, low), torch.where(under, high, x)
            newton = x - (value - y) * torch.exp(-log_slope)
            middle = (low + high) / 2
            x = (
                middle
                if i % 3 == 2
                else torch.where((newton > low) & (newton < high), newton, middle)
            )
    for _ in range(2):
        value, log_slope = extended(f, x, bound)
        x = x - (value - y) * torch.exp(-log_slope)
    return x, -extended(f, x, bound)[1]


class PlanarBanana(nn.Module):
    """q(z); p(z); z: real[2]."""

    def __init__(self) -> None:
        super().__init__()
        steps = []
        for _ in range(8):
            steps.append(Planar(2, hidden=(64, 64), act=nn.ReLU))
        self.f = ComposedTransform(steps, (2,))
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def evidence(self) -> Tensor:
        """E_{q(z); samples=256}[log p(z) - log q(z)]; -> a scalar."""
        # E_{q(z)}: 256 pathwise samples of z
        u = torch.randn_like(self._like.expand(256, 2))
        z, ladj = self.f(u)
        # log p(z), up to a constant
        select = z[..., 0]
        ratio = (z[..., 1] - 0.5 * select.square() + 2.0) / 0.5
        log_p_z = -0.5 * (select / 2.0).square() - 0.5 * ratio.square()
        log_q_z = -0.5 * u.square().sum(-1) - 0.5 * 2 * math.log(2 * math.pi) - ladj
        return (log_p_z - log_q_z).mean(0)

    def loss(self) -> Tensor:
        """The scalar to minimise: minus evidence."""
        u = torch.randn_like(self._like.expand(256, 2))
        z, ladj = self.f(u)
        select = z[..., 0]
        ratio = (z[..., 1] - 0.5 * select.square() + 2.0) / 0.5
        log_p_z = -0.5 * (select / 2.0).square() - 0.5 * ratio.square()
        log_q_z = -0.5 * u.square().sum(-1) - 0.5 * 2 * math.log(2 * math.pi) - ladj
        return -(log_p_z - log_q_z).mean(0)

    def terms(self) -> dict:
        """Every named term."""
        return {"evidence": self.evidence()}

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z); z: [..., 2] -> [...]."""
        z = take(self, "log_prob", z=(z, (2,), "float"))
        select = z[..., 0]
        ratio = (z[..., 1] - 0.5 * select.square() + 2.0) / 0.5
        return -0.5 * (select / 2.0).square() - 0.5 * ratio.square()

    def log_p_z(self, z: Tensor) -> Tensor:
        """log p(z), up to a constant; z: [..., 2] -> [...]."""
        z = take(self, "log_p_z", z=(z, (2,), "float"))
        # log p(z), up to a constant
        select = z[..., 0]
        ratio = (z[..., 1] - 0.5 * select.square() + 2.0) / 0.5
        return -0.5 * (select / 2.0).square() - 0.5 * ratio.square()

    def log_prob_of(self, name: str, /, **values: Tensor) -> Tensor:
        """Log-density of a factor or model by its name, per example."""
        if str(name).replace(" ", "") == "p(z)":
            return self.log_p_z(**values)
        factor = self.factor(name)
        head, _, rest = name.replace(" ", "").split("(")[-1].rstrip(")").partition("|")
        targets, parents = head.split(","), [n for n in rest.split(",") if n]
        if missing := {*targets, *parents} - values.keys():
            raise KeyError(f"{name} needs {min(missing)}")
        asked = {n: values.pop(n) for n in targets}
        found = factor(*[values.pop(n) for n in parents], **values)
        return log_prob_under(self, name, found, asked)

    def q_z(self) -> D.Distribution:
        """q(z) = Flow(Normal(loc=0, scale=1), f.inv)."""
        base = D.Independent(
            D.Normal(self._like.new_zeros(2), 1.0, validate_args=False),
            1,
        )
        return FlowDistribution(base, self.f, inverted=True)

    def factor(self, name: str):
        """A factor by its name: call it with its parents for a distribution."""
        law = {"q(z)": self.q_z}
        if (label := str(name).replace(" ", "")) not in law:
            raise KeyError(f"{name} is not one of {', '.join(law)}")
        return law[label]

    def optimizers(self, fused: bool | None = None) -> list:
        """Adam for evidence."""
        return [torch.optim.Adam(self.parameters(), lr=0.005, fused=fused)]

    def train_step(self, optimizers: list) -> dict:
        """One optimizer step on -evidence; returns the loss before the update."""
        (optimizer,) = optimizers
        loss = self.loss()
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
