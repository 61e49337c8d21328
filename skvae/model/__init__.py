"""Encoder, decoder and prior as functions of weights."""
