"""A model's graph as SVG, DOT and Mermaid, with no program to call and nothing to install."""

from html import escape

import networkx as nx

_WIDTH, _HEIGHT, _RADIUS, _MARGIN = 120, 110, 28, 60


def mermaid(graph: nx.DiGraph) -> str:
    """The graph for Markdown: variables nobody generates are boxes."""
    ids = {name: f"v{index}" for index, name in enumerate(graph)}
    lines = ["graph TD"]
    for plate in dict.fromkeys(data.get("plate") for _, data in graph.nodes(data=True)):
        inside = [(name, data) for name, data in graph.nodes(data=True) if data.get("plate") == plate]
        nodes = [f"  {ids[name]}{_shape(name, generated=bool(data.get('factor')))}" for name, data in inside]
        if plate is None:
            lines += nodes
        else:
            head = f'  subgraph plate_{plate.replace(", ", "_")} ["{_label(plate)}"]'
            lines += [head, *(f"  {node}" for node in nodes), "  end"]
    for a, b, data in graph.edges(data=True):
        mark = f' -. "{_label(data["place"])}" .-> ' if "place" in data else " --> "
        lines.append(f"  {ids[a]}{mark}{ids[b]}")
    return "\n".join(lines)


def _shape(name: str, *, generated: bool) -> str:
    text = _label(name)
    return f"(({text}))" if generated else f"[{text}]"


def dot(graph: nx.DiGraph) -> str:
    """The graph for Graphviz, each node with its factor as tooltip."""
    lines = ["digraph model {", "  node [shape=circle];"]
    for name, data in graph.nodes(data=True):
        shape = "" if data.get("factor") else ", shape=box"
        tip = f', tooltip="{_label(data["factor"])}"' if data.get("factor") else ""
        lines.append(f'  "{_label(name)}" [label="{_label(name)}"{shape}{tip}];')
    for plate in dict.fromkeys(data["plate"] for _, data in graph.nodes(data=True) if "plate" in data):
        inside = " ".join(f'"{_label(n)}";' for n, data in graph.nodes(data=True) if data.get("plate") == plate)
        lines.append(f'  subgraph "cluster_{_label(plate)}" {{ label="{_label(plate)}"; {inside} }}')
    for a, b, data in graph.edges(data=True):
        mark = f' [style=dashed, label="{_label(data["place"])}"]' if "place" in data else ""
        lines.append(f'  "{_label(a)}" -> "{_label(b)}"{mark};')
    return "\n".join([*lines, "}"])


def svg(graph: nx.DiGraph) -> str:
    """The graph drawn in layers, parents above children."""
    places = _layout(graph)
    width = max((x for x, _ in places.values()), default=0) + _MARGIN
    height = max((y for _, y in places.values()), default=0) + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="serif" font-size="16">',
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L10 5L0 10z"/></marker></defs>',
    ]
    parts += [
        _plate(plate, [places[n] for n, d in graph.nodes(data=True) if d.get("plate") == plate])
        for plate in dict.fromkeys(d["plate"] for _, d in graph.nodes(data=True) if "plate" in d)
    ]
    parts += [_edge(places[a], places[b], data.get("place", "")) for a, b, data in graph.edges(data=True)]
    for name, data in graph.nodes(data=True):
        x, y = places[name]
        title = f"<title>{escape(data['factor'])}</title>" if data.get("factor") else ""
        if data.get("factor"):
            shape = f'<circle cx="{x}" cy="{y}" r="{_RADIUS}" fill="white" stroke="black"/>'
        else:
            shape = f'<rect x="{x - 24}" y="{y - 24}" width="48" height="48" fill="#eee" stroke="black"/>'
        text = f'<text x="{x}" y="{y + 5}" text-anchor="middle">{escape(name)}</text>'
        parts.append(f"<g>{title}{shape}{text}</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _layout(graph: nx.DiGraph) -> dict[str, tuple[int, int]]:
    """Generations from top to bottom, each ordered by the mean place of its parents."""
    here = nx.DiGraph()
    here.add_nodes_from(graph)
    here.add_edges_from((a, b) for a, b, data in graph.edges(data=True) if "place" not in data)
    graph = here
    if not nx.is_directed_acyclic_graph(graph):
        return {name: (_MARGIN + _WIDTH * index, _MARGIN) for index, name in enumerate(graph)}
    layers = list(nx.topological_generations(graph))
    widest = max((len(layer) for layer in layers), default=1)
    places: dict[str, tuple[int, int]] = {}
    for depth, layer in enumerate(layers):
        ordered = sorted(layer, key=lambda n: (_mean([places[p][0] for p in graph.predecessors(n)]), n))
        offset = (widest - len(layer)) * _WIDTH // 2
        for index, name in enumerate(ordered):
            places[name] = (_MARGIN + offset + index * _WIDTH, _MARGIN + depth * _HEIGHT)
    return places


def _mean(values: list[int]) -> float:
    return sum(values) / len(values) if values else 0.0


def _plate(plate: str, places: list[tuple[int, int]]) -> str:
    """A box around what an index repeats."""
    xs, ys = [x for x, _ in places], [y for _, y in places]
    left, top = min(xs) - 46, min(ys) - 44
    box = f'<rect x="{left}" y="{top}" width="{max(xs) + 46 - left}" height="{max(ys) + 44 - top}" '
    text = f'<text x="{max(xs) + 40}" y="{max(ys) + 38}" text-anchor="end" font-size="12">{escape(plate)}</text>'
    return f'{box}rx="6" fill="none" stroke="gray"/>{text}'


def _edge(start: tuple[int, int], end: tuple[int, int], place: str = "") -> str:
    """A line from rim to rim; from another place, a dashed one with its subscript, a loop where it is the same node."""
    x, y = start
    dashed = ' stroke-dasharray="5 3"' if place else ""
    if start == end:
        loop = f'<path d="M{x + 20} {y - 20}C{x + 62} {y - 52} {x + 62} {y + 52} {x + 22} {y + 20}" fill="none" '
        text = f'<text x="{x + 54}" y="{y + 4}" font-size="12">{escape(place)}</text>'
        return f'{loop}stroke="black"{dashed} marker-end="url(#head)"/>{text}'
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max((dx * dx + dy * dy) ** 0.5, 1.0)
    ux, uy = dx / length, dy / length
    x1, y1 = start[0] + ux * _RADIUS, start[1] + uy * _RADIUS
    x2, y2 = end[0] - ux * (_RADIUS + 2), end[1] - uy * (_RADIUS + 2)
    line = f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="black"{dashed} '
    text = ""
    if place:
        text = f'<text x="{(x1 + x2) / 2 + 4:.1f}" y="{(y1 + y2) / 2:.1f}" font-size="12">{escape(place)}</text>'
    return f'{line}marker-end="url(#head)"/>{text}'


def _label(text: str) -> str:
    """Text that cannot end the string it stands in."""
    return "".join(c for c in text if c.isalnum() or c in " _|(),.=+-*/")
