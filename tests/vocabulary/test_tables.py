"""Walks every table of the vocabulary, and names the entry and the fact that is missing."""

from collections.abc import Iterator

from pgcompile.vocabulary.families import families
from pgcompile.vocabulary.functional import Functional, Kind, Method, Setting
from pgcompile.vocabulary.functionals import functionals
from pgcompile.vocabulary.functions import FUNCTIONS, Function
from pgcompile.vocabulary.layers import LAYERS
from pgcompile.vocabulary.optimisers import FUSED, OPTIMISERS
from pgcompile.vocabulary.spaces import KINDS


def _family_gaps() -> Iterator[str]:
    for name, family in families().items():
        if not family.equation:
            yield f"family {name}: equation"
        if family.support not in KINDS:
            yield f"family {name}: support {family.support} is no space"
        for parameter in family.parameters:
            if parameter.constraint not in KINDS:
                yield f"family {name}: constraint of {parameter.name} is no space"
        for one in (*family.one_of, *family.also_one_of):
            if one not in {p.name for p in family.parameters}:
                yield f"family {name}: {one} in one_of is no parameter"


def _functional_gaps(table: dict[str, Functional]) -> Iterator[str]:
    for name, f in table.items():
        for fact in ("example", "source", "latex"):
            if not getattr(f, fact):
                yield f"functional {name}: {fact}"
        if (f.method is Method.DEFINITION) != (f.definition is not None):
            yield f"functional {name}: definition"
        if f.definition is None and not f.in_words:
            yield f"functional {name}: in_words"
        if f.method in (Method.SAMPLES, Method.BATCH) and not f.why:
            yield f"functional {name}: why"
        for setting in f.settings:
            yield from (f"functional {name}: {gap}" for gap in _setting_gaps(setting))
    for place in {f.order for f in table.values()}:
        same = [f.name for f in table.values() if f.order == place]
        if len(same) > 1:
            yield f"functionals {', '.join(same)}: order {place} is taken twice"


def _setting_gaps(setting: Setting) -> Iterator[str]:
    if not setting.about:
        yield f"about of {setting.name}"
    if setting.default is None and not setting.required:
        yield f"default of {setting.name}"
    if setting.kind is Kind.CHOICE and setting.default not in setting.choices:
        yield f"choices of {setting.name}"
    if setting.kind in (Kind.NUMBER, Kind.NUMBERS) and not (setting.demand and setting.help):
        yield f"demand and help of {setting.name}"


def _function_gaps(table: dict[str, Function]) -> Iterator[str]:
    for name, f in table.items():
        if f.codomain is not None and f.codomain not in KINDS:
            yield f"function {name}: codomain {f.codomain} is no space"
        if f.domain not in KINDS:
            yield f"function {name}: domain {f.domain} is no space"
        if f.shape in ("elementwise", "binary") and f.fold is None:
            yield f"function {name}: fold"
        if f.of_terms and not f.symbol:
            yield f"function {name}: symbol"


def _layer_gaps() -> Iterator[str]:
    for name, layer in LAYERS.items():
        if layer.name != name:
            yield f"layer {name}: name"
        if layer.codomain is not None and layer.codomain not in KINDS:
            yield f"layer {name}: {layer.codomain} is no space"


def _optimiser_gaps() -> Iterator[str]:
    for name, options in OPTIMISERS.items():
        if "lr" not in options:
            yield f"optimiser {name}: lr"
    yield from (f"optimiser {name} in FUSED is not listed" for name in FUSED if name not in OPTIMISERS)


def _space_gaps() -> Iterator[str]:
    for name, kind in KINDS.items():
        if not kind.what:
            yield f"space {name}: what"
        yield from (f"space {name}: {outer} is no space" for outer in kind.inside if outer not in KINDS)
        if kind.activation is not None and kind.activation not in LAYERS:
            yield f"space {name}: activation {kind.activation} is no layer"


def test_no_fact_of_the_vocabulary_is_missing() -> None:
    gaps = [
        *_family_gaps(),
        *_functional_gaps(functionals()),
        *_function_gaps(FUNCTIONS),
        *_layer_gaps(),
        *_optimiser_gaps(),
        *_space_gaps(),
    ]
    assert gaps == []


def test_a_gap_names_the_entry_and_the_fact() -> None:
    assert list(_function_gaps({"cosh": Function("cosh", "cosh", of_terms=True)})) == [
        "function cosh: fold",
        "function cosh: symbol",
    ]
