"""What is learned about a trained model: task tables, sensitivity, prompts, reports, the demo."""
