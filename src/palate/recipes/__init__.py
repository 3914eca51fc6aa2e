"""The systems of the literature as short TOML files."""
