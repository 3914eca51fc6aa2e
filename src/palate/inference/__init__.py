"""Inference: from a model folder to recommendations and text answers."""
