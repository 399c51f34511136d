"""Remarks that a careful reviewer would make on a whole program."""
