"""A simulated shop whose users have known preferences, and the oracle that knows them."""
