"""Prompting without training: a ready language model puts the list of a base in order.

:mod:`~palate.inference.prompting.reranker` does it; the others are its parts: the texts, what is
shown of items and histories, worked examples, and how answers are read and counted.
"""
