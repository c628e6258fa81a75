"""One file per selector: which rollouts to learn from, and of which prompts to draw more."""
