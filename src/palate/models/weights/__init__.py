"""Pre-trained weights: named models, where they come from, and how they become a plain folder."""
