"""Palate: one language model for every recommendation task."""

__version__ = "0.1.0"
