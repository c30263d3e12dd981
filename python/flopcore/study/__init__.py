"""Populations of models against thresholds."""
