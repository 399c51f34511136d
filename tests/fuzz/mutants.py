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
MOMENTS = "tests/objective/test_moments.py"
STATES = "tests/objective/test_marginals.py::test_one_factor_at_two_states_at_once"
FAMILIES = "tests/vocabulary/test_families.py"
CLOSED = "objective/rules/closed_form.py"
FAMILY = "plan/lower/family_factors.py"
MUTANTS = [
    Mutant(
        "the sign of a divergence",
        "objective/rewrite.py",
        "return Expect(state.draw_symbol(term.draw), _formula(state, term.body))",
        "return Expect(state.draw_symbol(term.draw), -_formula(state, term.body))",
        f"{VERIFIED}[vae]",
    ),
    Mutant(
        "a divergence subtracted with the sign of its other half",
        CLOSED,
        "value = members[0].coefficient * sign * state.symbol(leaf)",
        "value = members[0].coefficient * state.symbol(leaf)",
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
        CLOSED,
        "    if later is None:",
        "    if True:",
        f"{FORMS}::test_a_closed_form_is_not_used_where_a_parent_descends_from_the_latent",
    ),
    Mutant(
        "moments although a factor of the body is drawn later",
        "objective/rules/moments.py",
        "below = downstream(state, draw, variable) - {variable}",
        "below = set()",
        f"{MOMENTS}::test_moments_are_not_used_where_the_formula_descends_from_the_variable",
    ),
    Mutant(
        "a parent that is reached through a deterministic variable",
        "objective/rules/dependence.py",
        "for name, factor in state.model.deterministic.items():",
        "for name, factor in ():",
        f"{FORMS}::test_a_closed_form_is_not_used_where_a_parent_descends_through_a_deterministic_variable",
    ),
    Mutant(
        "the constant of a log-density once instead of once an element",
        FAMILY,
        "times(prod(lead), text)",
        "text",
        f"{VERIFIED}[factor_analysis]",
    ),
    Mutant(
        "a sum over one dimension too few",
        FAMILY,
        "return build.sum_to_scalar(value, lead)",
        "return build.sum_to_scalar(value, lead) if len(lead) < 2 else build.sum_last(value, 1)",
        "tests/fuzz/test_programs.py::test_a_random_program",
    ),
    Mutant(
        "shared noise where independent noise is due",
        FAMILY,
        "fresh = (identity, head, str(args))",
        'fresh = (identity, head, "")',
        "tests/fuzz/test_programs.py::test_a_random_program",
    ),
    Mutant(
        "one draw where a product needs two",
        "objective/context.py",
        "return replace(self, repetition=(*self.repetition, number))",
        "return self",
        f"{FORMS}::test_products_of_expectations_draw_independently",
    ),
    Mutant(
        "two draws that should be one",
        "objective/draws.py",
        "draw = whole.pool.setdefault(draw, draw)",
        "draw = whole.pool.setdefault(apart := replace(draw, repetition=(*draw.repetition, len(whole.pool))), apart)",
        f"{FORMS}::test_terms_give_every_part_in_one_pass",
    ),
    Mutant(
        "an expectation that shares the values of one inside it",
        "plan/axes.py",
        "taken |= self._around(draw.around) | self._inside(draw)",
        "taken |= self._around(draw.around)",
        STATES,
    ),
    Mutant(
        "an expectation that shares the values of a sum inside it",
        "plan/axes.py",
        "self._outer[draw] = outer",
        "self._outer[draw] = frozenset()",
        STATES,
    ),
    Mutant(
        "a reduction whose rule keeps the axis that it reduces",
        "plan/ops.py",
        "return args[0].axes[:at] + args[0].axes[at + 1 :]",
        "return args[0].axes",
        f"{FORMS}::test_many_samples_are_averaged_and_vectorised",
    ),
    Mutant(
        "values shared with an expectation around that was met before",
        "plan/axes.py",
        "taken = self._around(outer) | {*others}",
        "taken = {*others}",
        STATES,
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
        "return head(*arguments) if row.exponent is None",
        'return arguments[0] if name == "Detach" else head(*arguments) if row.exponent is None',
        f"{FORMS}::test_detach_stops_the_gradient",
    ),
    Mutant(
        "inputs of a net swapped",
        "plan/expansion.py",
        'return build.make("cat", tuple(whole), shape=shape)',
        'return build.make("cat", tuple(reversed(whole)), shape=shape)',
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
        "if missing <= 0 or (x.rank == 0 and not x.batched and not x.axes and not x.maybe_batched):",
        "if missing <= 0 or x.rank == 0:",
        "tests/fuzz/test_programs.py::test_a_random_program",
    ),
    Mutant(
        "a loss that is summed over draws",
        "plan/passes/batch_mean.py",
        "build.constant(1.0 / samples)",
        "build.constant(1.0)",
        "tests/plan/test_batch_mean.py",
    ),
    Mutant(
        "a loss with the wrong sign",
        "plan/methods/objectives.py",
        '-1 if line.direction == "maximize" else 1',
        '1 if line.direction == "maximize" else -1',
        f"{VERIFIED}[vae]",
    ),
    Mutant(
        "a rename that forgets the parents",
        "model/factors.py",
        "names = (*self.factor.targets, *self.factor.parents)\n        now =",
        "names = self.factor.targets\n        now =",
        "tests/inference/test_algebra.py",
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
        "plan/lower/objectives.py",
        "scale = build.constant(draw.samples / (draw.samples - 1))",
        "scale = build.constant(1.0)",
        "tests/objective/test_estimators.py::test_score_functions_are_unbiased",
    ),
    Mutant(
        "a score function inside a nonlinear function",
        "objective/rules/gradients.py",
        "        if not inside or body.has(BatchMean, BatchSum):",
        "        if True:",
        "tests/objective/test_estimators.py::test_score_functions_inside_nonlinear_functions",
    ),
    Mutant(
        "an enumerated variable whose values weigh the same",
        "plan/lower/objectives.py",
        'total = build.binary("mul", probability, value)',
        'total = build.binary("mul", build.unary("detach", probability), value)',
        "tests/objective/test_estimators.py::test_enumeration_is_exact",
    ),
    Mutant(
        "a posterior without its evidence",
        "objective/rules/log_products.py",
        "return log_product(state, joint, env) - log_product(state, evidence, env)",
        "return log_product(state, joint, env)",
        "tests/objective/test_marginals.py::test_responsibilities_and_the_em_bound",
    ),
    Mutant(
        "a product of experts with precisions for scales",
        "inference/experts.py",
        '"scale": make.over(one, make.call("sqrt", total))',
        '"scale": make.over(one, total)',
        "tests/inference/test_experts.py::test_a_product_is_normalised",
    ),
    Mutant(
        "a recurrent net that goes the wrong way",
        "plan/whole_cells.py",
        "attributes = (str(cell.attributes[0]), delays[0][2].offset > 0)",
        "attributes = (str(cell.attributes[0]), False)",
        "tests/sequences/test_programs.py::test_it_is_what_the_program_says_place_by_place[cells]",
    ),
    Mutant(
        "the known part of a product with the columns of another",
        "plan/split_products.py",
        "for part, start, stop in known:",
        "for part, start, stop in [(part, 0, stop - start) for part, start, stop in known]:",
        "tests/sequences/test_by_hand.py::test_a_variational_recurrent_net_is_its_loop",
    ),
    Mutant(
        "rows that are not shuffled",
        "runtime/finite.py",
        "order = noise.reshape(rows).argsort(axes)",
        "order = noise.reshape(rows).argsort(axes).sort(axes).values",
        "tests/reported/test_rows.py::test_shuffled_entries_are_those_of_the_batch_and_keep_no_company",
    ),
    Mutant(
        "a state one step late",
        "plan/loop_body.py",
        "self.inside[value.number] = own.placeholder",
        "self.inside[value.number] = carried[-1].placeholder",
        "tests/sequences/test_programs.py::test_it_is_what_the_program_says_place_by_place[lag2]",
    ),
    Mutant(
        "a start for each place outside the range swapped",
        "plan/loop_body.py",
        "initial = starts[len(starts) - distance]",
        "initial = starts[distance - 1]",
        "tests/sequences/test_programs.py::test_it_is_what_the_program_says_place_by_place[lag2_drawn]",
    ),
    Mutant(
        "padding that enters the gradient",
        "plan/lower/places.py",
        "            here, value = build.align(inside, places)",
        "            continue",
        "tests/sequences/test_by_hand.py::test_padding_is_each_sequence_alone",
    ),
    Mutant(
        "a padded recurrence that starts at the longest end",
        "plan/lower/places.py",
        "inside = inside_places(lowering, lag.index) if lag.offset > 0 else None",
        "inside = None",
        "tests/sequences/test_by_hand.py::test_padding_is_each_sequence_alone",
    ),
    Mutant(
        "a shared draw drawn for each place",
        "plan/lower/places.py",
        "return tuple(axis_of(lowering, index) for index in lowering.model.indices.of(name))",
        "return tuple(axis_of(lowering, index) for index in lowering.model.indices.ranges)",
        "tests/sequences/test_programs.py::test_it_is_what_the_program_says_place_by_place[globals]",
    ),
    Mutant(
        "a place counted twice",
        "plan/lower/places.py",
        'total = build.make("sum_axis", (value,), (value.axes.index(axis),), shape=value.shape, axes=rest)',
        'total = build.make("sum_axis", (build.binary("add", value, value),), (value.axes.index(axis),), '
        "shape=value.shape, axes=rest)",
        "tests/sequences/test_programs.py::test_it_is_what_the_program_says_place_by_place[arx]",
    ),
    Mutant(
        "the weight of a minibatch dropped",
        "plan/lower/places.py",
        "return total if weight is None else",
        "return total if True else",
        "tests/sequences/test_by_hand.py::test_a_minibatch_stands_for_the_data_set",
    ),
    Mutant(
        "the past that has the present in it",
        "plan/lower/sequence_nets.py",
        'if expr.reach != "past":',
        "if True:",
        "tests/sequences/test_by_hand.py::test_a_causal_net_of_the_past_sees_no_later_place",
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
