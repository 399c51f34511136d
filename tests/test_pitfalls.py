"""Mistakes that users of other libraries make or suffer, each of which must be impossible here."""

import warnings

import pytest
import torch
import torch.distributions as D

import pgcompile as pgc
from tests.conftest import compiled
from tests.programs import EXAMPLES, SMALL

VAE = SMALL + "elbo = ELBO[p || q]\nmaximize elbo using Adam(lr = 0.01)\n"


def codes(text: str) -> list[str]:
    return [d.code for d in pgc.check(text) if not d.code.startswith("N")]


def test_training_twice_on_one_tensor_does_not_reuse_a_graph() -> None:
    model = compiled(VAE).Model()
    x = torch.ones(4, 6)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(3):
        optimiser.zero_grad()
        model.loss(x=x).backward()
        optimiser.step()


def test_an_objective_after_an_update_has_the_new_value() -> None:
    model = compiled(VAE).Model()
    x = torch.ones(4, 6)
    torch.manual_seed(0)
    before = model.elbo(x=x)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5)
    torch.manual_seed(0)
    assert not torch.allclose(before, model.elbo(x=x))


@pytest.mark.parametrize(
    ("family", "space", "parameter"),
    [
        ("Categorical(logits = w)", "category[3]", "real[3]"),
        ("Dirichlet(exp(w))", "simplex[3]", "real[3]"),
        ("Normal(w, 1)", "real", "real"),
    ],
)
def test_a_divergence_is_one_number_a_data_point(family: str, space: str, parameter: str) -> None:
    other = family.replace("w", "v")
    model = compiled(
        f"x : {space}\nw, v : {parameter}\np(x|w) = {family}\nq(x|v) = {other}\ne = KL[q(x|v) || p(x|w)]"
    ).Model()
    shape = (5, 3) if "[3]" in parameter else (5,)
    w, v = torch.randn(shape), torch.randn(shape)
    assert model.e(w=w, v=v).shape == (5,)
    alone = model.e(w=w[2], v=v[2])
    torch.testing.assert_close(model.e(w=w, v=v)[2], alone)


def test_a_discrete_draw_trains_what_drew_it() -> None:
    """Pixyz trains q with a zero gradient here."""
    text = (
        "x : real[3]\nb : boolean[2]\nnet e = Linear(2)\nnet d = Linear(3)\np(b) = Bernoulli(0.5)\n"
        "p(x|b) = Normal(d(b), 1)\nq(b|x) = Bernoulli(logits = e(x))\n"
        "elbo = E_{{q{options}}}[log p(x|b)]\nmaximize elbo"
    )
    for options in ("", "; samples=3", "; grad=enumerate", "; grad=score, samples=2", "; relax=gumbel"):
        model = compiled(text.replace("{{q{options}}}", f"{{q{options}}}")).Model()
        model.loss(x=torch.randn(20, 3)).backward()
        assert model.e.weight.grad.abs().max() > 0, options
    assert codes(text.replace("{{q{options}}}", "{q; grad=pathwise}")) == ["PGC403"]


def test_the_log_density_of_a_fixed_value_depends_on_no_draw() -> None:
    model = compiled(VAE).Model()
    x, z = torch.ones(2, 6), torch.zeros(2, 3)
    first = model.log_prob(x=x, z=z)
    model.sample((7,))
    model.elbo(x=x)
    assert torch.equal(model.log_prob(x=x, z=z), first)


def test_a_decoder_one_wide_is_an_error() -> None:
    assert codes(
        "x : real[3, 4]\nz : real[2]\nnet d = Linear(1)\np(x|z) = Normal(d(z), 1)\np(z) = Normal(0, 1)\ns = log p"
    ) == ["PGC305"]


def test_a_weight_of_another_shape_is_an_error() -> None:
    assert codes(
        "x : real[3, 1]\nparam w : real[3]\nz : real[3, 1]\np(x|z) = Normal(w * z, 1)\np(z) = Normal(0, 1)\ns = log p"
    ) == ["PGC301"]


def test_a_given_latent_is_conditioned_on_and_an_unknown_one_refused() -> None:
    model = compiled(VAE).Model()
    z = torch.full((3,), 3.0)
    drawn = model.sample((2000,), given={"z": z})
    assert (drawn["z"] == 3).all()
    expected = torch.sigmoid(model.dec(z))
    assert ((drawn["x"].mean(0) - expected).abs() < 5 * 0.5 / 2000**0.5).all()
    with pytest.raises(KeyError, match="w is not one of"):
        model.sample((2,), given={"w": z})


def test_a_cycle_is_an_error_that_names_it() -> None:
    [found] = pgc.check("p(x|z) p(z|x)")
    assert found.code == "PGC203"
    assert "cycle: z -> x -> z" in found.reasons


