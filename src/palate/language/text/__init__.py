"""Text sources of tasks: plain text, reviews, aspects, catalogue facts."""
