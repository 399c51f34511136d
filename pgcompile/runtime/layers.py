"""Layers of one input and one result that torch has in other forms, written to be copied into emitted modules."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Sequential):
    """x + f(x), where f is its layers in turn (He et al. 2016)."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., *shape] -> [..., *shape]."""
        return x + super().forward(x)


class JoinedBilinear(nn.Bilinear):
    """a' W b + c for each output, of vectors a and b that are joined."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., in1 + in2] -> [..., out]."""
        return super().forward(*x.split((self.in1_features, self.in2_features), -1))


class Sinusoidal(nn.Module):
    """Sines and cosines of a number, of frequencies from 1 to about 1/10000 (Vaswani et al. 2017)."""

    anchor: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("anchor", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Numbers or indices [...] -> [..., size], the sines first."""
        dtype = x.dtype if x.is_floating_point() else self.anchor.dtype
        # Angles are large: half precision would not know their place in a turn.
        wide = torch.promote_types(dtype, torch.float32)
        places = torch.arange(self.size // 2, dtype=wide, device=x.device)
        frequencies = torch.exp(places * (-2 * math.log(10000) / self.size))
        angles = x.to(wide).unsqueeze(-1) * frequencies
        return torch.cat((angles.sin(), angles.cos()), -1).to(dtype)


class Positions(nn.Module):
    """A sequence plus sines and cosines of its places (Vaswani et al. 2017)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.encoding = Sinusoidal(size)

    def forward(self, x: Tensor) -> Tensor:
        """[N, L, D] -> [N, L, D]."""
        places = torch.arange(x.shape[1], device=x.device)
        return x + self.encoding(places).to(x.dtype)


def causal_mask(x: Tensor) -> Tensor:
    """True where a place [L] of x [N, L, D] may not look: at those after it."""
    places = torch.arange(x.shape[1], device=x.device)
    return places.unsqueeze(-1) < places


class SelfAttention(nn.MultiheadAttention):
    """Attention of a sequence to itself (Vaswani et al. 2017); a causal one sees no later place."""

    def __init__(self, size: int, num_heads: int, causal: bool = False, **options):
        super().__init__(size, num_heads, batch_first=True, **options)
        self.causal = causal

    def forward(self, x: Tensor) -> Tensor:
        """[N, L, D] -> [N, L, D]."""
        mask = causal_mask(x) if self.causal else None
        attended = super().forward(x, x, x, need_weights=False, attn_mask=mask)
        return attended[0]


class EncoderLayer(nn.TransformerEncoderLayer):
    """Attention and a perceptron, each with a norm and a residual (Vaswani et al. 2017)."""

    def __init__(self, size: int, num_heads: int, causal: bool = False, **options):
        super().__init__(size, num_heads, batch_first=True, **options)
        self.causal = causal

    def forward(self, x: Tensor) -> Tensor:
        """[N, L, D] -> [N, L, D]."""
        return super().forward(x, src_mask=causal_mask(x) if self.causal else None)


class Encoder(nn.Module):
    """Encoder layers in turn, each with weights of its own from the start."""

    def __init__(self, num_layers: int, size: int, num_heads: int, **options):
        super().__init__()
        made = (EncoderLayer(size, num_heads, **options) for _ in range(num_layers))
        self.layers = nn.ModuleList(made)

    def forward(self, x: Tensor) -> Tensor:
        """[N, L, D] -> [N, L, D]."""
        for layer in self.layers:
            x = layer(x)
        return x


def add_product(total: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """total + x W', in one kernel for a batch of one dimension."""
    if x.ndim == 2:
        return torch.addmm(total, x, weight.t())
    return total + F.linear(x, weight)


def gru_step(gates: Tensor, state: Tensor, cell: nn.GRUCell) -> Tensor:
    """The next state of gated recurrent units (Cho et al. 2014) from its input's product."""
    own = F.linear(state, cell.weight_hh, cell.bias_hh)
    size = 2 * state.shape[-1]
    reset, keep = (gates[..., :size] + own[..., :size]).sigmoid().chunk(2, -1)
    new = torch.addcmul(gates[..., size:], reset, own[..., size:]).tanh()
    return torch.lerp(new, state.to(new), keep)


def lstm_step(gates: Tensor, state: Tensor, cell: Tensor, net: nn.LSTMCell) -> tuple:
    """The next state and cell of a long short-term memory from its input's product."""
    total = gates + F.linear(state, net.weight_hh, net.bias_hh)
    put, keep, new, shown = total.chunk(4, -1)
    cell = keep.sigmoid() * cell + put.sigmoid() * new.tanh()
    return shown.sigmoid() * cell.tanh(), cell


def rnn_step(gates: Tensor, state: Tensor, cell: nn.RNNCell) -> Tensor:
    """The next state of a recurrent layer (Elman 1990) from its input's product."""
    return (gates + F.linear(state, cell.weight_hh, cell.bias_hh)).tanh()


def over_cells(net, x: Tensor, *initial: Tensor, backwards: bool = False) -> Tensor:
    """The states of a recurrent cell at all places of x [L, *N, D], in one call: [L, *N, H]."""
    size = net.hidden_size
    flat = (x.flip(0) if backwards else x).reshape(len(x), -1, x.shape[-1])
    start = tuple(s.expand(*x.shape[1:-1], size).reshape(1, -1, size) for s in initial)
    weights = [net.weight_ih, net.weight_hh, *([net.bias_ih, net.bias_hh] * net.bias)]
    name = {nn.GRUCell: "gru", nn.LSTMCell: "lstm"}.get(type(net), "rnn_tanh")
    given = start if len(start) > 1 else start[0]
    options = (net.bias, 1, 0.0, False, False, False)
    states = getattr(torch, name)(flat, given, weights, *options)[0]
    states = states.reshape(*x.shape[:-1], size)
    return states.flip(0) if backwards else states


def last_states(state: Tensor, directions: int) -> Tensor:
    """The last state of the last layer [N, H], both ways side by side: [layers * directions, N, H] -> [N, ...]."""
    return torch.cat(state[-directions:].unbind(0), -1)


class SequenceGRU(nn.GRU):
    """Gated recurrent units over a sequence (Cho et al. 2014)."""

    def __init__(self, size: int, hidden: int, last: bool = False, **options):
        super().__init__(size, hidden, batch_first=True, **options)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """[N, L, D] -> every state [N, L, H], or the last one [N, H]."""
        states, end = super().forward(x)
        return last_states(end, 1 + self.bidirectional) if self.last else states


class SequenceLSTM(nn.LSTM):
    """Long short-term memory over a sequence (Hochreiter & Schmidhuber 1997)."""

    def __init__(self, size: int, hidden: int, last: bool = False, **options):
        super().__init__(size, hidden, batch_first=True, **options)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """[N, L, D] -> every state [N, L, H], or the last one [N, H]."""
        states, (end, _) = super().forward(x)
        return last_states(end, 1 + self.bidirectional) if self.last else states


class SequenceRNN(nn.RNN):
    """Elman's recurrent net over a sequence."""

    def __init__(self, size: int, hidden: int, last: bool = False, **options):
        super().__init__(size, hidden, batch_first=True, **options)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """[N, L, D] -> every state [N, L, H], or the last one [N, H]."""
        states, end = super().forward(x)
        return last_states(end, 1 + self.bidirectional) if self.last else states
