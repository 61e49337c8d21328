"""A fitted model and what it does."""
