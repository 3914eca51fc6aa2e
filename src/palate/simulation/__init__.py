"""The simulated shop, and what its users truly want."""
