"""How it is said: tokenizer, prompts, tasks, the stream of words and items."""
