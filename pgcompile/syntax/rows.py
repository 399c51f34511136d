"""Other rows of the batch, `x'`, as they stand in a tree: `mean_{x'} p(x'|z)` is `E_{data(x')}[p(x|z)[x -> x']]`."""

from dataclasses import replace

from pgcompile.syntax import tree

PRIME = "_prime"


def primed(name: str) -> str:
    """A name as papers write it: `x'` for `x_prime`, `x''` for `x_prime_prime`."""
    return f"{primed(name.removesuffix(PRIME))}'" if name.endswith(PRIME) else name


def own_name(name: str) -> str:
    """A name without its primes: that of the variable whose other rows it stands for."""
    return own_name(name.removesuffix(PRIME)) if name.endswith(PRIME) else name


def row_names(over: tree.Expr | None) -> tuple[str, ...]:
    """The names in `data(x')`; none where an expectation is over something else."""
    match over:
        case tree.Call("data", args, None):
            names = tuple(a.value.id for a in args if isinstance(a.value, tree.Name))
            return names if all(n.endswith(PRIME) for n in names) else ()
        case _:
            return ()


def is_total(options: tuple[tree.Option, ...]) -> bool:
    """True if the options of an expectation over rows make it their sum, `sum_{x'}`."""
    return any(option.name == "total" for option in options)


def at_rows(renamed: tree.Rename) -> tree.Call | None:
    """`p(x'|z)` for `p(x|z)[x -> x']`; None where a variable takes the place of another."""
    call = renamed.base
    if not isinstance(call, tree.Call) or any(
        new.id == old.id or own_name(new.id) != old.id for old, new in renamed.pairs
    ):
        return None
    names = {old.id: new for old, new in renamed.pairs}

    def named(arguments: tuple[tree.Argument, ...]) -> tuple[tree.Argument, ...]:
        ids = [a.value.id if isinstance(a.value, tree.Name) else "" for a in arguments]
        return tuple(replace(a, value=names.get(i, a.value)) for a, i in zip(arguments, ids, strict=True))

    return replace(call, args=named(call.args), given=None if call.given is None else named(call.given))
