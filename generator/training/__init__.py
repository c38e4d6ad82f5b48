"""Training: recipes, augmentation, the loop, and what `train` does from a data set to a model's folder."""