@pytest.mark.parametrize("pairs", ["x -> y, y -> z", "y -> z, x -> y"])
def test_renamings_are_simultaneous(pairs: str) -> None:
    model = compiled(f"x, y, z : real\np(x|y) = Normal(2 * y, 0.5)\nr(y|z) = p(x|y)[{pairs}]\ns = log r(y|z)").Model()
    y, z = torch.tensor([0.3]), torch.tensor([1.0])
    torch.testing.assert_close(model.s(y=y, z=z), D.Normal(2 * z, 0.5).log_prob(y))


def test_the_mean_and_the_divergence_of_a_renamed_factor_are_its_own() -> None:
    model = compiled(
        "x, y, u, v : real\nparam a : real = 0.7\np(x|y) = Normal(a * y, 0.5)\nr(u|v) = p(x|y)[x -> u, y -> v]\n"
        "q(u|v) = Normal(v, 2)\ne = KL[q(u|v) || r(u|v)]"
    ).Model()
    v = torch.tensor([1.5, -2.0])
    assert torch.equal(model.factor("r(u|v)")(v).mean, model.a * v)
    torch.testing.assert_close(model.e(v=v), D.kl_divergence(D.Normal(v, 2.0), D.Normal(model.a * v, 0.5)))


def test_a_relaxed_density_is_the_familys_own() -> None:
    model = compiled(
        "x : simplex[4]\nw : real[4]\np(x|w) = RelaxedOneHotCategorical(0.7, logits = w)\ns = log p"
    ).Model()
    w = torch.randn(3, 4)
    family = D.RelaxedOneHotCategorical(torch.tensor(0.7), logits=w)
    x = family.sample()
    torch.testing.assert_close(model.s(x=x, w=w), family.log_prob(x), rtol=1e-4, atol=1e-4)


def test_multinomial_draws_sum_to_their_count() -> None:
    model = compiled("x : nonnegative_integer[3]\np(x) = Multinomial(10, [0.2, 0.3, 0.5])\ns = log p").Model()
    assert (model.sample((50,))["x"].sum(-1) == 10).all()


def test_a_sample_shape_is_applied_once() -> None:
    drawn = compiled(VAE).Model().sample((4, 2))
    assert drawn["z"].shape == (4, 2, 3)
    assert drawn["x"].shape == (4, 2, 6)


def test_what_no_wrt_names_is_warned_of() -> None:
    text = SMALL + "elbo = ELBO[p || q]\nmaximize elbo wrt enc using Adam(lr = 0.01)"
    assert codes(text) == ["W109", "W109", "W109"]


def test_a_misspelt_option_is_an_error_with_the_nearest_name() -> None:
    [found] = [d for d in pgc.check(SMALL + "e = E_{q(z|x); sampels = 8}[log p(x|z)] + KL[q || p]") if d.code[0] == "P"]
    assert found.code == "PGC106"
    assert "samples" in (found.help or "")


def test_a_closed_form_is_not_used_where_a_parent_is_drawn_later() -> None:
    program = compiled(EXAMPLES["hierarchical_vae"])
    assert "z_2, on which p(z_1|z_2) is conditioned, is drawn after z_1" in program.explain()
    assert any(d.code == "N102" for d in program.diagnostics)


def test_every_warning_can_be_allowed_in_place_and_made_an_error(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from click.testing import CliRunner

    from pgcompile.cli import main

    path = tmp_path / "m.pgc"
    path.write_text("x : positive\np(x) = Normal(0, 1)\n")
    assert CliRunner().invoke(main, ["check", str(path)]).exit_code == 0
    assert CliRunner().invoke(main, ["check", "--warn", "error", str(path)]).exit_code == 1
    path.write_text("x : positive\n# pgc: allow W112\np(x) = Normal(0, 1)\n")
    run = CliRunner().invoke(main, ["check", "--warn", "error", str(path)])
    assert run.exit_code == 0
    assert "W112" not in run.output


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_no_warning_is_a_false_alarm_on_an_example(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", pgc.ProgramWarning)
        pgc.compile(EXAMPLES[name])


def test_fixes_are_applied_until_none_is_left(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from click.testing import CliRunner

    from pgcompile.cli import main

    path = tmp_path / "m.pgc"
    path.write_text(
        "x : reel[3]\nnet f = Dense(3) -> ReLu\nz : real[3]\np(x|z) = Gaussian(f(z), sigma = 1)\np(z) := Normal(0, 1)\n"
    )
    run = CliRunner().invoke(main, ["check", "--fix", str(path)])
    assert run.exit_code == 0, run.output
    assert path.read_text() == (
        "x : real[3]\nnet f = Linear(3) >> ReLU\nz : real[3]\np(x|z) = Normal(f(z), scale = 1)\np(z) = Normal(0, 1)\n"
    )


def test_a_code_is_explained() -> None:
    from click.testing import CliRunner

    from pgcompile.cli import main

    run = CliRunner().invoke(main, ["explain", "pgc203"])
    assert run.exit_code == 0
    assert "cycle: z -> x -> z" in run.output
    assert CliRunner().invoke(main, ["explain", "PGC999"]).exit_code == 2
