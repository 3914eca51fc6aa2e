"""What must hold: privacy, fairness, grounding, robustness."""
