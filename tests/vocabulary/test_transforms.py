"""Laws of every transform: inverse, log-determinant against the Jacobian, broadcasting, derivatives, checkpoints."""

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pgcompile.runtime.library import library
from pgcompile.runtime.transforms.bijection import Bijection
from pgcompile.runtime.transforms.composed import ComposedTransform, Inverted
from pgcompile.runtime.transforms.coupling import AlternatingCouplings
from pgcompile.runtime.transforms.images import MultiScale
from pgcompile.vocabulary.transforms import transform_words

D, C, BATCH = 4, 3, 6


@dataclass(frozen=True)
class Case:
    """A transform at small sizes.

    Args:
        word: its name.
        options: more of its arguments.
        shape: event shape of the data.
        data: makes data in its domain from normal noise.
        exact: how near the law of the Jacobian holds.
    """

    word: str
    options: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = (D,)
    data: Callable[[Tensor], Tensor] = lambda x: x
    exact: float = 1e-9
    back: float = 1e-9

    def __str__(self) -> str:
        return "-".join([self.word, *(f"{k}={v}" for k, v in self.options.items())])


IMAGE = (4, 4, 4)
HIDDEN = {"hidden": (16, 16)}
CASES = [
    Case("ActNorm"),
    Case("ActNorm", shape=IMAGE),
    Case("AdditiveCoupling", HIDDEN),
    Case("Affine", {"loc": 0.5, "scale": -2.0}),
    Case("AffineCoupling", HIDDEN),
    *(Case("AffineCoupling", {**HIDDEN, "mask": mask}) for mask in ("even", "odd", "last", "random", (1, 1, 0, 1))),
    Case("BatchNorm"),
    Case("BatchNorm", shape=IMAGE),
    Case("Bernstein", HIDDEN),
    Case("CircularShift", data=lambda x: x.clamp(-3, 3)),
    Case("CircularSplineAutoregressive", HIDDEN, data=lambda x: x.clamp(-3, 3)),
    Case("CircularSplineCoupling", HIDDEN, data=lambda x: x.clamp(-3, 3)),
    Case("Continuous", {**HIDDEN, "steps": 60, "act": nn.Tanh}, exact=1e-6, back=1e-6),
    Case(
        "Continuous", {**HIDDEN, "solver": "dopri5", "atol": 1e-9, "rtol": 1e-9, "act": nn.SiLU}, exact=1e-5, back=1e-5
    ),
    Case("Conv1x1", shape=IMAGE),
    Case("Conv1x1", {"lu": False}, shape=IMAGE),
    Case("Dequantise", {"levels": 5}, data=lambda x: x.abs().floor().clamp(0, 4)),
    Case("ElementwiseAffine", HIDDEN),
    Case("Exp"),
    Case("Flatten", shape=IMAGE),
    Case("Gaussianization", HIDDEN),
    Case("ImageCoupling", {"hidden": 8}, shape=IMAGE),
    Case("ImageCoupling", {"hidden": 8, "flip": True}, shape=IMAGE),
    Case("ImageCoupling", {"hidden": 8, "mask": "checkerboard"}, shape=(1, 4, 4)),
    Case("InverseAutoregressive", HIDDEN),
    Case("LULinear"),
    Case("Log", data=lambda x: x.exp()),
    Case("Logit", data=lambda x: torch.sigmoid(x)),
    Case("MaskedAutoregressive", HIDDEN),
    Case("MaskedAutoregressive", {**HIDDEN, "order": "random"}),
    Case("MaskedAutoregressive", {**HIDDEN, "order": (2, 0, 3, 1), "passes": 2}),
    Case("MaskedAutoregressive", {**HIDDEN, "adjacency": [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 1, 1]]}),
    Case("MaskedAutoregressive", {**HIDDEN}, shape=(1,)),
    Case("NeuralAutoregressive", {**HIDDEN, "signal": 4, "network": (8, 8)}),
    Case("Permutation"),
    Case("Permutation", {"order": (2, 0, 3, 1)}),
    Case("Planar", HIDDEN),
    Case("Power", {"exponent": 3.0}, data=lambda x: x.exp()),
    Case("Radial", HIDDEN),
    Case("Reverse"),
    Case("Rotation"),
    Case("Shuffle", shape=IMAGE),
    Case("Sigmoid"),
    Case("Softclip", {"bound": 3.0}),
    Case("Softplus"),
    Case("SplineAutoregressive", HIDDEN),
    Case("SplineAutoregressive", HIDDEN, shape=(1,)),
    Case("SplineCoupling", HIDDEN),
    Case("Squeeze", shape=IMAGE),
    Case("SumOfSquares", HIDDEN),
    Case("Tanh"),
    Case("UnconstrainedMonotonic", {**HIDDEN, "signal": 4, "network": (8, 8)}),
    Case("Unflatten", {"into": (2, 2)}),
    Case("Unsqueeze", shape=IMAGE),
]
CONDITIONAL = [case for case in CASES if transform_words()[case.word].conditional]


