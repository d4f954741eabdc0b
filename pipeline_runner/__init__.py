"""Pipelines in YAML or Python, each stage on the pool method that fits it."""
