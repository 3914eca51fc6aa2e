"""How good it is: metrics, protocol, significance, report."""
