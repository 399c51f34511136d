"""Lazy distributions and transforms against torch's own transformed distributions."""

import pytest
import torch
import torch.distributions as D
from torch import Tensor, nn
from torch.distributions import transforms as T

from pgcompile.lazy import (
    Flow,
    LazyComposedTransform,
    LazyDistribution,
    LazyTransform,
    Unconditional,
    UnconditionalDistribution,
    UnconditionalTransform,
)


class Shift(LazyTransform):
    """`2 x + net(context)`, over vectors."""

    def __init__(self, features: int, context: int) -> None:
        super().__init__()
        self.net = nn.Linear(context, features)

    def forward(self, context: Tensor | None = None) -> T.Transform:
        assert context is not None
        return T.AffineTransform(self.net(context), 2.0, event_dim=1)


def base(features: int, **options: bool) -> UnconditionalDistribution:
    return UnconditionalDistribution(D.Normal, torch.zeros(features), torch.ones(features), buffer=True, **options)


@pytest.mark.parametrize("value_batch", [(), (5,), (7, 5)])
@pytest.mark.parametrize("context_batch", [(), (5,), (7, 5)])
def test_a_flow_is_the_transformed_distribution(value_batch: tuple[int, ...], context_batch: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    flow = Flow(
        [Shift(3, 2), T.SigmoidTransform()], UnconditionalDistribution(D.Uniform, torch.zeros(3), torch.ones(3))
    )
    flow = flow.double()
    context, x = torch.randn(*context_batch, 2).double(), torch.randn(*value_batch, 3).double()
    found = flow(context)
    assert found.batch_shape == context_batch
    assert found.event_shape == (3,)
    z = 2 * x + flow.transform.transforms[0].net(context)
    slope = torch.sigmoid(z) * (1 - torch.sigmoid(z))
    expected = slope.log().sum(-1) + 3 * torch.log(torch.tensor(2.0).double())
    torch.testing.assert_close(found.log_prob(x), expected)
    drawn, density = found.rsample_and_log_prob((4,))
    assert drawn.shape == (4, *context_batch, 3)
    torch.testing.assert_close(found.log_prob(drawn), density, rtol=1e-6, atol=1e-6)


def test_draws_have_the_density() -> None:
    """The draws of a flow whose transform maps data to a standard Normal are Normal."""
    torch.manual_seed(0)
    flow = Flow(UnconditionalTransform(T.AffineTransform, torch.tensor([1.0]), torch.tensor([4.0])), base(1))
    drawn = flow().sample((50_000,))
    assert abs(drawn.mean() + 0.25) < 5 * 0.25 / 50_000**0.5
    assert abs(drawn.std() - 0.25) < 0.01


def test_inverses() -> None:
    shift = Shift(3, 2).double()
    assert shift.inv.inv is shift
    context, x = torch.randn(2).double(), torch.randn(4, 3).double()
    torch.testing.assert_close(shift.inv(context)(shift(context)(x)), x)
    chain = LazyComposedTransform(shift, T.TanhTransform(), Shift(3, 2)).double()
    assert chain.inv.inv is chain
    there = chain(context)
    assert there.inv.inv is there
    y, ladj = there.call_and_ladj(x)
    back, inverse = there.inv.call_and_ladj(y)
    torch.testing.assert_close(back, x, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(inverse, -ladj, rtol=1e-6, atol=1e-6)
    jacobian = torch.func.vmap(torch.func.jacrev(there))(x)
    torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], ladj)


def test_arguments_are_registered_and_stay_tied() -> None:
    scale = nn.Parameter(torch.ones(2))
    one = UnconditionalDistribution(D.Normal, torch.zeros(2), scale=scale)
    other = UnconditionalDistribution(D.Laplace, torch.zeros(2), scale)
    both = nn.ModuleList([one, other])
    assert sum(p is scale for p in both.parameters()) == 1
    assert len(list(both.parameters())) == 3
    with torch.no_grad():
        scale.fill_(3.0)
    torch.testing.assert_close(one("anything").stddev, torch.full((2,), 3.0))
    kept = UnconditionalDistribution(D.Normal, torch.zeros(2), torch.ones(2), buffer=True)
    assert not list(kept.parameters())
    assert len(kept.state_dict()) == 2
    assert isinstance(kept, LazyDistribution)


def test_the_old_name_warns() -> None:
    with pytest.deprecated_call():
        old = Unconditional(D.Normal, torch.zeros(1), 1.0)
    assert isinstance(old(), D.Normal)


def test_what_is_no_transform_is_refused() -> None:
    with pytest.raises(TypeError, match="str is no transform"):
        LazyComposedTransform("affine")  # type: ignore[arg-type]


def test_a_flow_compiles_to_one_graph() -> None:
    torch._dynamo.reset()
    flow = Flow(Shift(3, 2), base(3, validate_args=False))  # what validates arguments is not for `torch.compile`
    context, x = torch.randn(5, 2), torch.randn(5, 3)
    whole = torch.compile(lambda c, v: flow(c).log_prob(v), fullgraph=True, backend="eager")
    torch.testing.assert_close(whole(context, x), flow(context).log_prob(x))
