"""Functions, distributions and transforms that emitted modules copy, and the library that reads their text.

The compiler reads these files as text. Only modules compiled with `link=True` and people's own code import them, and
torch with them.
"""
