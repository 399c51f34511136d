"""A small tensor program: single assignment, each value with its event shape, its draw axes and where it came from."""
