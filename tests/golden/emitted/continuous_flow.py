"""p(x), compiled by pgcompile 0.1.0 from a program."""

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


class Continuous(Bijection):
    """dx/dt = net(t, x, context) from t = 0 (data) to t = 1 (base); the log-determinant is the integral of the trace.

    With `solver="dopri5"` the number of steps depends on the values, so it has no
    `torch.compile(fullgraph=True)`, `torch.export` or `vmap`; `rk4` has.

    Args:
        features: number of features.
        context: number of context features.
        hidden: hidden units of the net.
        act: its activation: nn.ELU, nn.Tanh, nn.Softplus, nn.SiLU, nn.Sigmoid or nn.ReLU.
        freqs: number of frequencies that time is given by.
        solver: `rk4` with fixed steps, or `dopri5` with steps by tolerance.
        steps: number of steps of `rk4`.
        atol: absolute tolerance of `dopri5`.
        rtol: relative tolerance of `dopri5`.
        trace: `exact`, or `hutchinson` for an unbiased estimate (Hutchinson 1989).

    Raises:
        ValueError: an unknown solver, trace or activation.
    """

    def __init__(
        self,
        features: int,
        context: int = 0,
        hidden: tuple = (64, 64),
        act: type = nn.ELU,
        freqs: int = 3,
        solver: str = "rk4",
        steps: int = 20,
        atol: float = 1e-6,
        rtol: float = 1e-5,
        trace: str = "exact",
    ):
        super().__init__()
        for name, value, known in (
            ("solver", solver, ("rk4", "dopri5")),
            ("trace", trace, ("exact", "hutchinson")),
        ):
            if value not in known:
                raise ValueError(
                    f"there is no {name} {value!r}: write {' or '.join(known)}"
                )
        if act not in ACTIVATION_SLOPES:
            names = ", ".join(a.__name__ for a in ACTIVATION_SLOPES)
            raise ValueError(f"{act.__name__} has no slope here: use one of {names}")
        if not hidden:
            raise ValueError(
                "the net of a continuous flow has hidden units: give `hidden` at least one number"
            )
        self.net = ContextMLP(features + context + 2 * freqs, features, hidden, act)
        self.slope = ACTIVATION_SLOPES[act]
        self.freqs, self.solver, self.steps = freqs, solver, steps
        self.atol, self.rtol, self.trace = atol, rtol, trace
        self.remember(freqs=freqs, steps=steps, atol=atol, rtol=rtol)

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D], log |det dy/dx| [...]."""
        return self.integrate(x, context, 0.0, 1.0)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D], log |det dx/dy| [...]."""
        return self.integrate(y, context, 1.0, 0.0)

    def integrate(self, x: Tensor, context: Tensor | None, start: float, stop: float):
        """The state and the log-determinant at `stop`."""
        noise = torch.randn_like(x) if self.trace == "hutchinson" else None
        ladj = torch.zeros_like(x[..., :1])

        def rate(t, state):
            return torch.cat(self.rates(t, state[..., :-1], context, noise), -1)

        state = torch.cat((x, ladj), -1)
        t = x.new_full((), start)
        if self.solver == "rk4":
            state = rk4(rate, state, t, stop - start, self.steps)
        else:
            # The log-determinant may err a hundred times as much as the state.
            scale = torch.ones_like(state[..., :1]).expand(state.shape).clone()
            scale[..., -1] = 0.01
            scaled = dopri5(
                lambda t, s: rate(t, s / scale) * scale,
                state,
                t,
                stop - start,
                self.atol,
                self.rtol,
            )
            state = scaled / scale
        return state[..., :-1], state[..., -1]

    def rates(self, t: Tensor, x: Tensor, context: Tensor | None, noise: Tensor | None):
        """dx/dt and its trace [..., 1]: tangents are carried through the net along with its values."""
        turns = (
            torch.arange(1, self.freqs + 1, device=x.device, dtype=x.dtype)
            * math.pi
            * t
        )
        time = torch.cat((turns.cos(), turns.sin())).expand(
            *x.shape[:-1], 2 * self.freqs
        )
        h = torch.cat((time, x) if context is None else (time, x, context), -1)
        first, *rest = self.net
        columns = first.weight[:, 2 * self.freqs : 2 * self.freqs + x.shape[-1]]
        tangent = columns.mT if noise is None else F.linear(noise, columns)
        h = first(h)
        for act, layer in zip(rest[::2], rest[1::2]):
            slope = self.slope(h)
            tangent = tangent * (slope.unsqueeze(-2) if noise is None else slope)
            h = layer(act(h))
            if layer is rest[-1] and noise is None:
                return h, (tangent * layer.weight).sum((-2, -1)).unsqueeze(-1)
            tangent = F.linear(tangent, layer.weight)
        return h, (tangent * noise).sum(-1, keepdim=True)


ACTIVATION_SLOPES = {
    nn.ELU: lambda x: x.clamp(max=0).exp(),
    nn.Tanh: lambda x: 1 - x.tanh().square(),
    nn.Softplus: torch.sigmoid,
    nn.SiLU: lambda x: torch.sigmoid(x) * (1 + x * torch.sigmoid(-x)),
    nn.Sigmoid: lambda x: torch.sigmoid(x) * torch.sigmoid(-x),
    nn.ReLU: lambda x: (x > 0).to(x.dtype),
}


