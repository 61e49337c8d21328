"""The linear Gaussian autoencoder in closed form."""