def new(case: Case, context: int = 0) -> Any:
    """The transform as it starts, in float64."""
    torch.manual_seed(0)
    word = transform_words()[case.word]
    cls = getattr(importlib.import_module(library(flows=True).modules[case.word]), case.word)
    first: list[Any] = []
    if word.argument != "none":
        first = [case.shape[0] if word.argument == "features" else case.shape]
    more = {"context": context} if context else {}
    return cls(*first, **more, **case.options).double()


def made(case: Case, context: int = 0) -> Any:
    """The transform with weights that move things, in float64."""
    module = new(case, context)
    for parameter in module.parameters():
        if parameter.abs().max() == 0:
            nn.init.normal_(parameter, 0, 0.3)
    if case.word in ("ActNorm", "BatchNorm"):
        module(2 * torch.randn(64, *case.shape, dtype=torch.float64) + 1)
    return module.eval()


def data_of(case: Case, batch: tuple[int, ...] = (BATCH,)) -> Tensor:
    return case.data(torch.randn(*batch, *case.shape, dtype=torch.float64))


def contexts(case: Case) -> list[int]:
    return [0, C] if transform_words()[case.word].conditional else [0]


def test_every_transform_has_a_case() -> None:
    assert {case.word for case in CASES} == {*transform_words()}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_inverse_and_its_log_determinant(case: Case) -> None:
    for width in contexts(case):
        module = made(case, width)
        x = data_of(case)
        c = torch.randn(BATCH, C, dtype=torch.float64) if width else None
        y, ladj = module(x, c)
        again, back = module.inverse(y, c)
        torch.testing.assert_close(again, x, rtol=0, atol=case.back)
        if ladj is not None:
            torch.testing.assert_close(back.expand(BATCH), -ladj.expand(BATCH), rtol=0, atol=10 * case.exact)
        else:
            assert back is None


@pytest.mark.parametrize("case", CASES, ids=str)
def test_made_without_data_and_filled_from_a_checkpoint(case: Case) -> None:
    """`to_empty` leaves what memory held: masks, orders and constants must come back with the weights."""
    for width in contexts(case):
        module = made(case, width)
        with torch.device("meta"):
            empty = new(case, width)
        empty = empty.to_empty(device="cpu")
        with torch.no_grad():
            for tensor in empty.state_dict(keep_vars=True).values():
                tensor.zero_()
            for tensor in (b for m in empty.modules() for b in m.buffers(recurse=False)):
                tensor.fill_(1)
        empty.load_state_dict(module.state_dict())
        x, c = data_of(case), torch.randn(BATCH, C, dtype=torch.float64) if width else None
        state = torch.get_rng_state()
        wanted = module(x, c)[0]
        torch.set_rng_state(state)
        torch.testing.assert_close(empty.eval()(x, c)[0], wanted, rtol=0, atol=case.exact)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_log_determinant_is_that_of_the_jacobian(case: Case) -> None:
    size = math.prod(case.shape)
    for width in contexts(case):
        module = made(case, width)
        x = data_of(case)
        c = torch.randn(BATCH, C, dtype=torch.float64) if width else None
        ladj = module(x, c)[1]
        for i in range(BATCH):
            own = None if c is None else c[i]
            torch.manual_seed(1)  # one transform draws noise
            jacobian = torch.autograd.functional.jacobian(
                lambda v, own=own, module=module: module(v, own)[0].flatten(), x[i]
            )
            expected = torch.linalg.slogdet(jacobian.reshape(size, size)).logabsdet
            found = torch.zeros(()) if ladj is None else ladj.expand(BATCH)[i]
            torch.testing.assert_close(found.double(), expected, rtol=0, atol=case.exact)


@pytest.mark.parametrize("case", [c for c in CASES if c.word != "Dequantise"], ids=str)
def test_any_batch_gives_the_same_as_each_point_alone(case: Case) -> None:
    for width in contexts(case):
        module = made(case, width)
        x = data_of(case, (2, 3))
        c = torch.randn(2, 3, C, dtype=torch.float64) if width else None
        y, ladj = module(x, c)
        for i, j in ((0, 0), (1, 2)):
            alone, own = module(x[i, j], None if c is None else c[i, j])
            # With adaptive steps the others have a say in the steps.
            torch.testing.assert_close(alone, y[i, j], rtol=0, atol=case.back)
            if ladj is not None:
                torch.testing.assert_close(own, ladj.expand(2, 3)[i, j], rtol=0, atol=case.back)


