"""One fit: from a table to a fitted model."""
