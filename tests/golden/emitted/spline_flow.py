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


class Autoregressive(Bijection):
    """y_i = f(x_i; net(x_<i, context)).

    Args:
        features: number of features.
        univariate: f.
        context: number of context features.
        hidden: hidden units of the masked net.
        act: activation of the net.
        order: `ascending`, `descending`, `random`, or the place of each feature.
        passes: steps of the inverse: features are moved in that many groups, one a step if None.
        adjacency: [D][D] or [D][D + C] truth values instead of an order: what each feature depends on.
    """

    def __init__(
        self,
        features: int,
        univariate,
        context: int,
        hidden: tuple,
        act: type,
        order,
        passes,
        adjacency,
    ):
        super().__init__()
        self.univariate = univariate
        with torch.device("cpu"):  # also where the module is made without data
            if adjacency is None:
                place = feature_order(features, order)
                steps = features if passes is None else min(max(passes, 1), features)
                step = place // math.ceil(features / steps)
                sees = step[:, None] > step
            else:
                sees = checked_adjacency(
                    torch.as_tensor(adjacency, dtype=torch.bool), features, context
                )
            if context and sees.shape[1] == features:
                all_of_it = torch.ones(features, context, dtype=torch.bool)
                sees = torch.cat((sees, all_of_it), 1)
        if sees.any() and features > 1:
            self.net = MaskedMLP(sees, univariate.parameters_each, hidden, act)
        else:
            self.net = Elementwise(features, univariate, context, hidden, act)

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D], log |det dy/dx| [...]."""
        if isinstance(self.net, Elementwise):
            return self.net(x, context)
        columns = as_columns(x)
        phi = self.net(columns, as_columns(context))
        y, slope = self.univariate(columns, phi)
        return from_columns(y, None if slope is None else slope.sum(0), x.shape[:-1])

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D], log |det dx/dy| [...]; each hidden unit is evaluated once."""
        if isinstance(self.net, Elementwise):
            return self.net.inverse(y, context)
        given, layers = (as_columns(y), as_columns(context)), self.net.weights()
        traced = torch.compiler.is_compiling() or not torch.is_grad_enabled()
        if traced or forward_mode():
            x, slope = self.solve(layers, *given)
        else:
            tensors = (*(part for layer in layers for part in layer), *others(self))
            x, slope, _ = Inverse.apply(*given, self, *tensors)
        return from_columns(x, slope, y.shape[:-1])

    def solve(self, layers: list, y: Tensor, context: Tensor | None):
        """y [D, N], context [C, N] -> x [D, N], log |det dx/dy| [N], with the layers of the net."""
        return self.net.solve(layers, y, context, self.univariate)


class Elementwise(Bijection):
    """y_i = f(x_i; phi_i), with phi learned, or given by a net over the context.

    Args:
        features: number of features.
        univariate: f.
        context: number of context features, 0 for learned parameters.
        hidden: hidden units of the net.
        act: activation of the net.
    """

    def __init__(
        self, features: int, univariate, context: int, hidden: tuple, act: type
    ):
        super().__init__()
        self.univariate = univariate
        outputs = univariate.parameters_each * features
        if context:
            self.net = ContextMLP(context, outputs, hidden, act)
        else:
            self.net = None
            self.phi = nn.Parameter(torch.randn(outputs))

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D], log |det dy/dx| [...]."""
        return self.apply_to(x, context, False)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D], log |det dx/dy| [...]."""
        return self.apply_to(y, context, True)

    def apply_to(self, x: Tensor, context: Tensor | None, backwards: bool):
        """One way or the other."""
        columns = as_columns(x)
        if self.net is None:
            phi = self.phi.unsqueeze(-1)
        else:
            phi = self.net.by_parameter(as_columns(context))
        f = self.univariate.inverse if backwards else self.univariate
        y, slope = f(columns, phi)
        if slope is not None:
            slope = slope.expand(y.shape).sum(0)
        return from_columns(y, slope, x.shape[:-1])


def feature_order(features: int, order) -> Tensor:
    """The place of each feature.

    Raises:
        ValueError: not a permutation of the features.
    """
    if isinstance(order, str):
        named = {
            "ascending": torch.arange(features),
            "descending": torch.arange(features).flip(0),
        }
        if order == "random":
            return torch.randperm(features)
        if order not in named:
            raise ValueError(
                f"there is no order {order!r}: write ascending, descending, random, or a list of places"
            )
        return named[order]
    place = torch.as_tensor(order, dtype=torch.long)
    if place.shape != (features,) or place.sort().values.tolist() != list(
        range(features)
    ):
        raise ValueError(
            f"an order of {features} features names each place from 0 to {features - 1} once"
        )
    return place