@pytest.mark.parametrize("case", CONDITIONAL, ids=str)
def test_values_and_contexts_broadcast(case: Case) -> None:
    flow = ComposedTransform([made(case, C)], case.shape, context=C)
    x, c = data_of(case, (2, 3)), torch.randn(2, 3, C, dtype=torch.float64)
    for run in (flow, flow.inverse):
        for value, context in ((x[0, 0], c), (x, c[0, 0]), (x[:, :1], c[:1]), (x, c[0])):
            found = run(value, context)
            whole = run(value.expand(2, 3, *case.shape), context.expand(2, 3, C))
            for a, b in zip(found, whole, strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=max(case.back, 1e-9))
                assert a.shape == b.shape


@pytest.mark.parametrize("case", CONDITIONAL, ids=str)
def test_a_wrong_context_is_an_error_that_says_what_is_right(case: Case) -> None:
    flow = ComposedTransform([made(case, C)], case.shape, context=C)
    x = data_of(case)
    for context in (None, torch.randn(BATCH, C + 1), torch.randn(())):
        with pytest.raises(ValueError, match=rf"{math.prod(case.shape)} features takes a context of.*{C}"):
            flow(x, context)
    with pytest.raises(ValueError, match=r"takes values of shape"):
        flow(torch.randn(BATCH, 7), torch.randn(BATCH, C))
    plain = ComposedTransform([made(case)], case.shape)
    with pytest.raises(ValueError, match="takes no context"):
        plain(x, torch.randn(BATCH, C))


SMOOTH = [c for c in CASES if c.word not in ("Dequantise", "Unsqueeze", "Squeeze", "Flatten", "Unflatten", "Shuffle")]


