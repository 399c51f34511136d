"""Nets that end in a softplus, sigmoid or softmax whose log form nothing asks for: they are called as they are."""

from collections import Counter

from pgcompile.plan.values import Value, live_values

HEADS = {"Softplus": "softplus", "Sigmoid": "sigmoid", "Softmax": "softmax"}
"""Layers that a net may end with whose logarithms are wanted, and the functions that they are."""


def is_head_of_net(value: Value) -> bool:
    """True if a value is a net's last layer, applied to what comes before it."""
    inside = value.args[0] if value.op in HEADS.values() and len(value.args) == 1 else value
    return inside.op == "body" or (inside.op == "unflatten_batch" and inside.args[0].op == "body")


def finish_heads(outputs: list[Value]) -> None:
    """`F.softplus(self.scale[0](h))` as `self.scale(h)` where nothing else takes what comes before the last layer.

    The values are changed in place: the builder that made them must make no others.

    Args:
        outputs: the results of a method.
    """
    live = live_values(outputs)
    uses = Counter(arg.number for value in live for arg in value.args)
    kept = {value.number for value in outputs}
    for value in live:
        if value.op not in HEADS.values() or len(value.args) != 1:
            continue
        inside = value.args[0]
        flat = inside.op == "unflatten_batch"
        body = inside.args[0] if flat else inside
        alone = all(uses[v.number] == 1 and v.number not in kept for v in {id(v): v for v in (inside, body)}.values())
        if body.op != "body" or not alone:
            continue
        if flat:
            body.op, body.attributes = "module", body.attributes[:1]
            value.op, value.args, value.attributes = inside.op, inside.args, inside.attributes
        else:
            value.op, value.args, value.attributes = "module", body.args, body.attributes[:1]
