"""Layers of sequences, residuals and embeddings: their values by formulas in numpy, or by torch's own modules."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import compiled

TEXT = "a : {}\nnet f = {}\np(b|a) = Normal(f(a), 1)\ns = log p(b|a)"


def net(space: str, stages: str) -> nn.Module:
    """The net of a program, in double precision and without dropout."""
    torch.manual_seed(3)
    return compiled(TEXT.format(space, stages)).Model().double().eval().f


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_the_formula(causal: bool) -> None:
    f = net("real[5, 8]", f"MultiheadAttention(2, causal = {str(causal).lower()})")
    x = torch.randn(3, 5, 8).double()
    with torch.no_grad():
        found = f(x).numpy()
    state = {k: v.detach().numpy() for k, v in f.state_dict().items()}
    projected = x.numpy() @ state["in_proj_weight"].T + state["in_proj_bias"]
    q, k, v = (part.reshape(3, 5, 2, 4).transpose(0, 2, 1, 3) for part in np.split(projected, 3, -1))
    scores = q @ k.transpose(0, 1, 3, 2) / 2
    if causal:
        scores = np.where(np.tril(np.ones((5, 5))) == 1, scores, -np.inf)
    mixed = (softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(3, 5, 8)
    np.testing.assert_allclose(found, mixed @ state["out_proj.weight"].T + state["out_proj.bias"], atol=1e-12)


@pytest.mark.parametrize("options", ["", ", activation = gelu, norm_first = true, bias = false"])
@pytest.mark.parametrize("causal", [False, True])
def test_an_encoder_layer_is_torchs(options: str, causal: bool) -> None:
    f = net("real[5, 8]", f"TransformerEncoderLayer(2, 16, 0.2{options}, causal = {str(causal).lower()})")
    own = {"activation": "gelu", "norm_first": True, "bias": False} if options else {}
    wanted = nn.TransformerEncoderLayer(8, 2, 16, 0.2, batch_first=True, **own).double().eval()
    wanted.load_state_dict(f.state_dict())
    x = torch.randn(3, 5, 8).double()
    mask = nn.Transformer.generate_square_subsequent_mask(5).double() if causal else None
    torch.testing.assert_close(f(x), wanted(x, src_mask=mask))


def test_encoder_layers_begin_apart_and_see_no_later_place() -> None:
    f = net("real[5, 8]", "TransformerEncoder(2, 3, 16, causal = true)")
    assert not torch.equal(f.layers[0].linear1.weight, f.layers[1].linear1.weight)
    x = torch.randn(2, 5, 8).double()
    changed = x.clone()
    changed[:, 3:] += 1
    with torch.no_grad():
        before, after = f(x), f(changed)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert ((before[:, 3:] - after[:, 3:]).abs().amax((0, 2)) > 1e-3).all()
    in_turn = x
    for layer in f.layers:
        in_turn = layer(in_turn)
    torch.testing.assert_close(f(x), in_turn)


@pytest.mark.parametrize("name", ["GRU", "LSTM", "RNN"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_recurrent_nets_are_torchs(name: str, options: dict) -> None:
    written = ", num_layers = 2, bidirectional = true" if options else ""
    every = net("real[5, 8]", f"{name}(6{written})")
    last = net("real[5, 8]", f"{name}(6{written}, last = true)")
    wanted = getattr(nn, name)(8, 6, batch_first=True, **options).double()
    wanted.load_state_dict(every.state_dict())
    last.load_state_dict(every.state_dict())
    x = torch.randn(3, 5, 8).double()
    states, end = wanted(x)
    torch.testing.assert_close(every(x), states)
    end = end[0] if name == "LSTM" else end
    torch.testing.assert_close(last(x), torch.cat((end[-2], end[-1]), -1) if options else end[-1])
    # The last state forwards is that of the last place, the one backwards that of the first.
    torch.testing.assert_close(last(x)[:, :6], states[:, -1, :6])


def test_a_residual_adds_its_layers() -> None:
    f = net("real[4]", "residual(mlp(7, act = Tanh) >> Tanh >> Linear)")
    x = torch.randn(3, 4).double()
    first, _, last = f
    h = np.tanh(x.numpy() @ first.weight.detach().numpy().T + first.bias.detach().numpy())
    wanted = x.numpy() + h @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    np.testing.assert_allclose(f(x).detach().numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize("space", ["real", "category[2000]"])
def test_sinusoidal_is_the_formula(space: str) -> None:
    f = net(space, "Sinusoidal(10)")
    x = torch.tensor([0, 1, 999, 1999]) if space != "real" else torch.tensor([0.0, -0.3, 7.5, 1999.0]).double()
    angles = x.numpy()[:, None] / 10000 ** (2 * np.arange(5) / 10)
    np.testing.assert_allclose(f(x).numpy(), np.concatenate([np.sin(angles), np.cos(angles)], -1), atol=1e-9)


def test_sinusoidal_of_half_precision_keeps_its_angles() -> None:
    f = net("category[2000]", "Sinusoidal(10)").bfloat16()
    x = torch.arange(1990, 2000)
    angles = x.numpy()[:, None] / 10000 ** (2 * np.arange(5) / 10)
    assert f(x).dtype == torch.bfloat16
    np.testing.assert_allclose(f(x).float().numpy()[:, :5], np.sin(angles), atol=5e-3)


BILINEAR = """a : real[3]
b : real[4]
net f(a, b) = Bilinear(5{}) >> Tanh >> Linear(2)
p(c|a,b) = Normal(f(a, b), 1)
s = log p(c|a,b)
maximize s
"""


def test_bilinear_takes_two_inputs() -> None:
    program = compiled(BILINEAR.format(""))
    assert all(check.passed for check in program.verify())
    model = program.Model().double()
    bilinear, _, linear = model.f
    for batch in ((), (6,), (2, 6)):
        a, b = torch.randn(*batch, 3).double(), torch.randn(*batch, 4).double()
        h = torch.einsum("...i,oij,...j->...o", a, bilinear.weight, b) + bilinear.bias
        wanted = torch.distributions.Normal(linear(h.tanh()), 1.0).log_prob(torch.zeros(2)).sum(-1)
        torch.testing.assert_close(model.s(a=a, b=b, c=torch.zeros(*batch, 2).double()), wanted)


LINEAR = [
    ("real[6]", "Linear(4, {})"),
    ("real[4, 9]", "Conv1d(6, 3, {})"),
    ("real[4, 9, 9]", "Conv2d(6, 3, {})"),
    ("real[4, 5, 5, 5]", "Conv3d(6, 3, {})"),
    ("real[4, 9]", "ConvTranspose1d(6, 3, {})"),
    ("real[4, 9, 9]", "ConvTranspose2d(6, 3, {})"),
    ("real[4, 5, 5, 5]", "ConvTranspose3d(6, 3, {})"),
]


@pytest.mark.parametrize(("space", "layer"), LINEAR, ids=[layer.partition("(")[0] for _, layer in LINEAR])
def test_every_linear_layer_can_be_normalised(space: str, layer: str) -> None:
    f = net(space, layer.format("weight_norm = true"))
    parts = f.parametrizations.weight
    rows = parts.original1.flatten(1).norm(dim=1).reshape(-1, *[1] * (f.weight.ndim - 1))
    torch.testing.assert_close(f.weight, parts.original0 * parts.original1 / rows)
    g = net(space, layer.format("spectral_norm = true")).train()
    for _ in range(200):
        weight = g.weight  # each look in training is a step of the power method
    matrix = weight.transpose(0, 1) if "Transpose" in layer else weight
    assert float(torch.linalg.matrix_norm(matrix.flatten(1).detach(), 2)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
def test_a_bilinear_layer_can_be_normalised(norm: str) -> None:
    model = compiled(BILINEAR.format(f", {norm} = true")).Model()
    assert nn.utils.parametrize.is_parametrized(model.f[0])
    model.loss(a=torch.randn(7, 3), b=torch.randn(7, 4), c=torch.randn(7, 2)).backward()
    assert all(p.grad is not None for p in model.parameters())


SEQUENCES = """x : real[6, 4]
z : real[3]
t : category[4]
net time = Sinusoidal(8) >> Linear(3)
net encode = Linear(8) >> TransformerEncoderLayer(2, 16, 0) >> GRU(7, last = true)
    >> residual(Linear(5) >> ReLU >> Linear)
net head = Linear(6)
net decode = Linear(24) >> Unflatten((6, 4)) >> residual(LSTM(4))
p(t) = Categorical(logits = [0, 0, 0, 0])
p(z|t) = Normal(time(t), 1)
p(x|z) = Normal(decode(z), 0.5)
q(z|x) = Normal(m, exp(s)) where (m, s) = head(encode(x))
elbo = E_q[log p(x|z)] - KL[q || p(z|t)]
maximize elbo using Adam(lr = 0.003)
"""


def test_a_model_of_sequences_is_verified_trains_and_samples() -> None:
    program = compiled(SEQUENCES)
    assert all(check.passed for check in program.verify())
    torch.manual_seed(0)
    model = program.Model()
    phase = torch.rand(256, 1, 1) * 6
    x = torch.sin(torch.arange(6).reshape(1, 6, 1) + phase + torch.arange(4) / 2)
    t = torch.randint(0, 4, (256,))
    optimizer = torch.optim.Adam(model.parameters(), 0.003)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = model.loss(x=x, t=t)
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 5
    assert model.sample((256,))["x"].shape == (256, 6, 4)
