"""Passes over the values of a whole method."""
