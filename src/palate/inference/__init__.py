"""How it answers: from a model folder to recommendations."""
