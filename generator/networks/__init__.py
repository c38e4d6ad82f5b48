"""Networks: architectures, their weights on disk, and which weights a network of the report gets."""
