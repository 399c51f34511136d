"""Transforms of flows, a file each: modules of torch that the emitter copies and that people may use by hand.

A transform maps data to the base. Its call gives the value and log |det dy/dx|, `inverse` the way back with its own
log-determinant, each from one evaluation. The compiler reads these files as text, so nothing here is imported by it.
"""
