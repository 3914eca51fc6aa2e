"""Training: recipes, objectives, batches, and the one loop."""
