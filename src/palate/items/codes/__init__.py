"""Items as codes: learned and given indexings, collisions, new items, and the quality of codes."""
