"""Gradients of inverses that are found step by step, by the implicit function theorem."""

import torch
from torch import Tensor, nn


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
