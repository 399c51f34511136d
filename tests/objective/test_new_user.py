"""What a new user tried first and found wanting, pinned."""

import pytest
import torch
import torch.distributions as D

import pgcompile as pgc
from tests.conftest import compiled
from tests.programs import SMALL


def test_an_input_may_be_one_number_for_each_data_point() -> None:
    """The mask of a semi-supervised objective: the loss is still the mean."""
    text = (
        "x : real[3]\ny : category[2]\ninput labelled : real\ninput alpha "
        ": real\nnet f = Linear(2)\np(y|x) = Categorical(logits = f(x))\n"
    )
    text += "a = log p(y|x)\ne = labelled * a + alpha * sum(square(f(x)))\nminimize e"
    model = compiled(text).Model()
    x, y = torch.randn(4, 3), torch.randint(0, 2, (4,))
    mask = torch.tensor([1.0, 0.0, 1.0, 0.0])
    torch.testing.assert_close(model.loss(x, y, mask, 0.2), model.e(x, y, mask, 0.2).mean())
    torch.testing.assert_close(model.loss(x, y, 0.5, 0.2), model.e(x, y, 0.5, 0.2).mean())


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_any_batch_through_convolutions_and_cells(batch: tuple[int, ...]) -> None:
    text = """x : real[1, 8, 8]
z : real[4]
net enc = Conv2d(8, 3, stride = 2) >> BatchNorm2d >> ReLU >> Flatten >> Linear(8)
net dec = Linear(64) >> Unflatten((1, 8, 8)) >> Conv2d(1, 3, padding = 1)
net cell = GRUCell(4)
p(z) = Normal(0, 1)
p(x|z) = Normal(dec(cell(z, z)), 0.5)
q(z|x) = Normal(m, softplus(s)) where (m, s) = enc(x)
elbo = E_{q(z|x); samples=3}[log p(x|z)] - KL[q(z|x) || p(z)]
maximize elbo
"""
    model = compiled(text).Model().eval()
    assert model.elbo(torch.randn(*batch, 1, 8, 8)).shape == batch
    assert model.loss(torch.randn(*batch, 1, 8, 8)).shape == ()
    assert model.sample(batch)["x"].shape == (*batch, 1, 8, 8)


def test_a_tensor_may_be_called_w() -> None:
    text = (
        "y : category[3]\nx : boolean[6]\nparam W : real[3, 6] = "
        "normal(1)\np(x|y) = Bernoulli(logits = W[y])\ne = log p(x|y)"
    )
    model = compiled(text).Model()
    y, x = torch.tensor([0, 2]), torch.ones(2, 6)
    torch.testing.assert_close(model.e(x=x, y=y), D.Bernoulli(logits=model.W[y]).log_prob(x).sum(-1))


def test_the_line_that_papers_write() -> None:
    line = r"\mathcal{L}(\theta, \phi; x) = \mathbb{E}_{q_\phi(z|x)}\left[\log p_\theta(x|z)\right]"
    line += r" - D_{KL}\left[q_\phi(z|x) \| p(z)\right]"
    model = compiled(SMALL + line).Model()
    assert model.L(x=torch.ones(2, 6)).shape == (2,)


def test_relaxed_draws_stay_off_the_ends() -> None:
    text = (
        "x : boolean[8]\nz : unit_interval[8]\nnet e = Linear(8)\nnet "
        "d = Linear(8)\np(z) = RelaxedBernoulli(0.5, logits = 0)\n"
    )
    text += "p(x|z) = Bernoulli(logits = d(z))\nq(z|x) = RelaxedBernoulli(0.3, logits = 30 * e(x))\ne1 = ELBO[p || q]"
    model = compiled(text).Model()
    assert model.e1(x=(torch.rand(4000, 8) > 0.5).float()).isfinite().all()


