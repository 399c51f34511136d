"""A program in a notebook: its formulas typeset, and its graph."""

from html import escape

from pgcompile.inference.generative import generative_part, graph_of
from pgcompile.inference.place_graphs import template_graph
from pgcompile.pipeline import Analysis
from pgcompile.views.drawing import svg
from pgcompile.views.latex import latex


def notebook_html(analysis: Analysis) -> str:
    """Formulas for MathJax, and the graph as SVG."""
    graph = graph_of(analysis.model, generative_part(analysis.model, analysis.resolver))
    graph = template_graph(graph, analysis.model) if analysis.model.indices.carried else graph
    return f"<div>$${escape(latex(analysis.tree), quote=False)}$$</div>\n{svg(graph)}"
