"""Wishes in words: what items are, what is asked for, how it is said, and how it is read."""
