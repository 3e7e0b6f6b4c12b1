"""Providers of hosted models: one file each, each knowing one vendor's wire and nothing of the others."""
