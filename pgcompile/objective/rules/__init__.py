"""The rules that rewrite an objective, a file a kind of rule."""