def rk4(rate, state: Tensor, t: Tensor, span: float, steps: int) -> Tensor:
    """The classical rule of Runge and Kutta with equal steps."""
    dt = span / steps
    for _ in range(steps):
        k1 = rate(t, state)
        k2 = rate(t + dt / 2, state + k1 * (dt / 2))
        k3 = rate(t + dt / 2, state + k2 * (dt / 2))
        k4 = rate(t + dt, state + k3 * dt)
        state = state + (k1 + 2 * k2 + 2 * k3 + k4) * (dt / 6)
        t = t + dt
    return state


def dopri5(
    rate, state: Tensor, t: Tensor, span: float, atol: float, rtol: float
) -> Tensor:
    """The rule of Dormand and Prince (1980), with steps such that the error estimate stays in tolerance."""
    left, dt = abs(span), abs(span)
    sign = 1.0 if span > 0 else -1.0
    while state.numel() and left > 1e-12 * abs(span):
        dt = min(dt, left)
        new, error = dopri5_step(rate, state, t, sign * dt)
        bound = atol + rtol * torch.maximum(state.abs(), new.abs())
        worst = max(float((error.abs() / bound).detach().max()), 1e-9)
        if not math.isfinite(worst) or dt < 1e-9 * abs(span):
            raise ArithmeticError(
                "the differential equation of the flow is too stiff: its step shrank to nothing"
            )
        if worst < 1:
            state, t, left = new, t + sign * dt, left - dt
        dt *= min(10.0, max(0.1, 0.9 / worst**0.2))
    return state


def dopri5_step(rate, x: Tensor, t: Tensor, dt: float):
    """One step and its error estimate."""
    table = [
        [1 / 5],
        [3 / 40, 9 / 40],
        [44 / 45, -56 / 15, 32 / 9],
        [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
        [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
        [35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
    ]
    times = [0.2, 0.3, 0.8, 8 / 9, 1.0, 1.0]
    slopes = [rate(t, x)]
    at = x
    for row, share in zip(table, times):
        at = x + dt * sum(a * k for a, k in zip(row, slopes) if a)
        slopes.append(rate(t + share * dt, at))
    error = [
        71 / 57600,
        0.0,
        -71 / 16695,
        71 / 1920,
        -17253 / 339200,
        22 / 525,
        -1 / 40,
    ]
    return at, dt * sum(e * k for e, k in zip(error, slopes) if e)


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


class ContinuousFlow(nn.Module):
    """p(x); x: real[2]."""

    def __init__(self) -> None:
        super().__init__()
        steps = []
        steps.append(
            Continuous(
                2,
                hidden=(64, 64),
                act=nn.Tanh,
                freqs=3,
                solver="rk4",
                steps=10,
                atol=1e-06,
                rtol=1e-05,
                trace="exact",
            ),
        )
        self.f = ComposedTransform(steps, (2,))
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def likelihood(self, x: Tensor) -> Tensor:
        """log p(x); x: [..., 2] -> [...]."""
        x = take(self, "likelihood", x=(x, (2,), "float"))
        # log p(x)
        u, ladj = self.f(x)
        return -0.5 * u.square().sum(-1) - 0.5 * 2 * math.log(2 * math.pi) + ladj

    def loss(self, x: Tensor) -> Tensor:
        """The scalar to minimise: minus the batch mean of likelihood."""
        return -self.likelihood(x).mean()

    def terms(self, x: Tensor) -> dict:
        """Every named term."""
        return {"likelihood": self.likelihood(x)}

    def sample(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Draw from p(x); variables in `given` are held fixed."""
        shape, held = hold(self, shape, given, {"x": ((2,), ())})
        x = held["x"] if "x" in held else self.p_x().sample(shape)
        return {"x": x}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(x); variables in `given` are held fixed."""
        shape, held = hold(self, shape, given, {"x": ((2,), ())})
        x = held["x"] if "x" in held else self.p_x().mean.expand(*shape, 2)
        return {"x": x}

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x); x: [..., 2] -> [...]."""
        x = take(self, "log_prob", x=(x, (2,), "float"))
        u, ladj = self.f(x)
        return -0.5 * u.square().sum(-1) - 0.5 * 2 * math.log(2 * math.pi) + ladj

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

    def p_x(self) -> D.Distribution:
        """p(x) = Flow(Normal(loc=0, scale=1), f)."""
        base = D.Independent(
            D.Normal(self._like.new_zeros(2), 1.0, validate_args=False),
            1,
        )
        return FlowDistribution(base, self.f)

    def factor(self, name: str):
        """A factor by its name: call it with its parents for a distribution."""
        law = {"p(x)": self.p_x}
        if (label := str(name).replace(" ", "")) not in law:
            raise KeyError(f"{name} is not one of {', '.join(law)}")
        return law[label]

    def optimizers(self, fused: bool | None = None) -> list:
        """Adam for likelihood."""
        return [torch.optim.Adam(self.parameters(), lr=0.002, fused=fused)]

    def train_step(self, optimizers: list, x: Tensor) -> dict:
        """One optimizer step on -likelihood; returns the loss before the update."""
        (optimizer,) = optimizers
        loss = self.loss(x)
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