def checked_adjacency(adjacency: Tensor, features: int, context: int) -> Tensor:
    """An adjacency without its diagonal.

    Raises:
        ValueError: its shape is another one.
    """
    if (
        adjacency.dim() != 2
        or adjacency.shape[0] != features
        or adjacency.shape[1] not in (features, features + context)
    ):
        raise ValueError(
            f"an adjacency over {features} features and {context} context features has shape "
            f"[{features}, {features}] or [{features}, {features + context}], not {list(adjacency.shape)}"
        )
    own = torch.zeros_like(adjacency)
    own[:, :features] = torch.eye(features, dtype=torch.bool)
    return adjacency & ~own


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


class Call(nn.Module):
    """A call of any function of a module, as `functional_call` calls `forward` only.

    Args:
        module: the module.
    """

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, function, *arguments):
        """The value of function(module, *arguments)."""
        return function(self.module, *arguments)


def named_others(transform: nn.Module) -> dict:
    """Parameters and buffers of an autoregressive transform, but for the layers of its net."""
    named = (*transform.named_parameters(), *transform.named_buffers())
    return {name: part for name, part in named if not name.startswith("net.layers.")}


def others(transform: nn.Module) -> tuple:
    """The same, without their names."""
    return tuple(named_others(transform).values())


def called_with(transform: nn.Module, tensors, function, *arguments):
    """The value of function(transform, *arguments), with other tensors for those of `others`."""
    own = named_others(transform)
    if all(a is b for a, b in zip(own.values(), tensors)):
        return function(transform, *arguments)
    named = {f"module.{name}": part for name, part in zip(own, tensors)}
    return torch.func.functional_call(Call(transform), named, (function, *arguments))