def test_supplied_factors_are_one_number_an_example_everywhere() -> None:
    class Plain(torch.nn.Module):
        def forward(self, z: torch.Tensor) -> D.Distribution:
            return D.Normal(z.repeat_interleave(2, -1), 1.0)

    model = compiled("x : real[4]\nz : real[2]\nextern p(x|z)\np(z) = Normal(0, 1)\ne = log p(x|z)").Model(Plain())
    x, z = torch.randn(6, 4), torch.randn(6, 2)
    expected = D.Normal(z.repeat_interleave(2, -1), 1.0).log_prob(x).sum(-1)
    for found in (model.e(x=x, z=z), model.log_prob_of("p(x|z)", x=x, z=z), model.factor("p(x|z)")(z).log_prob(x)):
        torch.testing.assert_close(found, expected)
    assert model.sample_mean((3,))["x"].shape == (3, 4)


def test_a_net_may_call_its_inputs_what_it_likes() -> None:
    text = (
        "x : real[3]\ny : category[4]\nnet f(a, b) = cat(a, one_hot(b)) >> "
        "Linear(3)\np(x|y) = Normal(f(m, y), 1)\nparam m : real[3] = 0\ne = log p(x|y)"
    )
    assert compiled(text).Model().e(x=torch.zeros(5, 3), y=torch.randint(0, 4, (5,))).shape == (5,)


def test_warnings_are_issued_in_python() -> None:
    with pytest.warns(pgc.ProgramWarning, match="W110"):
        pgc.compile(SMALL + "e = KL[q || p] - E_q[log p(x|z)]\nmaximize e")


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        (SMALL.replace("loc(h), scale(h)", "loc(h) scale(h)"), "is a comma missing between `loc(h)` and `scale(h)`?"),
        (SMALL.replace("Linear(6)", "Linear(3, 6)"), "write Linear(6)"),
        (SMALL.replace("logits = dec(z)", "dec(z)"), "write logits = dec(z), or end dec with Sigmoid"),
        (
            SMALL.replace("p(z) = Normal(0, 1)", "p(z) = MultivariateNormal(0, I)"),
            "write the identity: eye(3), with its size",
        ),
        ("x : real[16]\nnet f = Unflatten\np(y|x) = Normal(f(x), 1)", "write Unflatten((16, 4, 4))"),
    ],
)
def test_the_cure_is_named(wrong: str, cure: str) -> None:
    assert cure in {d.help for d in pgc.check(wrong)}


@pytest.mark.parametrize("space", ["category[3]", "category[3][4]", "one_hot[3]"])
def test_one_number_is_the_logit_of_every_category(space: str) -> None:
    family = "OneHotCategorical" if space.startswith("one") else "Categorical"
    program = pgc.compile(f"k : {space}\np(k) = {family}(logits = 0)\ns = log p")
    assert [str(check) for check in program.verify() if not check.passed] == []


def test_batches_of_different_shape_are_refused() -> None:
    text = (
        "x : real[3]\ny : real\nparam w : real[3] = 0\np(y|x) = Normal(sum(w * x), 1)\nnll = -log p(y|x)\nminimize nll"
    )
    model = pgc.compile(text).Model()
    assert model.loss(x=torch.zeros(5, 3), y=torch.zeros(5)).shape == ()
    for method in (model.loss, model.nll):
        with pytest.raises(ValueError, match=r"the batch shapes of .* differ"):
            method(x=torch.zeros(5, 3), y=torch.zeros(5, 1))
    assert model.log_prob(x=torch.zeros(5, 3), y=torch.zeros(2, 5)).shape == (2, 5)


@pytest.mark.parametrize("name", ["my model", "class", "nn"])
def test_a_class_name_is_a_python_name(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a class"):
        pgc.compile("x : real\np(x) = Normal(0, 1)\ns = log p", name=name)


def test_undeclared_variables_of_a_renaming_take_the_spaces_of_those_they_replace() -> None:
    program = pgc.compile(
        "x : real[5]\nz : real[2]\nnet f = Linear(5)\np(z) = Normal(0, 1)\np(x|z) = Normal(f(z), 1)\n"
        "r(u|v) = p(x|z)[x -> u, z -> v]"
    )
    assert str(program.analysis.model.spaces["u"]) == "real[5]"
    assert [str(check) for check in program.verify() if not check.passed] == []


def test_a_bold_letter_has_its_subscript() -> None:
    assert pgc.check("\\mathbf{z}_1 : real[3]\np(\\mathbf{z}_1) = Normal(0, 1)") == []
