"""Random programs with indices, verified place by place; `python -m tests.fuzz.sequences FIRST LAST` runs many.

States, some with two lags, deterministic ones in between, recurrences from the end, globals, plates beside and inside
sequences, padding, factors of the first place, bounds in several spellings.
"""

import random
import sys
import traceback
import warnings

import torch
from tqdm import tqdm

import pgcompile as pgc
from pgcompile.diagnostics import CompileError


def random_program(seed: int) -> str:
    """A program that is valid."""
    return _Writer(random.Random(seed)).program()


class _Writer:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.lines: list[str] = []
        self.nets: list[str] = []

    def net(self, size: int, *, positive: bool = False) -> str:
        name = f"f{len(self.nets) + 1}"
        hidden = self.rng.choice(["", "Linear(4) >> Tanh >> "])
        self.nets.append(f"net {name} = {hidden}Linear({size}){' >> Softplus' if positive else ''}")
        return name

    def normal(self, size: int, above: list[str]) -> str:
        """A normal of what stands above it."""
        scale = self.rng.choice(
            ["0.5", "1", f"{self.net(size, positive=True)}({', '.join(above)})" if above else "0.7"]
        )
        loc = f"{self.net(size)}({', '.join(above)})" if above else "0.3"
        return f"Normal({loc}, {scale})"

    def program(self) -> str:
        rng = self.rng
        padded = rng.random() < 0.3
        kind = rng.choice(["chain", "chain", "state", "plate", "nested"])
        sizes = {name: rng.choice([1, 2, 3]) for name in "xzhbw"}
        head = [f"index t in 1..T{' padded' if padded else ''}"]
        shared = rng.random() < 0.4
        self.lines += [f"x_t : real[{sizes['x']}]", f"z_t : real[{sizes['z']}]"]
        if shared:
            self.lines += [f"w : real[{sizes['w']}]", "p(w) = Normal(0, 1)", "param m_w : real[1]"]
            self.lines[-1] = f"param m_w : real[{sizes['w']}]"
            self.lines.append("q(w) = Normal(m_w, 0.3)")
        extra = ["w"] if shared else []
        body = getattr(self, f"_{kind}")(sizes, extra)
        objective = self.objective(*body, shared=shared)
        return "\n".join([*head, *self.lines, *self.nets, *objective, "maximize elbo"]) + "\n"

    # --- kinds: the heads of p(z), p(x) and q(z) ---

    def _chain(self, sizes: dict[str, int], extra: list[str]) -> tuple[str, str, str]:
        rng = self.rng
        lags = ["z_{t-1}", "z_{t-2}"] if rng.random() < 0.3 else ["z_{t-1}"]
        above = [*lags, *extra]
        first = len(lags) == 1 and rng.random() < 0.4
        if first:
            self.lines.append(f"p(z_1{'|w' if extra else ''}) = {self.normal(sizes['z'], extra)}")
        else:
            self.lines.append(rng.choice(["z_0 = 0", f"param z_0 : real[{sizes['z']}]", "z_0 = 0.4"]))
            self.lines += ["z_{-1} = 0.2"] if len(lags) > 1 else []
        p_z = f"p(z_t|{','.join(above)})"
        scale = "" if not first else "0.6"
        made = (
            self.normal(sizes["z"], above) if not scale else f"Normal({self.net(sizes['z'])}({', '.join(above)}), 0.6)"
        )
        if first:  # one family with the same parameters
            self.lines[-1] = f"p(z_1{'|w' if extra else ''}) = Normal(0.1, 0.9)" if not extra else self.lines[-1]
        self.lines.append(f"{p_z} = {made}")
        given = ["x_t"]
        if rng.random() < 0.5:
            self.lines += [
                f"b_t : real[{sizes['b']}]",
                "b_{T+1} = 0",
                f"b_t = tanh({self.net(sizes['b'])}(x_t, b_{{t+1}}))",
            ]
            given = ["b_t"]
        if not first and rng.random() < 0.6:
            given = ["z_{t-1}", *given]
        return p_z, self.emission(sizes, ["z_t", *(extra if rng.random() < 0.5 else [])]), self.posterior(sizes, given)

    def _state(self, sizes: dict[str, int], extra: list[str]) -> tuple[str, str, str]:
        self.lines += [f"h_t : real[{sizes['h']}]", "h_0 = 0"]
        cell = f"h_t = tanh({self.net(sizes['h'])}(z_t, x_t, h_{{t-1}}))"
        if self.rng.random() < 0.4 and sizes["h"] > 1:
            self.nets.append("net cell = GRUCell")
            cell = "h_t = cell(z_t, x_t, h_{t-1})"
        self.lines.append(cell)
        p_z = f"p(z_t|{','.join(['h_{t-1}', *extra])})"
        self.lines.append(f"{p_z} = {self.normal(sizes['z'], ['h_{t-1}', *extra])}")
        return p_z, self.emission(sizes, ["z_t", "h_{t-1}"]), self.posterior(sizes, ["x_t", "h_{t-1}"])

    def _plate(self, sizes: dict[str, int], extra: list[str]) -> tuple[str, str, str]:
        p_z = f"p(z_t{'|w' if extra else ''})"
        self.lines.append(f"{p_z} = {self.normal(sizes['z'], extra)}")
        return p_z, self.emission(sizes, ["z_t", *extra]), self.posterior(sizes, ["x_t"])

    def _nested(self, sizes: dict[str, int], extra: list[str]) -> tuple[str, str, str]:
        """What stands beside the sequence at each place of another index, fixed in number."""
        self.lines += ["index i in 1..2", "y_{i,t} : real", "y_{i,0} : real"][:2]
        p_z, p_x, q_z = self._chain(sizes, extra)
        self.lines.append(
            f"p(y_{{i,t}}|z_t) = {self.normal(1, ['z_t']).replace('Normal(', 'Normal(sum(', 1).replace(', ', '), ', 1)}"
        )
        self.lines[-1] = f"p(y_{{i,t}}|z_t) = Normal(sum({self.net(2)}(z_t)), 0.8)"
        return p_z, p_x, q_z

    def emission(self, sizes: dict[str, int], above: list[str]) -> str:
        p_x = f"p(x_t|{','.join(above)})"
        self.lines.append(f"{p_x} = {self.normal(sizes['x'], above)}")
        return p_x

    def posterior(self, sizes: dict[str, int], given: list[str]) -> str:
        q_z = f"q(z_t|{','.join(given)})"
        self.lines.append(f"{q_z} = {self.normal(sizes['z'], given)}")
        return q_z

    def objective(self, p_z: str, p_x: str, q_z: str, *, shared: bool) -> list[str]:
        word = self.rng.choice(["sum_t", "sum_{t=1}^{T}", "mean_t"])
        nested = any(line.startswith("index i") for line in self.lines)
        beside = " + sum_i log p(y_{i,t}|z_t)" if nested else ""
        step = self.rng.choice(
            [
                f"E_{{{q_z}}}[log {p_x}{beside}] - KL[{q_z} || {p_z}]",
                f"E_{{{q_z}}}[log {p_x} + log {p_z} - log {q_z}{beside}]",
                f"E_{{{q_z}}}[log {p_x}{beside} - 0.5 sum(z_t^2)] + H[{q_z}]",
            ]
        )
        whole = f"{word} ({step})"
        bounds = ["bound = ELBO[p || q]"] if self.rng.random() < 0.4 else []
        if shared:
            return [f"elbo = E_{{q(w)}}[{whole}] - KL[q(w) || p(w)]", *bounds]
        return [f"elbo = {whole}", *bounds]


