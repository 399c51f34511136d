"""p(x), compiled by pgcompile 0.1.0 from a program."""

import math

import torch
import torch.distributions as D
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


class Univariate(Bijection):
    """A map of single numbers with parameters, y = f(x; phi).

    A call takes x [F, N] and phi [P * F, N], which lie parameter by parameter, and gives y and
    the log-slopes [F, N], or None for a slope of one; `at` says which features they are.
    """

    parameters_each: int

    def by_parameter(self, phi: Tensor) -> Tensor:
        """phi [P * F, N] -> [P, F, N]."""
        return phi.unflatten(0, (self.parameters_each, -1))

    def prepared(self, y: Tensor) -> tuple:
        """The tensors that an inverse takes of y [F, N] before its parameters are known: tensors [F, N]."""
        return (y,)

    def solved(self, prepared: tuple, phi: Tensor, at=None):
        """x [F, N], and what its log-slope is made of: tensors [F, N]."""
        (y,) = prepared
        x, slope = self.inverse(y, phi, at)
        return x, () if slope is None else (slope,)

    def log_slopes(self, parts: tuple) -> Tensor:
        """The log-slopes [F, N] of an inverse."""
        return parts[0]


class Coupling(Bijection):
    """y_kept = x_kept, y_moved = f(x_moved; net(x_kept, context)) (Dinh et al. 2014, 2017).

    Args:
        features: number of features, at least 2.
        univariate: f.
        context: number of context features.
        hidden: hidden units of the net.
        act: activation of the net.
        mask: which features are kept: `even`, `odd`, `first`, `last`, `random`, or a list of truth values.
        net: a module of your own, from [N, kept + context] to parameters [N, parameters * moved].
    """

    kept: Tensor
    moved: Tensor
    places: Tensor

    def __init__(
        self,
        features: int,
        univariate,
        context: int,
        hidden: tuple,
        act: type,
        mask,
        net=None,
    ):
        super().__init__()
        device = torch.get_default_device()
        with torch.device("cpu"):  # also where the module is made without data
            chosen = coupling_mask(features, mask)
        self.univariate = univariate
        kept = int(chosen.sum())
        outputs = univariate.parameters_each * (features - kept)
        self.net = (
            ContextMLP(kept + context, outputs, hidden, act) if net is None else net
        )
        self.register_buffer("mask", chosen.to(device))
        self.settle(chosen, device)

    def settle(self, mask: Tensor, device: torch.device) -> None:
        """Positions of the features that are kept and of those that are moved."""
        kept, moved = mask.nonzero().squeeze(-1), (~mask).nonzero().squeeze(-1)
        places = torch.argsort(torch.cat((kept, moved)))
        self.hold(device, kept=kept, moved=moved, places=places)

    def _load_from_state_dict(self, state, prefix, *rest):
        super()._load_from_state_dict(state, prefix, *rest)
        if not self.mask.is_meta:
            self.settle(self.mask.cpu(), self.mask.device)

    def couple(
        self, kept: Tensor, moved: Tensor, context: Tensor | None, backwards: bool
    ):
        """The features that move and the log-determinant, data points as columns."""
        inputs = kept if context is None else torch.cat((kept, context))
        if isinstance(self.net, ContextMLP):
            phi = self.net.by_parameter(inputs)
        else:
            phi = self.net(inputs.mT).mT
        f = self.univariate.inverse if backwards else self.univariate
        moved, slope = f(moved, phi, self.moved)
        return moved, None if slope is None else slope.sum(0)

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D], log |det dy/dx| [...]."""
        return self.apply_to(x, context, False)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D], log |det dx/dy| [...]."""
        return self.apply_to(y, context, True)

    def apply_to(self, x: Tensor, context: Tensor | None, backwards: bool):
        """One way or the other."""
        columns = as_columns(x)
        kept, moved = columns[self.kept], columns[self.moved]
        moved, ladj = self.couple(kept, moved, as_columns(context), backwards)
        y = torch.cat((kept, moved)).index_select(0, self.places)
        return from_columns(y, ladj, x.shape[:-1])


class AffineMap(Univariate):
    """y = exp(a) x + b on the reals, with a kept between log(slope) and -log(slope) (Dinh et al. 2017).

    Args:
        slope: the least slope.
        bound: keep a between -bound and bound by a tanh instead.
    """

    parameters_each = 2

    def __init__(self, slope: float = 1e-3, bound: float | None = None):
        super().__init__()
        if bound is None:
            self.remember(slope=slope)
        else:
            self.remember(bound=bound)
        self.limit, self.bound = -math.log(slope), bound
        self.hold(torch.get_default_device(), one=torch.tensor(1.0, device="cpu"))

    def forward(self, x: Tensor, phi: Tensor, at=None):
        """y = exp(a) x + b and a."""
        shift, log_scale = self.moves(phi)
        return torch.addcmul(shift, x, log_scale.exp()), log_scale

    def inverse(self, y: Tensor, phi: Tensor, at=None):
        """x = exp(-a) (y - b) and -a."""
        x, parts = self.solved((y,), phi)
        return x, self.log_slopes(parts)

    def solved(self, prepared: tuple, phi: Tensor, at=None):
        """x and a."""
        shift, log_scale = self.moves(phi)
        return (prepared[0] - shift) / log_scale.exp(), (log_scale,)

    def log_slopes(self, parts: tuple) -> Tensor:
        """-a."""
        return -parts[0]

    def moves(self, phi: Tensor) -> tuple:
        """b and a [F, N]."""
        shift, raw = phi.chunk(2)
        if self.bound is not None:
            return shift, self.bound * torch.tanh(raw / self.bound)
        return shift, raw / torch.add(self.one, raw.abs(), alpha=1 / self.limit)


