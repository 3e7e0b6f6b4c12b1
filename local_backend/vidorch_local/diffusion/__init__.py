"""Open-weight video models, run by torch and diffusers from a folder. Neither is loaded before it is needed."""