def check_sequences(seed: int) -> list[str]:
    """Faults of the compiler that a program shows."""
    text = random_program(seed)
    try:
        program = pgc.compile(text)
    except CompileError as error:
        return [f"refused: {d.code} {d.message}" for d in error.diagnostics if d.code.startswith("P")]
    found = [str(check) for check in program.verify(seed=seed) if not check.passed]
    model = program.Model()
    if hasattr(model, "sample"):
        drawn = model.sample((2,), T=3)
        found += [f"{n} is not finite" for n, v in drawn.items() if not v.isfinite().all()]
    return found


def main() -> int:
    """Try some seeds; faults are printed with the program."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", pgc.ProgramWarning)
    first, last = int(sys.argv[1]), int(sys.argv[2])
    faults = 0
    for seed in tqdm(range(first, last), disable=not sys.stderr.isatty()):
        try:
            found = check_sequences(seed)
        except Exception as error:  # noqa: BLE001  # any exception is the fault that is looked for
            found = [f"{type(error).__name__}: {error}", traceback.format_exc().splitlines()[-3]]
        if found:
            faults += 1
            print("\n  ".join([f"seed {seed}:", *found]), random_program(seed), sep="\n", flush=True)
    print(f"{last - first} programs, {faults} with faults")
    return int(faults > 0)


if __name__ == "__main__":
    raise SystemExit(main())
