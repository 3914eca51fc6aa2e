"""Pre-trained language models as backbones, and what of them is tuned."""
