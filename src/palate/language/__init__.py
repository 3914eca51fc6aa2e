"""Language side: tokenizer, prompts, tasks, item formats, and batches of words and items."""
