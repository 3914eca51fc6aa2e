"""Pre-trained language models as backbones, and their (parameter-efficient) tuning."""