class Inverse(torch.autograd.Function):
    """The way back through an autoregressive transform; its gradient is found at its result.

    With y = f(x; phi) and phi = net(x), dx = J^-1 (dy - df/dphi dphi), where dphi is that of a fixed
    x, and J = dy/dx is triangular in the order of the steps: one pass of the net over all features
    and one transposed solve, instead of the derivative of every step.
    """

    @staticmethod
    def forward(y: Tensor, context: Tensor | None, transform, *tensors: Tensor):
        """x [D, N], the sum of the log-slopes [N], and x again, which nobody changes.

        `tensors` are weights and biases of the net in turn, and then `others`.
        """
        layers, _ = paired(transform, tensors)
        x, log_slope = transform.solve(layers, y, context)
        return x, log_slope, x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Keep what the gradient needs."""
        y, context, ctx.transform, *tensors = inputs
        ctx.mark_non_differentiable(output[2])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(y, context, output[2], *tensors)

    @staticmethod
    def backward(ctx, gx: Tensor | None, gl: Tensor | None, _):
        """Cotangents of y, of the context and of the tensors."""
        y, context, x, *tensors = ctx.saved_tensors
        gx = torch.zeros_like(x) if gx is None else gx
        needed = (
            ctx.needs_input_grad[:2] + ctx.needs_input_grad[3:]
        )  # of all but the transform
        if torch.is_grad_enabled():  # it is differentiated in turn
            inputs = (y, context, *tensors)

            def by_steps(*wanted):
                left = iter(wanted)
                parts = (next(left) if n else part for part, n in zip(inputs, needed))
                return solved_by_steps(ctx.transform, *parts)

            wanted = [part for part, need in zip(inputs, needed) if need]
            outputs, pull = torch.func.vjp(by_steps, *wanted)[:2]
            gl = torch.zeros_like(outputs[-1]) if gl is None else gl
            found = pull((gx, gl)[: len(outputs)])
        else:
            found = pulled_back(ctx.transform, x, context, tensors, gx, gl, needed)
        found = iter(found)
        by_y, by_context, *rest = (next(found) if need else None for need in needed)
        return by_y, by_context, None, *rest

    @staticmethod
    def vmap(info, in_dims, y: Tensor, context, transform, *tensors: Tensor):
        """A batch is more columns, unless weights or buffers are batched too."""
        count = info.batch_size
        if any(dim is not None for dim in in_dims[3:]):
            dims = (*in_dims[:2], *in_dims[3:])

            def by_steps(y, context, *tensors):
                return solved_by_steps(transform, y, context, *tensors)

            run = torch.func.vmap(by_steps, dims, randomness=info.randomness)
            x, log_slope = (*run(y, context, *tensors), None)[:2]
            dim = 0
        else:
            y = columns_of(y, in_dims[0], count)
            context = columns_of(context, in_dims[1], count)
            x, log_slope, _ = Inverse.apply(y, context, transform, *tensors)
            x, dim = x.unflatten(-1, (count, -1)), 1
            if log_slope is not None:
                log_slope = log_slope.unflatten(0, (count, -1))
        return (x, log_slope, x.clone()), (dim, None if log_slope is None else 0, dim)


def columns_of(part: Tensor | None, dim: int | None, count: int):
    """[F, N] with a batch dimension, or the same for all of a batch -> [F, batch * N]."""
    if part is None:
        return None
    if dim is None:
        return part.repeat(1, count)
    return part.movedim(dim, 1).flatten(1)


def paired(transform, tensors) -> tuple:
    """The layers of a net, pairs of weights and biases, and the other tensors."""
    count = 2 * len(transform.net.layers)
    return list(zip(tensors[:count:2], tensors[1:count:2])), tensors[count:]


def solved_by_steps(transform, y: Tensor, context, *tensors: Tensor) -> tuple:
    """x, and the log-slopes unless they are zero, for derivatives that go through the steps."""
    layers, rest = paired(transform, tensors)
    run = type(transform).solve
    found = called_with(transform, rest, run, layers, y, context)
    return tuple(part for part in found if part is not None)


def pulled_back(transform, x: Tensor, context, tensors, gx: Tensor, gl, needed: tuple):
    """Cotangents of those of y, the context and the tensors that are needed, where an inverse gave x.

    Args:
        transform: the autoregressive transform.
        x: [D, N].
        context: [C, N] or None.
        tensors: those of `Inverse`.
        gx: cotangent of x [D, N].
        gl: cotangent of the sum of the log-slopes of the inverse [N], None for zero.
        needed: which of y, the context and the tensors.
    """
    dtype = tensors[0].dtype  # where autocast gave another one
    x, gx = x.to(dtype), gx.to(dtype)
    given = None if context is None else context.detach().to(dtype)
    layers, rest = paired(transform, tensors)
    layers = [(weight.detach(), bias.detach()) for weight, bias in layers]
    # Leaves without a history: what one of them is made of another is not this function's.
    own = needed[2 + 2 * len(layers) :]
    rest = [p.detach().requires_grad_() if need else p for p, need in zip(rest, own)]
    found = called_with(transform, rest, linearised, layers, x, given)
    values, bends, at, leaf, y, log_slope = found
    # At a fixed x a cotangent of the result is minus that cotangent of y, and of the log-slope.
    outputs = torch.autograd.grad(y, leaf, -torch.ones_like(y), retain_graph=True)[0]
    slope = constant = None
    ends, cotangents = [y], []
    if log_slope is not None:
        slope = log_slope.detach().exp()
    if gl is not None:
        cotangents = [-gl.to(dtype).expand_as(log_slope)]
        ends = [y, log_slope]
        by_x, constant = torch.autograd.grad(
            log_slope, (at, leaf), *cotangents, retain_graph=True, allow_unused=True
        )
        gx = gx if by_x is None else gx + by_x
    net = transform.net
    gy, by_units = net.transposed(layers, gx, slope, outputs, constant, bends)
    # Cotangents of what the layers give, before the activation.
    deltas = [by_unit * bend for by_unit, bend in zip(by_units, bends)]
    by_phi = (transform.univariate.by_parameter(outputs) * gy).view_as(outputs)
    deltas.append(by_phi if constant is None else by_phi.add_(constant))
    found = [gy] if needed[0] else []
    if needed[1]:
        found.append(layers[0][0][:, len(x) :].mT @ deltas[0])
    for i, (delta, value) in enumerate(zip(deltas, values)):
        by_weight, by_bias = needed[2 + 2 * i : 4 + 2 * i]
        if by_weight:
            found.append(delta @ value.detach().mT)
        if by_bias:
            found.append(delta.sum(1, keepdim=True))
    if any(own):
        wanted = [part for part, need in zip(rest, own) if need]
        units = [(v, by) for v, by in zip(values[1:], by_units) if v.requires_grad]
        ends += [value for value, _ in units]
        cotangents = [-gy, *cotangents, *(by_unit for _, by_unit in units)]
        found += torch.autograd.grad(ends, wanted, cotangents, allow_unused=True)
    return found


def linearised(transform, layers: list, x: Tensor, context):
    """The net at x, and the map of single numbers from leaves of its own."""
    values, bends, phi = transform.net.activations(layers, x, context)
    with torch.enable_grad():
        at, leaf = x.detach().requires_grad_(), phi.detach().requires_grad_()
        y, log_slope = transform.univariate(at, leaf)
    return values, bends, at, leaf, y, log_slope


class Reverse(Bijection):
    """Features in reverse order."""

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D]."""
        return x.flip(-1), None

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D]."""
        return y.flip(-1), None


class MaskedMLP(Bijection):
    """A perceptron whose outputs for feature i see only the features that i depends on (Germain et al. 2015).

    Hidden units are sorted by the step at which they become computable when features are found one
    after another, so that drawing evaluates each unit once.

    Args:
        adjacency: [D, D + C]; entry ij says whether feature i depends on feature or context j.
        parameters: number of outputs a feature; they lie parameter by parameter: [parameters * D, N].
        hidden: numbers of hidden units.
        act: the activation.
    """

    adjacency: Tensor
    order: Tensor
    places: Tensor
    rows: Tensor

    def __init__(
        self, adjacency: Tensor, parameters: int, hidden: tuple, act: type = nn.ReLU
    ):
        super().__init__()
        self.parameters_each = parameters
        self.act = activation(act)
        device = torch.get_default_device()
        self.register_buffer("adjacency", adjacency.to(device))
        rows, columns = adjacency.shape
        widths = zip((columns, *hidden), (*hidden, rows * parameters))
        self.layers = nn.ModuleList(nn.Linear(*width) for width in widths)
        with torch.device("cpu"):  # also where the module is made without data
            self.settle(adjacency, device)

    def settle(self, adjacency: Tensor, device: torch.device) -> None:
        """Work out which unit sees what, and when: from the adjacency alone."""
        features = len(adjacency)
        step = steps_of(adjacency[:, :features])
        kinds, kind = torch.unique(adjacency, dim=0, return_inverse=True)
        within = (kinds.double() @ kinds.double().T) == kinds.sum(-1)
        ready = (
            (kinds[:, :features] * (step + 1)).amax(-1) if features else kinds.sum(-1)
        )
        masks, mask, placed, starts = [], kinds, [], []
        for layer in self.layers[:-1]:
            seen = mask.any(-1).nonzero().squeeze(-1)
            if len(seen) == 0:
                raise ValueError(
                    "no feature depends on another or on the context: use an elementwise transform"
                )
            unsorted = seen[torch.arange(layer.out_features) % len(seen)]
            order = torch.argsort(ready[unsorted], stable=True)
            units = unsorted[order]
            placed.append(order)
            starts.append(
                torch.bincount(ready[units], minlength=int(step.max()) + 1)
                .cumsum(0)
                .tolist()
            )
            masks.append(mask[units])
            mask = within[:, units]
        masks.append(mask[kind].repeat(self.parameters_each, 1))
        for i, mask in enumerate(masks):
            mask = mask.to(self.layers[i].weight.dtype)
            self.hold(device, **{f"mask_{i}": mask})
        self.placed = placed
        steps = int(step.max()) + 1
        self.groups = [(step == t).nonzero().squeeze(-1).tolist() for t in range(steps)]
        order = [i for group in self.groups for i in group]
        outputs = range(self.parameters_each)
        places = sorted(range(features), key=order.__getitem__)
        rows = [p * features + i for g in self.groups for p in outputs for i in g]
        indices = {"order": order, "places": places, "rows": rows}
        self.hold(device, **{name: torch.tensor(i) for name, i in indices.items()})
        # Where the values of each step begin, and how many they are: features, hidden units, outputs.
        sizes = torch.tensor([len(group) for group in self.groups]).cumsum(0)
        ends = (sizes * self.parameters_each).tolist()
        self.stops = [[0, *stops] for stops in (sizes.tolist(), *starts, ends)]
        self.counts = [torch.tensor(stops).diff().tolist() for stops in self.stops]
        self.block = max(8, round(steps**0.5))

    def _load_from_state_dict(self, state, prefix, *rest):
        super()._load_from_state_dict(state, prefix, *rest)
        if not self.adjacency.is_meta:
            self.settle(self.adjacency.cpu(), self.adjacency.device)

    def weights(self):
        """Weights with their masks, and biases [units, 1], layer by layer."""
        return [
            (layer.weight * getattr(self, f"mask_{i}"), layer.bias.unsqueeze(-1))
            for i, layer in enumerate(self.layers)
        ]

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """x [D, N], context [C, N] -> [parameters * D, N]."""
        h = x if context is None else torch.cat((x, context))
        *hidden, (weight, bias) = self.weights()
        for w, b in hidden:
            h = self.act(torch.addmm(b, w, h))
        return torch.addmm(bias, weight, h)

    def solve(self, layers: list, y: Tensor, context: Tensor | None, univariate):
        """Features one step after another, each unit once.

        What earlier blocks of steps give to a block is one product; inside a block each step
        adds what is new.

        Args:
            layers: weights and biases.
            y: [D, N].
            context: [C, N] or None.
            univariate: the map of single numbers whose parameters the net gives.

        Returns:
            x [D, N] and the sum of the log-slopes [N].
        """
        layers = self.in_steps(layers, context)
        prepared = univariate.prepared(y.index_select(0, self.order))
        pieces = list(zip(*(part.split(self.counts[0]) for part in prepared)))
        # What each layer takes in: the features first, then the hidden units.
        found = [None] * len(layers)
        slopes = []
        count = len(self.groups)
        # Zeros of the batch, also where it is one of contexts or of weights.
        parts = (y, *(() if context is None else (context,)), *(w for w, _ in layers))
        nothing = torch.zeros_like(sum(part[:1, :1] for part in parts) + y[:1])
        # Sums grow, and activations change them, in place where no gradient needs what they were.
        mixed = not y.is_meta and torch.is_autocast_enabled(y.device.type)
        in_place = not (mixed or torch.is_grad_enabled())
        for begin in range(0, count, self.block):
            steps = range(begin, min(begin + self.block, count))
            waiting, weights = self.open_block(layers, found, nothing, steps)
            new, parts = self.solve_block(
                waiting, weights, pieces, univariate, steps, in_place
            )
            slopes += parts
            last = steps[-1] + 1 == count
            for i, parts in enumerate(new):
                if parts and not (last and i):
                    known = found[i]
                    found[i] = torch.cat(parts if known is None else (known, *parts))
        x = found[0].index_select(0, self.places)
        if not slopes[0]:
            return x, None
        parts = tuple(torch.cat(part) for part in zip(*slopes))
        return x, univariate.log_slopes(parts).sum(0)

    def open_block(self, layers: list, found: list, nothing: Tensor, steps: range):
        """The state that a block of steps starts from.

        Args:
            layers: weights and biases, in the order of the steps.
            found: what each layer takes in from earlier blocks, None for nothing.
            nothing: zeros of the batch [1, N].
            steps: those of the block.

        Returns:
            Of each layer, sums that wait for values of this block, and the weights of what each
            step adds to those that are left.
        """
        waiting, weights = [], []
        for i, (weight, bias) in enumerate(layers):
            entering, stops = self.stops[i], self.stops[i + 1]
            first, last = stops[steps[0]], stops[steps[-1] + 1]
            known, inside = found[i], weight[first:last]
            total = bias[first:last]
            if known is None:
                total = total + nothing
            else:
                total = torch.addmm(total, inside[:, : len(known)], known)
            waiting.append(total)
            left = [stops[t + (i == 0)] - first for t in steps]
            weights.append(
                [inside[r:, entering[t] : entering[t + 1]] for t, r in zip(steps, left)]
            )
        return waiting, weights

    def solve_block(self, waiting, weights, pieces, univariate, steps, in_place):
        """The steps of a block, one after another.

        Args:
            waiting: of each layer, sums of what earlier blocks gave; they are used up.
            weights: of each layer, the weights of what each step adds.
            pieces: of each step, what the univariate map made of y.
            univariate: the map of single numbers whose parameters the net gives.
            steps: those of the block.
            in_place: whether sums and activations may overwrite what they were.

        Returns:
            What each layer takes in from each step, and the slopes of each step.
        """
        act = self.act.forward  # a call of the module costs more than some of its work
        add = Tensor.addmm_ if in_place else torch.addmm
        slopes = []
        new: list[list[Tensor]] = [[] for _ in waiting]
        for at, t in enumerate(steps):
            for i in range(len(waiting)):
                rows = self.counts[i + 1][t]
                if rows == 0:
                    continue
                value, waiting[i] = waiting[i][:rows], waiting[i][rows:]
                if i + 1 < len(waiting):
                    value = act(value if in_place else value.clone())
                    new[i + 1].append(value)
                    waiting[i + 1] = add(waiting[i + 1], weights[i + 1][at], value)
            x, parts = univariate.solved(pieces[t], value, self.groups[t])
            slopes.append(parts)
            new[0].append(x)
            if t != steps[-1]:
                waiting[0] = add(waiting[0], weights[0][at], x)
        return new, slopes

    def in_steps(self, layers: list, context: Tensor | None) -> list:
        """Weights with features and outputs in the order of their steps, and biases that have the context in them."""
        layers, features = list(layers), len(self.order)
        weight, bias = layers[0]
        if context is not None:
            bias = torch.addmm(bias, weight[:, features:], context)
        layers[0] = (weight.index_select(1, self.order), bias)
        layers[-1] = tuple(part.index_select(0, self.rows) for part in layers[-1])
        return layers

    def activations(self, layers: list, x: Tensor, context: Tensor | None):
        """The inputs of each layer, slopes of the activation at each hidden layer's units, and the outputs.

        Values of hidden units have a graph to parameters of the activation, if it has any.
        """
        h = x if context is None else torch.cat((x, context))
        values, bends = [h], []
        for weight, bias in layers[:-1]:
            total = torch.addmm(bias, weight, h.detach())
            if type(self.act) is nn.ReLU:  # a class made of it may be another
                h = total.relu_()
                bends.append(h.sign())
            else:
                total.requires_grad_()
                with torch.enable_grad():
                    h = self.act(total.clone())  # which may work in place
                ones = torch.ones_like(h)
                bends += torch.autograd.grad(h, total, ones, retain_graph=True)
            values.append(h)
        weight, bias = layers[-1]
        return values, bends, torch.addmm(bias, weight, h.detach())

    def transposed(self, layers: list, gx: Tensor, slope, outputs, constant, bends):
        """`solve` made linear and transposed, its last step first.

        Args:
            layers: weights and biases.
            gx: the cotangent of x [D, N], before what the net adds to it.
            slope: dy/dx [D, N], None for one.
            outputs: what a cotangent of y, times this, gives the outputs of the net [parameters * D, N].
            constant: what they are given besides [parameters * D, N], None for nothing.
            bends: slopes of the activation at the units of each hidden layer [units, N].

        Returns:
            The cotangents of y [D, N] and of the units of each hidden layer [units, N].
        """
        counts, stops = self.counts, self.stops
        layers = [weight.detach() for weight, _ in self.in_steps(layers, None)]
        weights = [w.split(rows) for w, rows in zip(layers, counts[1:])]
        outputs = outputs.index_select(0, self.rows).split(counts[-1])
        if constant is not None:
            constant = constant.index_select(0, self.rows).split(counts[-1])
        if slope is not None:
            slope = slope.index_select(0, self.order).split(counts[0])
        # Cotangents of the features and of the hidden units grow here; `waiting` are views of them.
        pending = [gx.index_select(0, self.order)]
        pending += [torch.zeros_like(bend + gx[:1]) for bend in bends]
        waiting = [part.split(rows) for part, rows in zip(pending, counts)]
        bends = [bend.split(rows) for bend, rows in zip(bends, counts[1:])]
        gy, each, last = [], self.parameters_each, len(layers) - 1
        for begin in reversed(range(0, len(self.groups), self.block)):
            end = min(begin + self.block, len(self.groups))
            given: list[list[Tensor]] = [[] for _ in layers]
            for t in reversed(range(begin, end)):
                value = waiting[0][t] if slope is None else waiting[0][t] / slope[t]
                gy.append(value)
                delta = outputs[t].view(each, len(value), gx.shape[1]) * value
                delta = delta.view(each * len(value), gx.shape[1])
                if constant is not None:
                    delta += constant[t]
                for i in range(last, -1, -1):
                    if i < last:
                        delta = waiting[i + 1][t] * bends[i][t]
                    if len(delta):
                        given[i].append(delta)
                        # Units of this step take in features of those before it, and units of it.
                        inside = slice(stops[i][begin], stops[i][t + (i > 0)])
                        if inside.start < inside.stop:
                            weight = weights[i][t][:, inside]
                            pending[i][inside].addmm_(weight.mT, delta)
            # What the block gives to those before it is one product.
            for i, parts in enumerate(given):
                before = stops[i][begin]
                if before and parts:
                    weight = layers[i][stops[i + 1][begin] : stops[i + 1][end], :before]
                    pending[i][:before].addmm_(weight.mT, torch.cat(parts[::-1]))
        return torch.cat(gy[::-1]).index_select(0, self.places), pending[1:]


def steps_of(adjacency: Tensor) -> Tensor:
    """The step at which each feature is found: one after the last it depends on.

    Raises:
        ValueError: features depend on each other in a circle.
    """
    step = torch.zeros(len(adjacency), dtype=torch.long)
    for _ in range(len(adjacency) + 1):
        after = torch.where(adjacency, step + 1, 0).amax(-1) if len(adjacency) else step
        if torch.equal(after, step):
            return step
        step = after
    raise ValueError(
        "the adjacency has a cycle: features depend on each other in a circle"
    )


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


class Spline(Univariate):
    """A monotone rational-quadratic spline of [-bound, bound], the identity outside (Durkan et al. 2019).

    Args:
        bins: number of bins.
        bound: where the spline ends.
        slope: bounds the ratio of bin sizes and the least derivative at a knot.
    """

    def __init__(self, bins: int = 8, bound: float = 5.0, slope: float = 1e-3):
        super().__init__()
        self.remember(bins=bins, bound=bound, slope=slope)
        self.bins, self.bound = bins, bound
        self.parameters_each = 3 * bins - 1
        # Sizes of bins differ by a ratio of 1 / slope at most, and no slope at a knot is less.
        self.limit = -math.log(slope)
        rates = torch.ones(self.parameters_each, 1, 1, device="cpu")
        rates[: 2 * bins] = 2
        # In sizes, ends and slopes one below the other: both sizes, both ends and both slopes of the first bin.
        first = [0, bins, 2 * bins, 3 * bins, 4 * bins, 4 * bins + 1]
        first = torch.tensor(first, device="cpu")
        numbers = {"zero": 0.0, "one": 1.0, "start": -bound, "end": bound}
        buffers = {n: torch.tensor(float(v), device="cpu") for n, v in numbers.items()}
        buffers |= {"rates": rates, "first": first[:, None, None]}
        self.hold(torch.get_default_device(), **buffers)

    def forward(self, x: Tensor, phi: Tensor, at=None):
        """y and the log-slope."""
        x, place, inside = self.prepared(x)
        (x0, y0), (width, height), slopes = self.bin_of(place, phi, 0)
        t, run = share_of((place - x0) / width), width / height
        share, slope = self.curve(t, *(slopes * run))
        y = torch.lerp(self.start, self.end, torch.addcmul(y0, height, share))
        return torch.where(inside, y, x), self.log_slope(slope / run, inside)

    def inverse(self, y: Tensor, phi: Tensor, at=None):
        """x and its log-slope."""
        x, parts = self.solved(self.prepared(y), phi)
        return x, self.log_slopes(parts)

    def prepared(self, y: Tensor) -> tuple:
        """y, where it is in [0, 1], and whether it is inside."""
        place = (y / self.end).clamp(-1, 1)
        return y, place.add(1).mul(0.5), y.abs() <= self.end

    def solved(self, prepared: tuple, phi: Tensor, at=None):
        """x [F, N] and parts for `log_slopes`.

        Where q is the share of the bin's height below y, and slopes d are in units of the bin's mean
        slope, the share t of its width solves t^2 + d0 t (1 - t) = q (1 + (d0 + d1 - 2) t (1 - t)).
        This is the root in the form that does not cancel; no part of what it takes the square root of
        is negative.
        """
        y, place, inside = prepared
        (x0, y0), (width, height), slopes = self.bin_of(place, phi, 1)
        run = width / height
        d0, d1 = slopes * run
        q = share_of((place - y0) / height)
        u = torch.addcmul(d0, q, d0 + d1, value=-1)
        below = torch.addcmul(q, q, q, value=-1)
        root = torch.addcmul(below, u, u, value=0.25).sqrt()
        t = share_of(q / torch.add(root + q, u, alpha=0.5))
        x = torch.lerp(self.start, self.end, torch.addcmul(x0, t, width))
        return torch.where(inside, x, y), (t, run, d0, d1, inside)

    def log_slopes(self, parts: tuple) -> Tensor:
        """Minus the log-slopes of the map at x."""
        t, run, d0, d1, inside = parts
        return -self.log_slope(self.curve(t, d0, d1)[1] / run, inside)

    def bin_of(self, place: Tensor, phi: Tensor, axis: int):
        """The bin of a place in [0, 1] [F, N] on one axis, 0 for x and 1 for y; phi is [P * F, N].

        Returns:
            Corner [2, F, N] and sizes [2, F, N] on both axes, and the slopes at its ends [2, F, N].
        """
        phi = self.by_parameter(phi)
        if phi.dtype != place.dtype:  # under autocast
            phi = phi.to(place.dtype)
        look_up = self.summed if torch.is_grad_enabled() else self.gathered
        return look_up(place, phi, axis)

    def gathered(self, place: Tensor, phi: Tensor, axis: int):
        """`bin_of` in few operations, phi [P, F, N]: for the single features of a draw, without a gradient."""
        reach = torch.addcmul(self.one, phi.abs(), self.rates, value=1 / self.limit)
        sizes, bends = (phi / reach).split((2 * self.bins, self.bins - 1))
        sizes = sizes.unflatten(0, (2, self.bins)).softmax(1)
        ends = sizes.cumsum(1)
        k = (place >= ends[axis, :-1]).sum(0, keepdim=True)
        edge = self.zero.expand(1, *bends.shape[1:])
        table = (sizes.flatten(0, 1), ends.flatten(0, 1), edge, bends, edge)
        table = torch.cat(table).expand(-1, *k.shape[1:])
        size, end, slopes = table.gather(0, self.first + k).chunk(3)
        return end - size, size, slopes.exp()

    def summed(self, place: Tensor, phi: Tensor, axis: int):
        """`bin_of` in few passes over memory, phi [P, F, N]: for a gradient, with all features at once."""
        raw, bends = phi.split((2 * self.bins, self.bins - 1))
        # A softmax that needs no care for large exponents, its division left for small tensors.
        sizes = bounded_exp(raw, self.limit / 2).unflatten(0, (2, self.bins))
        total = sizes.sum(1)
        ends = sizes[axis, :-1].detach().cumsum(0)
        # One for bins before the place, else zero: signs take less time than comparisons.
        distance = (place * total[axis]).detach() - ends
        passed = distance.sign_().relu_()
        k = passed.sum(0, keepdim=True).long()
        # The corner is the sum of the sizes before the bin: gradients run through no other.
        before = (sizes[:, :-1] * passed).sum(1)
        wide = (2, self.bins, *place.shape)
        own = sizes.expand(wide).gather(1, k.expand(2, 1, *place.shape)).squeeze(1)
        slopes = bounded_exp(self.at_ends(bends, k), self.limit)
        return before / total, own / total, slopes

    def at_ends(self, bends: Tensor, k: Tensor) -> Tensor:
        """Of log-slopes between bins [bins - 1, F, N], those at the ends of bin k: [2, F, N]."""
        edge = self.zero.expand_as(k)
        bends = torch.cat((edge, bends.expand(-1, *k.shape[1:]), edge))
        return bends.gather(0, torch.cat((k, k + 1)))

    def curve(self, t: Tensor, d0: Tensor, d1: Tensor):
        """The share of a bin's height below t in [0, 1], and the slope there, in units of the bin's mean slope."""
        u = 1 - t
        both, square = t * u, t * t
        below = torch.addcmul(self.one, d0 + d1 - 2, both)
        share = torch.addcmul(square, d0, both) / below
        top = torch.addcmul(torch.addcmul(both + both, d0, u * u), d1, square)
        return share, top / (below * below)

    @staticmethod
    def log_slope(slope: Tensor, inside: Tensor) -> Tensor:
        """The log of a slope, which is one outside."""
        return slope.log() * inside


def share_of(ratio: Tensor) -> Tensor:
    """A ratio that only rounding takes out of [0, 1], within it; its gradient is that of the ratio."""
    share = ratio.clamp(0, 1)
    return ratio + (share - ratio).detach() if torch.is_grad_enabled() else share


def bounded_exp(x: Tensor, limit: float) -> Tensor:
    """exp(limit x / (limit + |x|)), between exp(-limit) and exp(limit)."""
    if torch.compiler.is_compiling() or forward_mode():
        return (limit * x / (limit + x.abs())).exp()
    return BoundedExp.apply(x, limit)[0]


class BoundedExp(torch.autograd.Function):
    """`bounded_exp`, its derivative in a third of the passes over memory of those of its parts."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, limit: float):
        """The value, and limit + |x|, which is kept for the derivative."""
        reach = x.abs().add_(limit)
        return torch.addcdiv(x.new_zeros(()), x, reach, value=limit).exp_(), reach

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Keep what the derivative needs."""
        x, ctx.limit = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(x, *output)

    @staticmethod
    def backward(ctx, grad: Tensor, _):
        """The derivative is the value times (limit / (limit + |x|))^2."""
        x, value, reach = ctx.saved_tensors
        if torch.is_grad_enabled():  # it is differentiated in turn
            return grad * value * (ctx.limit / (ctx.limit + x.abs())).square(), None
        return (grad * value).mul_(ctx.limit**2).div_(reach).div_(reach), None


class SplineAutoregressive(Autoregressive):
    """Autoregressive spline (Durkan et al. 2019): moves reals within [-bound, bound].

    Args:
        features: number of features.
        context: number of context features.
        hidden: hidden units of the masked net.
        act: activation of the net.
        order: ascending, descending, random, or the place of each feature.
        passes: steps of a draw, one a feature if None.
        adjacency: what each feature depends on, instead of an order.
        bins: number of bins.
        bound: where the spline ends.
        slope: bounds the ratio of bin sizes and the least derivative at a knot.
    """

    def __init__(
        self,
        features: int,
        context: int = 0,
        hidden: tuple = (64, 64),
        act: type = nn.ReLU,
        order="ascending",
        passes: int | None = None,
        adjacency=None,
        bins: int = 8,
        bound: float = 5.0,
        slope: float = 1e-3,
    ):
        super().__init__(
            features,
            Spline(bins, bound, slope),
            context,
            hidden,
            act,
            order,
            passes,
            adjacency,
        )


def forward_mode() -> bool:
    """True if a forward-mode derivative is taken: functions with a gradient of our own have none."""
    return torch.autograd.forward_ad._current_level >= 0  # there is no public question


def as_columns(x: Tensor | None) -> Tensor | None:
    """[..., D] -> [D, N]."""
    return None if x is None else x.reshape(-1, x.shape[-1]).mT


def from_columns(x: Tensor, slope: Tensor | None, batch: tuple):
    """[D, N] and [N] -> [..., D] and [...]."""
    ladj = None if slope is None else slope.reshape(batch)
    return x.mT.reshape(*batch, len(x)), ladj


class SplineFlow(nn.Module):
    """p(x); x: real[2]."""

    def __init__(self) -> None:
        super().__init__()
        steps = []
        for _ in range(3):
            steps += [
                SplineAutoregressive(
                    2,
                    hidden=(64, 64),
                    act=nn.ReLU,
                    order="ascending",
                    bins=8,
                    bound=5.0,
                    slope=0.001,
                ),
                Reverse(),
            ]
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
