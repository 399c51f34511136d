"""What methods of a class have in common: computed as often as before, and the same."""

import inspect

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import pgcompile as pgc
from pgcompile.plan.methods import planner
from pgcompile.vocabulary.reserved import PRIVATE
from tests.backends.torch.test_modules import EXAMPLES, observed
from tests.conftest import compiled

SHARING = {
    "asia": {"_log_joint"},
    "beta_vae": {"_loc_scale_log_scale"},
    "iwae": {"_loc_and_others"},
    "mmd_vae": {"_draw_z"},
    "vae_gan": {"_loc_scale_log_scale", "_verdict_out"},
}


class Counter(TorchDispatchMode):
    """Counts the kernels that are started."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += 1
        return func(*args, **(kwargs or {}))


def results(program: pgc.Program, name: str) -> dict[str, tuple[int, list[torch.Tensor]]]:
    """Of each method of formulas: how many kernels it starts, and what it gives."""
    torch.manual_seed(0)
    module = program.Model().eval()  # a spectral norm changes with each call while it is trained
    found = {}
    data = {**observed(name), "beta": torch.tensor(0.5)}
    for method in [*program.analysis.objectives, "loss", "terms"]:
        function = getattr(module, {"match": "match_"}.get(method, method), None)
        if function is None:
            continue
        wanted = inspect.signature(function).parameters
        torch.manual_seed(1)
        with Counter() as counter:
            value = function(**{key: value for key, value in data.items() if key in wanted})
        found[method] = (counter.count, list(value.values()) if isinstance(value, dict) else [value])
    return found


@pytest.mark.parametrize("name", SHARING)
def test_sharing_changes_neither_values_nor_their_cost(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = pgc.compile(EXAMPLES[name], name="Shared")
    with monkeypatch.context() as patched:
        patched.setattr(planner, "share", lambda plan: None)
        apart = pgc.compile(EXAMPLES[name], name="Apart")
    private = {n for n, _ in inspect.getmembers(shared.Model, inspect.isfunction) if n[0] == "_" and n[1] != "_"}
    assert private - PRIVATE == SHARING[name]
    assert len(shared.source.splitlines()) <= len(apart.source.splitlines()) + 3
    one, other = results(shared, name), results(apart, name)
    assert one.keys() == other.keys()
    for method, (count, values) in one.items():
        assert count == other[method][0], method
        for a, b in zip(values, other[method][1], strict=True):
            assert torch.equal(a, b), method


def test_private_methods_hide_nothing_of_a_module() -> None:
    """A result may be called as an attribute of `nn.Module` is: `_modules`, `_buffers`."""
    module = nn.Module()
    owned = {name for name in {*dir(module), *vars(module)} if name[0] == "_" and name[1] != "_"}
    assert owned <= PRIVATE


def test_a_result_named_as_an_attribute_of_modules() -> None:
    program = compiled("""
        x : real[3]
        version : real[2]
        net h = Linear(8) >> Tanh
        net m = Linear(2)
        net s = Linear(2) >> Softplus
        net d = Linear(3)
        q(version|x) = Normal(m(h(x)), s(h(x)))
        p(version) = Normal(0, 1)
        p(x|version) = Normal(d(version), 1)
        a = E_q[log p(x|version)]
        b = E_q[log p(version)]
        c = E_q[sum(d(version))]
        goal = a + b + c
        maximize goal using Adam
    """)
    module = program.Model()
    assert all(check.passed for check in program.verify())
    assert module._version != "" and callable(module.state_dict)
    assert set(module.state_dict()) == {f"{n}.{p}" for n in ("m", "d") for p in ("weight", "bias")} | {
        f"{n}.0.{p}" for n in ("h", "s") for p in ("weight", "bias")
    }


def test_marginals_of_one_network_share_the_table_of_the_largest() -> None:
    program = compiled("""
        a, b, c, x : boolean
        p(a) = Bernoulli(0.3)
        p(b|a) = Bernoulli(0.2 + 0.5 * a)  # pgc: allow W102
        p(c|a) = Bernoulli(0.6 - 0.3 * a)  # pgc: allow W102
        p(x|b,c) = Bernoulli(0.1 + 0.5 * b + 0.3 * c)  # pgc: allow W102
        p(x) = ∫ p(a) p(b|a) p(c|a) p(x|b,c) da db dc
        p(b,c|x) = (∫ p(a) p(b|a) p(c|a) p(x|b,c) da) / p(x)
        p(b|x) = (∫ p(a) p(b|a) p(c|a) p(x|b,c) da dc) / p(x)
        t = log p(x)
    """)
    assert program.source.count("every_state(") == 1 + 1 + 1  # its definition, a, b and c at once, and x of p(x)
    module = program.Model()
    joint = torch.zeros(2, 2, 2, 2)
    for a, b, c, x in torch.cartesian_prod(*[torch.arange(2)] * 4).tolist():
        parts = [
            (0.3, a),
            (0.2 + 0.5 * a, b),
            (0.6 - 0.3 * a, c),
            (0.1 + 0.5 * b + 0.3 * c, x),
        ]
        joint[a, b, c, x] = torch.tensor([p if v else 1 - p for p, v in parts]).prod()
    x = torch.tensor([0.0, 1.0])
    torch.testing.assert_close(module.t(x), joint.sum((0, 1, 2)).log())
    posterior = joint.sum(0) / joint.sum((0, 1, 2))
    torch.testing.assert_close(module.p_b_c_given_x(x).probs, posterior.movedim(-1, 0))
    torch.testing.assert_close(module.p_b_given_x(x).probs, posterior.sum(1)[1])
    torch.testing.assert_close(module.p_x().probs, joint.sum((0, 1, 2))[1])
    b, c = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    scored = module.log_prob_of("p(b,c|x)", b=b, c=c, x=x)
    torch.testing.assert_close(scored, torch.stack([posterior[1, 0, 0], posterior[0, 1, 1]]).log())
    with pytest.raises(KeyError, match="needs c"):
        module.log_prob_of("p(b,c|x)", b=b, x=x)
