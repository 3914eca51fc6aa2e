"""The public face: a trained recommender, and how one is fitted."""
