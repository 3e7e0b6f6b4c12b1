"""The built-in model: a small text-conditional video diffusion transformer in NumPy, for a closed world of shapes."""
