"""How it learns: objectives, stages, the one loop."""
