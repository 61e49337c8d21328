"""Conversion of the user's table to tensors, and back."""
