"""Plain text and what is read of it: reviews, aspects, facts."""
