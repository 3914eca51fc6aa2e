"""Items as codes: learned and given indexings, collisions, new items, and how healthy codes are."""
