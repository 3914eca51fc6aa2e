"""Features of items: text, image, behaviour and attribute encoders, and item codes."""
