"""Studies of trained models: task evaluation, prompt sensitivity, prompt search, reports, demo."""
