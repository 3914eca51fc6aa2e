"""Public Python interface: a trained recommender, and how it is fitted."""
