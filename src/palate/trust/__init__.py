"""Checks of trustworthiness: groundedness of generated texts, and leaks of item numbering."""