class AffineCoupling(Coupling):
    """RealNVP's coupling (Dinh et al. 2017): reals to reals.

    Args:
        features: number of features.
        context: number of context features.
        hidden: hidden units of the net.
        act: activation of the net.
        mask: which features are kept: even, odd, first, last, random, or a list.
        slope: the least slope.
        bound: keep the log-scale between -bound and bound by a tanh instead.
        net: a module of your own instead of the perceptron: all shifts, then all log-scales.
    """

    def __init__(
        self,
        features: int,
        context: int = 0,
        hidden: tuple = (64, 64),
        act: type = nn.ReLU,
        mask="first",
        slope: float = 1e-3,
        bound: float | None = None,
        net=None,
    ):
        univariate = AffineMap(slope, bound)
        super().__init__(features, univariate, context, hidden, act, mask, net)


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


class AlternatingCouplings(Bijection):
    """Couplings that keep in turn the same two sets of features: the halves stay split through all of them.

    Args:
        couplings: each keeps what the one before moved, or the same.
    """

    def __init__(self, couplings):
        super().__init__()
        self.layers = nn.ModuleList(couplings)
        self.compare()
        self.register_load_state_dict_post_hook(lambda module, keys: module.compare())

    def compare(self) -> None:
        """The couplings that keep what the first one moves."""
        first = self.layers[0].mask
        if first.is_meta:
            return
        self.swapped = [not torch.equal(layer.mask, first) for layer in self.layers]
        for layer, swapped in zip(self.layers, self.swapped):
            if swapped and not torch.equal(~layer.mask, first):
                raise ValueError(
                    "these couplings keep other sets of features: put them one after another"
                )

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D], log |det dy/dx| [...]."""
        return self.apply_to(x, context, False)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D], log |det dx/dy| [...]."""
        return self.apply_to(y, context, True)

    def apply_to(self, x: Tensor, context: Tensor | None, backwards: bool):
        """One way or the other."""
        first = self.layers[0]
        columns, context = as_columns(x), as_columns(context)
        kept, moved = columns[first.kept], columns[first.moved]
        total = None
        layers = list(zip(self.layers, self.swapped))
        for layer, swapped in reversed(layers) if backwards else layers:
            if swapped:
                kept, ladj = layer.couple(moved, kept, context, backwards)
            else:
                moved, ladj = layer.couple(kept, moved, context, backwards)
            total = added(total, ladj)
        y = torch.cat((kept, moved)).index_select(0, first.places)
        return from_columns(y, total, x.shape[:-1])


def coupling_mask(features: int, mask) -> Tensor:
    """The features that a coupling keeps.

    Raises:
        ValueError: fewer than two features, no such mask, or one that keeps or moves nothing.
    """
    if features < 2:
        raise ValueError(
            f"a coupling needs 2 features or more, this one has {features}: use an elementwise transform"
        )
    at = torch.arange(features)
    named = {
        "even": at % 2 == 0,
        "odd": at % 2 == 1,
        "first": at < features // 2,
        "last": at >= features // 2,
    }
    if isinstance(mask, str) and mask == "random":
        return torch.randperm(features) % 2 == 0
    if isinstance(mask, str) and mask not in named:
        raise ValueError(
            f"there is no mask {mask!r}: write one of {', '.join(named)}, random, or a list"
        )
    chosen = (
        named[mask]
        if isinstance(mask, str)
        else torch.as_tensor(mask, dtype=torch.bool)
    )
    if chosen.shape != (features,) or chosen.all() or not chosen.any():
        raise ValueError(
            f"a mask over {features} features keeps some and moves some: {chosen.tolist()} does not"
        )
    return chosen


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


def as_columns(x: Tensor | None) -> Tensor | None:
    """[..., D] -> [D, N]."""
    return None if x is None else x.reshape(-1, x.shape[-1]).mT


def from_columns(x: Tensor, slope: Tensor | None, batch: tuple):
    """[D, N] and [N] -> [..., D] and [...]."""
    ladj = None if slope is None else slope.reshape(batch)
    return x.mT.reshape(*batch, len(x)), ladj


class Realnvp(nn.Module):
    """p(x); x: real[2]."""

    def __init__(self) -> None:
        super().__init__()
        couplings = []
        for _ in range(4):
            couplings += [
                AffineCoupling(
                    2,
                    hidden=(64, 64),
                    act=nn.ReLU,
                    mask="even",
                    slope=0.001,
                ),
                AffineCoupling(
                    2,
                    hidden=(64, 64),
                    act=nn.ReLU,
                    mask="odd",
                    slope=0.001,
                ),
            ]
        self.f = ComposedTransform([AlternatingCouplings(couplings)], (2,))
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
        return [torch.optim.Adam(self.parameters(), lr=0.001, fused=fused)]

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
