"""Targets that a plan is printed for."""
