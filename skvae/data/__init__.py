"""Between the user's table and tensors."""
