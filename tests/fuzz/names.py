"""Every name in every role: a program whose names meet those of its emitted module computes what it did before.

`python -m tests.fuzz.names` tries every identifier of the emitted file as every kind of name, for several minutes.
"""

import ast
import keyword
import random
import sys
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

import pgcompile as pgc
from pgcompile.diagnostics import CompileError
from pgcompile.model.names import identifier
from pgcompile.vocabulary.reserved import METHODS

# Roles that a name has, as the names that the program is written with.
ROLES = ("seen", "hidden", "state", "shifted", "warm", "rate", "shift", "enc", "bend", "elbo", "score", "p", "q")

PROGRAM = """
{seen}, {hidden} : real[2]
{state} : category[3]
buffer probe : real[3] = [0, 1, 2]
input {warm} : real = linear(0, 1, 10)
param {rate} : positive = 0.7
buffer {shift} : real = 5
net {enc} = Linear(4)
flow {bend} = repeat 2 {{ AffineCoupling >> Reverse }}
{p}({hidden}) = Flow(Normal(0, 1), {bend})
{p}({state}) = Categorical(probs = [0.2, 0.3, 0.5])
{shifted} = {hidden} * {rate} + {shift}
{p}({seen}|{shifted}, {state}) = Normal({shifted} + probe[{state}], {rate})
{q}({hidden}|{seen}) = Normal(loc_part, exp(scale_part)) where (loc_part, scale_part) = {enc}({seen})
{elbo} = E_{{{q}({hidden}|{seen}) {p}({state})}}[log {p}({seen}|{shifted}, {state})]
    - {warm} * KL[{q}({hidden}|{seen}) || {p}({hidden})]
{score} = log {p}({seen}|{shifted}, {state}) + {warm}
maximize {elbo} wrt {q}({hidden}|{seen}), {enc} using Adam(lr = 1e-3, clip_norm = 1, clamp = 0.1, updates = 2)
maximize {score} using SGD(lr = 1e-3)
"""


def written(**names: str) -> str:
    """The program, with some roles named otherwise."""
    return PROGRAM.format(**{role: names.get(role, role) for role in ROLES})


def candidates() -> list[str]:
    """Identifiers of the emitted file, methods of its class, Python's own words, and what they become."""
    found = {*METHODS, *keyword.kwlist, *keyword.softkwlist, "print", "list", "super", "self", "loss_elbo_max"}
    for node in ast.walk(ast.parse(pgc.compile(written()).source)):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name) | ast.FunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name):
                found.add(name)
            case ast.keyword(arg=str(name)):
                found.add(name)
            case _:
                pass
    found |= {f"{name}_" for name in found}
    return sorted(name for name in found if name.isascii() and not name.startswith("_"))


def results(text: str, names: dict[str, str]) -> dict[str, Tensor]:
    """What the methods of the module give, under the names of the roles."""
    program = pgc.compile(text)
    module = program.Model()
    spread = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=spread))
    call = {role: identifier(names.get(role, role)) for role in ROLES}
    rows = {
        "seen": torch.randn(5, 2, generator=spread),
        "hidden": torch.randn(5, 2, generator=spread),
        "state": torch.tensor([0, 1, 2, 1, 0]),
        "warm": torch.tensor(0.4),
    }

    def keyed(*roles: str) -> dict[str, Tensor]:
        return {call[role]: rows[role] for role in roles}

    found: dict[str, Tensor] = {}
    torch.manual_seed(0)
    found["elbo"] = getattr(module, call["elbo"])(**keyed("seen", "warm"))
    found["score"] = getattr(module, call["score"])(**keyed("seen", "hidden", "state", "warm"))
    for name, value in module.terms(**keyed("seen", "hidden", "state", "warm")).items():
        found[f"terms {'elbo' if name == names.get('elbo', 'elbo') else 'score'}"] = value
    found["log_prob"] = module.log_prob(**keyed("seen", "hidden", "state"))
    back = {names.get(role, role): role for role in ("seen", "hidden", "state", "shifted")}
    for method in ("sample", "sample_mean"):
        for name, value in getattr(module, method)((4,)).items():
            found[f"{method} {back[name]}"] = value
    held = {names.get("hidden", "hidden"): rows["hidden"], names.get("state", "state"): rows["state"]}
    found["held"] = module.sample((5,), given=held)[names.get("seen", "seen")]
    label = f"{names.get('q', 'q')}({names.get('hidden', 'hidden')}|{names.get('seen', 'seen')})"
    found["factor"] = module.factor(label)(**keyed("seen")).mean
    asked = {names.get(role, role): rows[role] for role in ("seen", "hidden")}
    found["density"] = module.log_prob_of(label, **asked)
    losses = module.train_step(module.optimizers(), **keyed("seen", "hidden", "state", "warm"))
    found |= {f"step {place}": value for place, value in enumerate(losses.values())}
    found |= {f"weight {place}": value.detach() for place, value in enumerate(module.parameters())}
    inputs = module.inputs_at(5)
    assert list(inputs) == [call["warm"]]
    return found


def fault_of(names: dict[str, str], expected: dict[str, Tensor]) -> str | None:
    """What is wrong with the program under some names; a refusal with a code is right."""
    if len({names.get(role, role) for role in ("p", "q")}) == 1:
        return None  # one name for both is another program: the posterior is then a factor of the model
    try:
        found = results(written(**names), names)
    except CompileError as error:
        return None if all(d.code and d.message for d in error.diagnostics) else "a refusal without a code"
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {str(error)[:200]}"
    for name, value in expected.items():
        if name not in found or not torch.allclose(found[name].double(), value.double(), atol=1e-6):
            return f"{name} is {found.get(name)}, and was {value}"
    return None


def trials(seed: int | None, count: int) -> Iterator[dict[str, str]]:
    """One role renamed at a time; with a seed, some of these and two roles renamed at once."""
    words = candidates()
    singles = [{role: word} for role in ROLES for word in words]
    if seed is None:
        yield from singles
        return
    chance = random.Random(seed)
    yield from chance.sample(singles, count)
    for _ in range(count):
        first, second = chance.sample(ROLES, 2)
        word = chance.choice(words)
        yield {first: word, second: chance.choice([f"{word}_", chance.choice(words)])}


def main() -> None:
    """Try all names in all roles, and print what is wrong."""
    warnings.simplefilter("ignore")
    expected = results(written(), {})
    seed, count = (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) > 2 else (None, 0)
    tried = wrong = 0
    for names in trials(seed, count):
        tried += 1
        fault = fault_of(names, expected)
        if fault:
            wrong += 1
            print(names, fault, flush=True)
    print(f"{tried} tried, {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
