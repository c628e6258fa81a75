"""stepcredit: which step of an LLM agent's run earned the outcome."""
