"""Tensors in, tensors out; and the baselines."""
