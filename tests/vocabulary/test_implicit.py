"""Gradients of inverses: against differences, the Jacobian of the way there, and torch's function transforms."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call, hessian, jacfwd, jacrev, stack_module_state, vmap
from torch.nn.utils import parametrizations

from pgcompile.runtime.transforms.additive import Shift
from pgcompile.runtime.transforms.affine import MaskedAutoregressive
from pgcompile.runtime.transforms.autoregressive import Autoregressive
from pgcompile.runtime.transforms.bernstein import Bernstein
from pgcompile.runtime.transforms.bijection import Bijection
from pgcompile.runtime.transforms.neural import NeuralAutoregressive, UnconstrainedMonotonic
from pgcompile.runtime.transforms.spline import SplineAutoregressive
from pgcompile.runtime.transforms.univariate import as_columns, from_columns

D, C = 4, 2
GRAPH = [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 1, 1]]
KINDS: dict[str, Any] = {
    "affine": lambda **o: MaskedAutoregressive(D, **o),
    "affine in two passes": lambda **o: MaskedAutoregressive(D, order="random", passes=2, **o),
    "affine along a graph": lambda **o: MaskedAutoregressive(D, adjacency=GRAPH, **o),
    "affine, learned activation": lambda **o: MaskedAutoregressive(D, **{**o, "act": nn.PReLU}),
    "affine, rectified": lambda **o: MaskedAutoregressive(D, **{**o, "act": nn.ReLU}),
    "affine, few units": lambda **o: MaskedAutoregressive(D, **{**o, "hidden": (2, 5)}),
    "spline": lambda **o: SplineAutoregressive(D, order="descending", **o),
    "spline, rectified": lambda **o: SplineAutoregressive(D, **{**o, "act": nn.ReLU}),
    "spline of one bin": lambda **o: SplineAutoregressive(D, bins=1, **o),
    "polynomial": lambda **o: Bernstein(D, **o),
    "monotone net": lambda **o: NeuralAutoregressive(D, signal=3, network=(6,), **o),
    "integral": lambda **o: UnconstrainedMonotonic(D, signal=3, network=(6,), points=8, **o),
}


def made(kind: str, context: int = C, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return KINDS[kind](context=context, hidden=(8, 8), act=nn.Tanh).double()


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_are_those_of_differences(kind: str) -> None:
    """First and second ones, with respect to the value, the context and every parameter."""
    module = made(kind)
    names = [name for name, _ in module.named_parameters()]

    def inverse(y: Tensor, context: Tensor, *parameters: Tensor) -> Any:
        class Way(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = module

            def forward(self, y: Tensor, context: Tensor) -> Any:
                return self.inner.inverse(y, context)

        named = {f"inner.{name}": part for name, part in zip(names, parameters, strict=True)}
        return functional_call(Way(), named, (y, context))

    inputs = [normal(3, D), normal(3, C), *(part.detach().clone() for part in module.parameters())]
    inputs = [part.requires_grad_() for part in inputs]
    assert torch.autograd.gradcheck(inverse, inputs, fast_mode=True, atol=1e-5)
    assert torch.autograd.gradgradcheck(inverse, inputs, fast_mode=True, atol=1e-4, rtol=1e-3)


# torch's own batching of that activation's derivative fails.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "learned activation" not in kind])
def test_the_jacobian_is_the_inverse_of_the_one_of_the_way_there(kind: str) -> None:
    module, y, context = made(kind), normal(5, D), normal(5, C)
    x = module.inverse(y, context)[0].detach()
    there = torch.stack([jacrev(lambda x, c=c: module(x, c)[0])(p) for p, c in zip(x, context, strict=True)])
    for jacobian in (jacrev, jacfwd):
        each = jacobian(lambda y, c: module.inverse(y, c)[0])
        torch.testing.assert_close(vmap(each)(y, context) @ there, torch.eye(D).double().expand(5, D, D))


@pytest.mark.parametrize("kind", KINDS)
def test_forward_and_reverse_mode_agree(kind: str) -> None:
    """Both nested in both, where a gradient of our own could lose a tangent without a word."""
    module, x, context = made(kind), normal(D), normal(C)
    for run in (module, module.inverse):

        def value(x: Tensor, run: Any = run) -> Tensor:
            y, ladj = run(x, context)
            return y.sin().sum() + ladj

        expected = jacrev(jacrev(value))(x)
        torch.testing.assert_close(hessian(value)(x), expected, rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(jacfwd(jacfwd(value))(x), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("dims", [(0, 0), (1, 1), (0, None), (None, 0)], ids=str)
@pytest.mark.parametrize("kind", ["affine in two passes", "spline", "monotone net"])
def test_a_gradient_through_vmap(kind: str, dims: tuple[int | None, int | None]) -> None:
    module = made(kind)
    y, context = normal(3, 3, D).requires_grad_(), normal(3, 3, C).requires_grad_()
    parts = [part if dim is not None else part[0] for part, dim in zip((y, context), dims, strict=True)]
    wanted = [y, context, *module.parameters()]

    def loss(x: Tensor, ladj: Tensor) -> Tensor:
        return x.sin().sum() + ladj.square().sum()

    found = torch.autograd.grad(loss(*vmap(module.inverse, dims)(*parts)), wanted)
    each = [
        module.inverse(*(p if dim is None else p.select(dim, i) for p, dim in zip(parts, dims, strict=True)))
        for i in range(3)
    ]
    expected = torch.autograd.grad(sum((loss(*one) for one in each), torch.zeros(())), wanted)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("kind", ["affine", "spline", "monotone net"])
def test_an_ensemble(kind: str) -> None:
    """Transforms side by side under vmap: each with its own weights, and their gradients."""
    modules = [made(kind, seed=seed) for seed in range(3)]
    y, context = normal(3, 5, D), normal(3, 5, C)
    parameters, buffers = stack_module_state(modules)

    class Way(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = modules[0]

        def forward(self, y: Tensor, context: Tensor) -> Any:
            return self.inner.inverse(y, context)

    def one(parameters: Any, buffers: Any, y: Tensor, context: Tensor) -> Any:
        named = {f"inner.{name}": part for name, part in (parameters | buffers).items()}
        return functional_call(Way(), named, (y, context))

    found = vmap(one)(parameters, buffers, y, context)
    found_by = torch.autograd.grad(sum((part.sin().sum() for part in found), torch.zeros(())), [*parameters.values()])
    for i, module in enumerate(modules):
        expected = module.inverse(y[i], context[i])
        by = torch.autograd.grad(sum((part.sin().sum() for part in expected), torch.zeros(())), [*module.parameters()])
        for ours, theirs in zip([part[i] for part in (*found, *found_by)], (*expected, *by), strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_add_up(kind: str) -> None:
    """The gradient of the value alone and that of the log-determinant alone are those of both together."""
    module, y, context = made(kind), normal(5, D).requires_grad_(), normal(5, C).requires_grad_()
    wanted = [y, context, *module.parameters()]

    def gradients(*weights: float) -> list[Tensor]:
        parts = [weight * part.sin().sum() for weight, part in zip(weights, module.inverse(y, context), strict=True)]
        used = [part for weight, part in zip(weights, parts, strict=True) if weight]
        found = torch.autograd.grad(sum(used, torch.zeros(())), wanted, allow_unused=True)
        return [torch.zeros_like(w) if by is None else by for by, w in zip(found, wanted, strict=True)]

    for value, density, both in zip(gradients(2, 0), gradients(0, 3), gradients(2, 3), strict=True):
        torch.testing.assert_close(value + density, both)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_some_are_those_of_all(kind: str) -> None:
    module, y, context = made(kind), normal(5, D).requires_grad_(), normal(5, C).requires_grad_()
    wanted = {"y": y, "context": context, **dict(module.named_parameters())}

    def gradients() -> dict[str, Tensor]:
        asked = {name: part for name, part in wanted.items() if part.requires_grad}
        x, ladj = module.inverse(y, context)
        found = torch.autograd.grad(x.sin().sum() + ladj.square().sum(), list(asked.values()))
        return dict(zip(asked, found, strict=True))

    everything = gradients()
    for number in range(4):
        for i, part in enumerate(wanted.values()):
            part.requires_grad_(i % 4 == number)
        some = gradients()
        assert some.keys() < everything.keys()
        for name, by in some.items():
            torch.testing.assert_close(by, everything[name], msg=name)


def test_a_map_of_slope_one() -> None:
    """Volumes are kept: there are no log-slopes, and no cotangent of them."""
    torch.manual_seed(0)
    module = Autoregressive(D, Shift(), 0, (8, 8), nn.Tanh, "ascending", None, None).double()
    y = normal(3, D).requires_grad_()
    x, ladj = module.inverse(y)
    assert ladj is None
    (found,) = torch.autograd.grad(x.sin().sum(), y)
    step, way = 1e-6, normal(3, D)
    ends = [module.inverse(y.detach() + sign * step * way)[0].sin().sum() for sign in (1, -1)]
    torch.testing.assert_close((found * way).sum(), (ends[0] - ends[1]) / (2 * step), rtol=1e-6, atol=1e-6)


def test_a_frozen_net_passes_gradients_to_the_value() -> None:
    module = made("spline").requires_grad_(False)
    y, context = normal(3, D).requires_grad_(), normal(3, C)
    assert torch.autograd.gradcheck(lambda y: module.inverse(y, context), (y,))


def test_weights_that_change_before_the_backward_pass_change_no_gradient() -> None:
    module, y, context = made("affine"), normal(3, D), normal(3, C)
    expected = torch.autograd.grad(module.inverse(y, context)[0].sum(), [*module.parameters()])
    x, _ = module.inverse(y, context)
    with torch.no_grad():
        for layer in module.net.layers:
            layer.weight.mul_(2)
    for ours, theirs in zip(torch.autograd.grad(x.sum(), [*module.parameters()]), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def by_steps(module: Any, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """The same way back, its gradient by autograd through every step."""
    given = as_columns(y), as_columns(context)
    return from_columns(*module.solve(module.net.weights(), *given), y.shape[:-1])


@pytest.mark.parametrize("kind", ["affine", "spline", "monotone net"])
def test_a_context_made_of_draws_and_of_its_own_weights(kind: str) -> None:
    """A flow used again and again, and one that looks at itself: what an input is made of is counted once."""
    module, noise, first = made(kind), normal(4, 3, D), normal(3, C)
    bias = module.net.layers[0].bias
    found = []
    for way in (module.inverse, lambda y, c: by_steps(module, y, c)):
        context, total = first, torch.zeros((), dtype=torch.float64)
        for y in noise:
            x, ladj = way(y, context)
            total = total + ladj.sum()
            context = torch.tanh(x[:, :C] + bias[:C])
        found.append(torch.autograd.grad(total + x.square().sum(), [*module.parameters()]))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_hooks_of_parameters_run_once() -> None:
    module, y, context = made("spline"), normal(3, D), normal(3, C)
    expected = torch.autograd.grad(module.inverse(y, context)[0].sum(), [*module.parameters()])
    for parameter in module.parameters():
        parameter.register_hook(lambda gradient: gradient / 2)
    module.inverse(y, context)[0].sum().backward()
    for parameter, whole in zip(module.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, whole / 2)


@pytest.mark.parametrize("kind", ["affine", "spline"])
@pytest.mark.parametrize("how", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_parametrised_weights(kind: str, how: Any) -> None:
    """Cached for a while or not; power iterations of training run in the forward pass only."""
    module, y, context = made(kind), normal(3, D), normal(3, C)
    for layer in module.net.layers:
        how(layer)
    module.train()
    with nn.utils.parametrize.cached():
        x, ladj = module.inverse(y, context)
        there, _ = module(x.detach(), context)
        plain_x, plain_ladj = by_steps(module, y, context)
    state = {name: part.clone() for name, part in module.state_dict().items()}
    wanted = [*module.parameters()]
    found = torch.autograd.grad(x.sin().sum() + ladj.sum(), wanted, retain_graph=True)
    again = torch.autograd.grad(x.sin().sum() + ladj.sum(), wanted, retain_graph=True)
    expected = torch.autograd.grad(plain_x.sin().sum() + plain_ladj.sum(), wanted, retain_graph=True)
    for parts in zip(found, again, expected, strict=True):
        torch.testing.assert_close(parts[0], parts[2])
        torch.testing.assert_close(parts[1], parts[2])
    assert all(part is not None for part in torch.autograd.grad(there.sin().sum(), wanted))
    for name, part in module.state_dict().items():
        torch.testing.assert_close(part, state[name], rtol=0, atol=0)


def test_a_draw_may_be_changed_in_place() -> None:
    module, y, context = made("spline"), normal(3, D), normal(3, C)
    wanted = [*module.parameters()]
    expected = torch.autograd.grad((module.inverse(y, context)[0] + 1).square().sum(), wanted)
    x, _ = module.inverse(y, context)
    x += 1
    for ours, theirs in zip(torch.autograd.grad(x.square().sum(), wanted), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("kind", ["affine", "spline"])
def test_values_of_half_precision_under_autocast(kind: str) -> None:
    """As a draw of another flow under autocast has them."""
    module = made(kind).float()
    y, context = torch.randn(64, D), torch.randn(64, C)
    full = torch.autograd.grad(module.inverse(y, context)[0].square().mean(), [*module.parameters()])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x, ladj = module.inverse(y.bfloat16(), context.bfloat16())
        with torch.no_grad():
            torch.testing.assert_close(module.inverse(y.bfloat16(), context.bfloat16())[0], x)
    half = torch.autograd.grad(x.float().square().mean() + 0 * ladj.sum(), [*module.parameters()])
    for rough, exact in zip(half, full, strict=True):
        assert float((rough - exact).norm()) < 0.1 * float(exact.norm()) + 1e-3


@pytest.mark.parametrize("kind", ["affine", "spline", "monotone net"])
def test_vmap_without_gradients_where_only_contexts_are_batched(kind: str) -> None:
    module, y, contexts = made(kind), normal(3, D), normal(5, 3, C)
    with torch.no_grad():
        found = vmap(lambda c: module.inverse(y, c)[0])(contexts)
        torch.testing.assert_close(found, torch.stack([module.inverse(y, c)[0] for c in contexts]))


@pytest.mark.parametrize("kind", ["affine", "spline"])
def test_a_vectorised_jacobian(kind: str) -> None:
    module, y, context = made(kind), normal(D), normal(C)
    found = torch.autograd.functional.jacobian(lambda y: module.inverse(y, context)[0], y, vectorize=True)
    torch.testing.assert_close(found, jacrev(lambda y: module.inverse(y, context)[0])(y))


def test_a_net_without_hidden_layers() -> None:
    torch.manual_seed(0)
    module = MaskedAutoregressive(D, hidden=()).double()
    y = normal(3, D).requires_grad_()
    torch.testing.assert_close(module(module.inverse(y)[0])[0], y)
    assert torch.autograd.gradcheck(module.inverse, (y,))


@pytest.mark.parametrize("features", [8, 32])
def test_it_keeps_its_arguments_and_its_result_only(features: int) -> None:
    """Whatever the number of steps."""
    module: Bijection = MaskedAutoregressive(features, hidden=(16, 16))
    y = torch.randn(100, features).requires_grad_()
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        module.inverse(y)
    own = sum(part.numel() for part in (*module.parameters(), *module.buffers()))
    assert sum(kept.values()) <= own + 4 * y.numel()


def test_a_class_made_of_an_activation_keeps_its_own_slope() -> None:
    class Leaky(nn.ReLU):
        def forward(self, input: Tensor) -> Tensor:
            return torch.where(input > 0, input, 0.1 * input)

    module, y = MaskedAutoregressive(D, hidden=(8,), act=Leaky).double(), normal(5, D)
    there = vmap(jacrev(lambda x: module(x)[0]))(module.inverse(y)[0].detach())
    y.requires_grad_()
    module.inverse(y)[0].sum().backward()
    assert y.grad is not None
    torch.testing.assert_close(y.grad, torch.linalg.inv(there).sum(1))


@pytest.mark.parametrize("make", [MaskedAutoregressive, SplineAutoregressive])
def test_nets_that_widen(make: Any) -> None:
    """Steps without a unit of the first layer: several activations change one sum before the next is made."""
    module, y = make(10, hidden=(4, 8)).double(), normal(2, 10)
    x = module.inverse(y)[0].detach()
    there = vmap(jacrev(lambda x: module(x)[0]))(x)
    back = vmap(jacrev(lambda y: module.inverse(y)[0]))(y)
    torch.testing.assert_close(back @ there, torch.eye(10).double().expand(2, 10, 10))
    torch.testing.assert_close(
        jacrev(jacrev(lambda y: module.inverse(y)[1]))(y[0]), hessian(lambda y: module.inverse(y)[1])(y[0])
    )


def test_an_empty_batch() -> None:
    module, y = MaskedAutoregressive(D, hidden=(8,)), torch.zeros(0, D, requires_grad=True)
    module.inverse(y)[0].sum().backward()
    assert y.grad is not None
    assert y.grad.shape == (0, D)
    assert all(part.grad is not None and not part.grad.any() for part in module.parameters())
