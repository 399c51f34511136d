"""Gradients of inverses that are found step by step, by the implicit function theorem."""

import torch
from torch import Tensor, nn


class Call(nn.Module):
    """A call of any function of a module, for `functional_call`.

    Args:
        module: the module.
    """

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, function, *arguments):
        """The value of function(module, *arguments)."""
        return function(self.module, *arguments)


def called_with(module: nn.Module, tensors, function, *arguments):
    """The value of function(module, *arguments), with other parameters and buffers, in their order."""
    call = Call(module)
    named = dict((*call.named_parameters(), *call.named_buffers()))
    if all(own is other for own, other in zip(named.values(), tensors)):
        return function(module, *arguments)
    named = dict(zip(named, tensors))
    return torch.func.functional_call(call, named, (function, *arguments))


class Inverse(torch.autograd.Function):
    """The way back through an autoregressive transform; its gradient is found at its result.

    With y = f(x; net(x)), dx = J^-1 (dy - (df/dnet) dnet) for the triangular J = dy/dx: one pass of
    the net over all features, and one transposed solve, instead of the derivative of every step.
    """

    @staticmethod
    def forward(y: Tensor, context: Tensor | None, transform, *tensors: Tensor):
        """x [D, N] and the sum of the log-slopes [N]."""
        return transform.solve(y, context)

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Keep what the gradient needs."""
        y, context, ctx.transform, *tensors = inputs
        ctx.save_for_backward(y, context, output[0], *tensors)

    @staticmethod
    def backward(ctx, gx: Tensor, gl: Tensor | None):
        """Cotangents of y, of the context and of the tensors."""
        y, context, x, *tensors = ctx.saved_tensors
        inputs = [y, context, *tensors]
        needed = [ctx.needs_input_grad[i] for i in (0, 1, *range(3, len(inputs) + 1))]
        wanted = [t for t, need in zip(inputs, needed) if need]
        if torch.is_grad_enabled():  # it is differentiated in turn

            def plain(*wanted):
                left = iter(wanted)
                y, context, *tensors = (
                    next(left) if need else part for part, need in zip(inputs, needed)
                )
                return solved_with(ctx.transform, tensors, y, context)

            pull = torch.func.vjp(plain, *wanted)[1]
            found = pull((gx,) if gl is None else (gx, gl))
        else:
            x = x.detach()  # it is the result of this very function
            arguments = x, context, gx, gl, wanted, needed[0]
            found = called_with(ctx.transform, tensors, pulled_back, *arguments)
        found = iter(found)
        by_y, by_context, *rest = (next(found) if need else None for need in needed)
        return by_y, by_context, None, *rest

    @staticmethod
    def vmap(info, in_dims, y: Tensor, context, transform, *tensors: Tensor):
        """A batch is more columns, unless it is one of transforms."""
        count = info.batch_size
        if any(dim is not None for dim in in_dims[3:]):
            dims = (*in_dims[:2], *in_dims[3:])

            def plain(y, context, *rest):
                return solved_with(transform, rest, y, context)

            run = torch.func.vmap(plain, dims, randomness=info.randomness)
            found = run(y, context, *tensors)
            return (*found, None)[:2], (0, 0 if len(found) == 2 else None)
        y, context = (
            columns_of(part, dim, count) for part, dim in zip((y, context), in_dims)
        )
        x, slope = Inverse.apply(y, context, transform, *tensors)
        x = x.unflatten(-1, (count, -1))
        if slope is None:
            return (x, None), (1, None)
        return (x, slope.unflatten(0, (count, -1))), (1, 0)


def columns_of(part: Tensor | None, dim: int | None, count: int):
    """[F, N] with a batch dimension, or the same for all of a batch -> [F, batch * N]."""
    if part is None:
        return None
    if dim is None:
        return part.repeat(1, count)
    return part.movedim(dim, 1).flatten(1)


def solved_with(transform, tensors, y: Tensor, context) -> tuple:
    """What `solve` gives without a gradient of its own: x, and the log-slopes unless they are zero."""
    found = called_with(transform, tensors, type(transform).solve, y, context)
    return tuple(part for part in found if part is not None)


def pulled_back(transform, x: Tensor, context, gx: Tensor, gl, wanted: list, own: bool):
    """Cotangents of what is wanted, where an inverse gave x.

    Args:
        transform: the autoregressive transform.
        x: [D, N].
        context: [C, N] or None.
        gx: cotangent of x.
        gl: cotangent of the sum of the log-slopes of the inverse [N], or None.
        wanted: tensors; the first of them is y where `own` says so.
        own: whether it is.
    """
    net, f = transform.net, transform.univariate
    with torch.enable_grad():
        layers = net.weights()
        phi, bends = net.activations(layers, x, context)
        at, leaf = x.detach().requires_grad_(), phi.detach().requires_grad_()
        y, slope = f(at, leaf)
    # At a fixed x a cotangent of the result is minus that cotangent of y, and of the log-slope.
    by_y = torch.autograd.grad(y, leaf, -torch.ones_like(y), retain_graph=True)[0]
    by_slope, given = None, ()
    if slope is not None:
        given = (-gl.expand_as(slope),)
        pair = (at, leaf)
        by_x, by_slope = torch.autograd.grad(
            slope, pair, *given, retain_graph=True, allow_unused=True
        )
        gx = gx if by_x is None else gx + by_x
    steep = None if slope is None else slope.detach().exp()
    gy = net.transposed(layers, gx, steep, by_y, by_slope, bends)
    found = [gy] if own else []
    if wanted[own:]:
        by_phi = (f.by_parameter(by_y) * gy).flatten(0, 1)
        by_phi = by_phi if by_slope is None else by_phi.add_(by_slope)
        outputs = (phi, y) if slope is None else (phi, y, slope)
        found += torch.autograd.grad(
            outputs, wanted[own:], (by_phi, -gy, *given), allow_unused=True
        )
    return found
