"""Many fits: a path of betas, and folds."""
