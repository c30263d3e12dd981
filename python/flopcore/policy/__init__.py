"""Regimes and readings of the law."""
