"""Readers of foreign model formats; each ends in a Graph and counts nothing."""
