"""Programs after the notebooks of Pixyz, and after the models that its users write."""
