"""The compiler broken on purpose; `python -m tests.fuzz.mutants` shows that the tests notice each.

Golden files are left out: they notice every change, a right one too. Each mutant runs in a copy of the package.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from tests.fuzz.definitions import MISREADINGS

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """A fault put into the compiler.

    Args:
        what: the fault.
        file: where, below `pgcompile/`.
        right: the text that is replaced; it must stand there once.
        wrong: what replaces it.
        caught_by: the test that must fail.
    """

    what: str
    file: str
    right: str
    wrong: str
    caught_by: str


VERIFIED = "tests/fuzz/test_verify.py::test_examples_pass"
FORMS = "tests/objective/test_forms.py"
FAMILIES = "tests/vocabulary/test_families.py"
MUTANTS = [
    Mutant(
        "the sign of a divergence",
        "objective/rewrite.py",
        "body = left - self._log_product(term.right, inner)",
        "body = left + self._log_product(term.right, inner)",
        f"{VERIFIED}[vae]",
    ),
    Mutant(
        "a divergence subtracted with the sign of its other half",
        "objective/rewrite.py",
        'f"KL[{atom.label} || {others[0][1].atom.label}]", mine[0]',
        'f"KL[{atom.label} || {others[0][1].atom.label}]", -mine[0]',
        f"{VERIFIED}[vae]",
    ),
    Mutant(
        "half of a square",
        "vocabulary/symbols.py",
        '"(x-c)^2": lambda c: variance + (mean - c) ** 2',
        '"(x-c)^2": lambda c: variance + (mean - c) ** 2 / 2',
        f"{FAMILIES}::test_divergence",
    ),
    Mutant(
        "a closed form although a parent is drawn later",
        "objective/rewrite.py",
        "if source is draw and current in blocked:",
        "if False and source is draw and current in blocked:",
        FORMS,
    ),
    Mutant(
        "the constant of a log-density once instead of once an element",
        "plan/environment.py",
        "        number *= prod(lead)\n",
        "",
        f"{VERIFIED}[factor_analysis]",
    ),
    Mutant(
        "a sum over one dimension too few",
        "plan/environment.py",
        "return build.sum_to_scalar(value, lead)",
        "return build.sum_to_scalar(value, lead) if len(lead) < 2 else build.sum_last(value, 1)",
        "tests/fuzz/test_programs.py::test_a_random_program",
    ),
    Mutant(
        "shared noise where independent noise is due",
        "plan/environment.py",
        "fresh = (identity, head, str(args))",
        'fresh = (identity, head, "")',
        "tests/fuzz/test_programs.py::test_a_random_program",
    ),
    Mutant(
        "one draw where a product needs two",
        "objective/context.py",
        "return Context(self.counted, self.options, {}, self.counter)",
        "return Context(self.counted, self.options, self.pool, self.counter)",
        FORMS,
    ),
    Mutant(
        "a scale forgotten in a draw",
        "vocabulary/families/laplace.py",
        "draw=loc + scale * (StandardExponential(1) - StandardExponential(2))",
        "draw=loc + (StandardExponential(1) - StandardExponential(2))",
        "tests/statistics/test_fit.py::test_draws_of_an_objective_follow_their_distribution",
    ),
    Mutant(
        "detach dropped",
        "objective/rewrite.py",
        "return Detach(first)",
        "return first",
        f"{FORMS}::test_detach_stops_the_gradient",
    ),
    Mutant(
        "inputs of a net swapped",
        "plan/expressions.py",
        'return build.make("cat", tuple(parts), shape=shape)',
        'return build.make("cat", tuple(reversed(parts)), shape=shape)',
        f"{VERIFIED}[conditional_vae]",
    ),
    Mutant(
        "an index off by one",
        "vocabulary/families/categorical.py",
        "log_density=Pick(log_probs, X)",
        "log_density=Pick(log_probs, X - 1)",
        f"{VERIFIED}[classifier]",
    ),
    Mutant(
        "a scalar of each data point lined up with the wrong axis",
        "plan/builder.py",
        "if missing <= 0 or (x.rank == 0 and not x.batched and not x.axes and not x.per_point):",
        "if missing <= 0 or x.rank == 0:",
        "tests/fuzz/test_programs.py::test_a_random_program",
    ),
    Mutant(
        "a loss that is summed over draws",
        "plan/batch_mean.py",
        "build.constant(1.0 / samples)",
        "build.constant(1.0)",
        "tests/fuzz/test_programs.py::test_a_random_program",
    ),
    Mutant(
        "a loss with the wrong sign",
        "plan/methods.py",
        '-1 if line.direction == "maximize" else 1',
        '1 if line.direction == "maximize" else -1',
        f"{VERIFIED}[vae]",
    ),
    Mutant(
        "a rename that forgets the parents",
        "model/algebra.py",
        "variables = (*atom.factor.targets, *atom.factor.parents)",
        "variables = atom.factor.targets",
        "tests/model/test_algebra.py",
    ),
    Mutant(
        "a draw whose gradient is cut",
        "runtime/draws.py",
        "return torch._standard_gamma(concentration.float() if narrow else concentration)",
        "return torch._standard_gamma(concentration.detach().float() if narrow else concentration.detach())",
        "tests/statistics/test_gradients.py",
    ),
    Mutant(
        "a leave-one-out baseline that includes the draw itself",
        "plan/objectives.py",
        "scale = build.constant(draw.samples / (draw.samples - 1))",
        "scale = build.constant(1.0)",
        "tests/objective/test_estimators.py::test_score_functions_are_unbiased",
    ),
    Mutant(
        "a score function inside a nonlinear function",
        "objective/rewrite.py",
        "            if not inside or body.has(BatchMean, BatchSum):",
        "            if True:",
        "tests/objective/test_estimators.py::test_score_functions_inside_nonlinear_functions",
    ),
    Mutant(
        "an enumerated variable whose values weigh the same",
        "plan/objectives.py",
        'total = build.binary("mul", probability, value)',
        'total = build.binary("mul", build.unary("detach", probability), value)',
        "tests/objective/test_estimators.py::test_enumeration_is_exact",
    ),
    Mutant(
        "a posterior without its evidence",
        "objective/rewrite.py",
        "return self._log_product(joint, env) - self._log_product(evidence, env)",
        "return self._log_product(joint, env)",
        "tests/objective/test_marginals.py::test_responsibilities_and_the_em_bound",
    ),
    Mutant(
        "a product of experts with precisions for scales",
        "model/experts.py",
        '"scale": make.over(one, make.call("sqrt", total))',
        '"scale": make.over(one, total)',
        "tests/model/test_experts.py::test_a_product_is_normalised",
    ),
    *(
        Mutant(
            fault.what,
            fault.file,
            fault.right,
            fault.wrong,
            f"tests/fuzz/test_definitions.py::test_a_formula_verifies[{fault.formula}]",
        )
        for fault in MISREADINGS
    ),
]


def caught(mutant: Mutant | None, tests: list[str]) -> bool:
    """Whether tests fail on a copy of the project, with a fault or (None) without."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("pgcompile", "grammar", "tests", "examples", "docs", "README.md", "pyproject.toml"):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / name)
        if mutant is not None:
            _break(copy / "pgcompile" / mutant.file, mutant)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
        run = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
        if run.returncode not in (0, 1):
            raise SystemExit(f"pytest did not run\n{run.stdout}{run.stderr}")
        return run.returncode == 1


def _break(path: Path, mutant: Mutant) -> None:
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.right) != 1:
        raise SystemExit(f"the mutant `{mutant.what}` has lost its target in {mutant.file}")
    path.write_text(text.replace(mutant.right, mutant.wrong), encoding="utf-8")


def main() -> int:
    """A line for each mutant; the status says whether one survived."""
    if caught(None, sorted({mutant.caught_by for mutant in MUTANTS})):
        raise SystemExit("the tests fail without any fault: nothing is shown")
    survivors = 0
    for mutant in tqdm(MUTANTS, unit="mutant", disable=not sys.stderr.isatty()):
        found = caught(mutant, [mutant.caught_by])
        survivors += not found
        tqdm.write(f"{'caught  ' if found else 'SURVIVED'}  {mutant.what}  ({mutant.caught_by})")
    print(f"{len(MUTANTS) - survivors} of {len(MUTANTS)} mutants caught")
    return int(survivors > 0)


if __name__ == "__main__":
    raise SystemExit(main())
