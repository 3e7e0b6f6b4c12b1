"""Trains the built-in model: its world, its checker, the torch network and the stages from renderer to weights file.

Run time never imports this package; it lives in the repository so that the weights can be made again.
"""
