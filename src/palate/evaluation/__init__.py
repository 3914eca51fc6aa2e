"""Evaluation: metrics, protocol, significance tests, reports."""
