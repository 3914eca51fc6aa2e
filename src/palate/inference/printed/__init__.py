"""Words that a shop would print: first what to say, as data, then how to say it."""
