"""Models: the recommendation language model, its backbones and decoders, and the baselines."""
