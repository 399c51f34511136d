"""Shapes and supports of expressions, nets and factors, before any tensor exists."""