@pytest.mark.parametrize("case", [c for c in SMOOTH if c.options.get("solver") != "dopri5"], ids=str)
def test_second_derivatives(case: Case) -> None:
    """Along a direction, against differences of first derivatives, of both ways and their log-determinants."""
    module = made(case)
    start, direction = data_of(case, ()), torch.randn(case.shape, dtype=torch.float64)
    if case.word == "MaskedAutoregressive" or "act" not in str(case.options):
        for child in module.modules():
            if hasattr(child, "act"):
                child.act = nn.Tanh()  # kinks have no second derivative
    weights = torch.randn(case.shape, dtype=torch.float64).flatten()
    y0, _ = module(start)
    for run, origin in ((module, start), (module.inverse, y0.detach())):

        def value(x: Tensor, run: Any = run) -> Tensor:
            y, ladj = run(x)
            total = (y.flatten() * weights).sum()
            return total if ladj is None or ladj.dim() else total + ladj

        way = direction.reshape(origin.shape)

        def slope(t: float, value: Any = value, origin: Tensor = origin, way: Tensor = way) -> Tensor:
            x = (origin + t * way).requires_grad_()
            (g,) = torch.autograd.grad(value(x), x)
            return (g * way).sum()

        x = origin.clone().requires_grad_()
        (g,) = torch.autograd.grad(value(x), x, create_graph=True)
        first = (g * way).sum()
        second = torch.autograd.grad(first, x, allow_unused=True)[0] if first.requires_grad else None
        second = torch.zeros_like(x) if second is None else second  # a linear map
        step = 1e-5
        expected = (slope(step) - slope(-step)) / (2 * step)
        torch.testing.assert_close((second * way).sum(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_eval_mode_changes_no_gradient(case: Case) -> None:
    module = made(case)
    if case.word == "BatchNorm" or not any(p.requires_grad for p in module.parameters()):
        return  # batch normalisation is two functions by its definition; the others have nothing to learn
    y, _ = module(data_of(case))
    found = []
    for training in (True, False):
        module.train(training)
        module.zero_grad()
        x, ladj = module.inverse(y.detach())
        (x.square().sum() + (0.0 if ladj is None else ladj.sum())).backward()
        found.append([p.grad for p in module.parameters()])
    for a, b in zip(*found, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_checkpoint_holds_all_that_the_function_is(case: Case) -> None:
    """A module made anew, with other random choices, is the same function after loading."""
    module = made(case)
    torch.manual_seed(99)
    word = transform_words()[case.word]
    cls = type(module)
    first = [case.shape[0] if word.argument == "features" else case.shape] if word.argument != "none" else []
    other = cls(*first, **case.options).double()
    other.load_state_dict(module.state_dict())
    other.eval()
    x = data_of(case)
    for seeds in (3,):
        torch.manual_seed(seeds)
        expected = module(x)
        torch.manual_seed(seeds)
        found = other(x)
        torch.testing.assert_close(found[0], expected[0], rtol=0, atol=0)
    back = module.inverse(expected[0])[0]
    torch.testing.assert_close(other.inverse(expected[0])[0], back, rtol=0, atol=1e-12)


def test_other_constants_in_a_checkpoint_are_an_error() -> None:
    case = Case("SplineCoupling", {**HIDDEN, "bound": 3.0})
    other = made(Case("SplineCoupling", {**HIDDEN, "bound": 4.0}))
    with pytest.raises(RuntimeError, match=r"bound is 4 here, and 3 in the checkpoint"):
        other.load_state_dict(made(case).state_dict())


def test_activation_normalisation_is_set_once() -> None:
    case = Case("ActNorm")
    torch.manual_seed(0)
    cls = type(made(case))
    first = cls((D,))
    batch = 3 * torch.randn(100, D) + 2
    y, _ = first(batch)
    torch.testing.assert_close(y.mean(0), torch.zeros(D), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std(0, correction=0), torch.ones(D), atol=1e-4, rtol=0)
    loaded = cls((D,))
    loaded.load_state_dict(first.state_dict())
    loaded(torch.randn(100, D))  # in training mode
    torch.testing.assert_close(loaded.loc, first.loc)


def test_a_planar_transform_is_monotone_whatever_its_parameters() -> None:
    torch.manual_seed(0)
    module = made(Case("Planar"))
    with torch.no_grad():
        module.phi.mul_(50)
    x = 3 * torch.randn(500, D, dtype=torch.float64)
    y, ladj = module(x)
    assert torch.isfinite(ladj).all()
    torch.testing.assert_close(module.inverse(y)[0], x, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    "word", ["SumOfSquares", "NeuralAutoregressive", "UnconstrainedMonotonic", "Bernstein", "Gaussianization"]
)
def test_far_outside_the_bound_the_map_goes_on_along_its_tangent(word: str) -> None:
    module = made(next(case for case in CASES if case.word == word))
    bound = module.univariate.bound
    ends = torch.tensor([[bound], [bound + 1], [bound + 3]], dtype=torch.float64).expand(3, D).clone()
    ends[:, 1:] = 0.3  # the first feature depends on no other
    y, _ = module(ends)
    values = y[:, 0].detach()
    torch.testing.assert_close(values[2] - values[0], 3 * (values[1] - values[0]))
    wide = 3 * bound * torch.randn(50, D, dtype=torch.float64)
    image, _ = module(wide)
    torch.testing.assert_close(module.inverse(image)[0], wide, rtol=1e-6, atol=1e-6)


def test_drawing_evaluates_each_hidden_unit_once() -> None:
    """Products of the inverse: their rows times columns are those of one pass, up to the blocks on the diagonal."""
    from torch.utils._python_dispatch import TorchDispatchMode

    features, width = 32, 64
    module = made(Case("MaskedAutoregressive", {"hidden": (width, width)}, shape=(features,)))
    work = 0

    class Counter(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal work
            if func._overloadpacket._qualified_op_name.split("::")[1].startswith("addmm"):
                work += args[1].shape[0] * args[1].shape[1]
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), Counter():
        module.inverse(torch.randn(8, features, dtype=torch.float64))
    one_pass = features * width + width * width + width * 2 * features
    assert work < 1.5 * one_pass


def test_loading_other_masks_into_alternating_couplings() -> None:
    """Which couplings take turns is found again; masks that do not go together are refused."""

    def flow(*masks: str) -> AlternatingCouplings:
        torch.manual_seed(len(masks[0]))
        return AlternatingCouplings([made(Case("AffineCoupling", {**HIDDEN, "mask": mask})) for mask in masks])

    x = torch.randn(5, D, dtype=torch.float64)
    one, other = flow("even", "odd"), flow("even", "even")
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(other(x), one(x), rtol=0, atol=0)


@pytest.mark.parametrize("case", [c for c in CASES if len(c.shape) == 1], ids=str)
def test_an_empty_batch(case: Case) -> None:
    flow = ComposedTransform([made(case)], case.shape)
    for run in (flow, flow.inverse):
        y, ladj = run(torch.randn(0, *case.shape, dtype=torch.float64))
        assert y.shape[0] == 0
        assert ladj.shape == (0,)


def test_couplings_that_keep_other_halves_are_refused() -> None:
    masks = ("even", "first")
    with pytest.raises(ValueError, match="keep other sets"):
        AlternatingCouplings([made(Case("AffineCoupling", {**HIDDEN, "mask": mask})) for mask in masks])


@pytest.mark.parametrize("arguments", [{"order": (0, 0, 1, 2)}, {"order": "backwards"}, {"adjacency": [[1, 0]]}])
def test_orders_that_are_none(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"order|adjacency"):
        made(Case("MaskedAutoregressive", {**HIDDEN, **arguments}))


def test_an_adjacency_with_a_circle() -> None:
    with pytest.raises(ValueError, match="circle"):
        made(Case("MaskedAutoregressive", {"adjacency": [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}))


def test_splits_and_inverses_inside_a_composition() -> None:
    torch.manual_seed(0)
    half = (2, 4, 4)
    inner: list[Bijection] = [made(Case("ActNorm", shape=half))]
    split = MultiScale(IMAGE, inner, half)
    squeeze = made(Case("Squeeze", shape=IMAGE))
    flow = ComposedTransform([Inverted(squeeze), squeeze, split], IMAGE, (64,)).double()
    x = torch.randn(5, *IMAGE, dtype=torch.float64)
    y, ladj = flow(x)
    assert y.shape == (5, 64)
    again, back = flow.inverse(y)
    torch.testing.assert_close(again, x)
    torch.testing.assert_close(back, -ladj)


def test_continuous_trace_by_hutchinson_is_unbiased() -> None:
    """Mean over many estimates, within five standard errors of the exact log-determinant."""
    options = {**HIDDEN, "act": nn.Tanh, "steps": 10}
    exact = made(Case("Continuous", options))
    estimated = made(Case("Continuous", {**options, "trace": "hutchinson"}))
    estimated.load_state_dict(exact.state_dict())
    x = torch.randn(1, D, dtype=torch.float64)
    expected = exact(x)[1]
    found = estimated(x.expand(4000, D))[1]
    error = found.std() / len(found) ** 0.5
    assert (found.mean() - expected).abs().item() < 5 * error.item()


@pytest.mark.parametrize("bins", [1, 2, 8])
@pytest.mark.parametrize("axis", [0, 1])
def test_both_ways_to_look_a_bin_up_find_the_same(bins: int, axis: int) -> None:
    """The one in few operations and the one in few passes: inside and at the ends."""
    from pgcompile.runtime.transforms.rational_quadratic import Spline

    torch.manual_seed(0)
    spline = Spline(bins, bound=3.0).double()
    phi = 4 * torch.randn(3 * bins - 1, 2, 50, dtype=torch.float64)
    place = torch.rand(2, 50, dtype=torch.float64)
    place[:, 0], place[:, 1] = 0, 1
    corner, size, slopes = spline.gathered(place, phi, axis)
    for ours, theirs in zip(spline.summed(place, phi, axis), (corner, size, slopes), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    # It is the bin of the place, and bins fill the square.
    assert (corner[axis] <= place + 1e-12).all()
    assert (place <= (corner + size)[axis] + 1e-12).all()
    table = [spline.gathered(torch.full_like(place, p), phi, axis) for p in torch.linspace(0, 1, 5001).tolist()]
    widths = torch.stack([one[1][axis] for one in table])
    torch.testing.assert_close((1 / widths).mean(0), torch.full_like(place, bins), rtol=0.02, atol=0.0)


@pytest.mark.parametrize(("dtype", "spread"), [(torch.float32, 10.0), (torch.bfloat16, 1.0)], ids=str)
@pytest.mark.parametrize("at", [7.0, 5.0, -5.0, 4.99], ids=str)
def test_a_spline_solved_in_few_digits(dtype: torch.dtype, spread: float, at: float) -> None:
    """At and beyond its ends, steep and flat: what is solved for and every gradient are numbers, and in range."""
    from pgcompile.runtime.transforms.rational_quadratic import Spline

    torch.manual_seed(0)
    spline = Spline(8).to(dtype)
    phi = (spread * torch.randn(23, 50_000)).to(dtype).requires_grad_()
    y = torch.full((1, 50_000), at, dtype=dtype, requires_grad=True)
    x, log_slope = spline.inverse(y, phi)
    assert x.isfinite().all()
    assert log_slope.isfinite().all()
    assert (x.abs() <= max(5.0, abs(at)) * (1 + 8 * torch.finfo(dtype).eps)).all()
    for part in torch.autograd.grad(x.sum() + log_slope.sum(), (y, phi)):
        assert part.isfinite().all()
    with torch.no_grad():
        assert spline.inverse(y, phi)[0].isfinite().all()
