"""Image data sets: classes, files, pixels, where they come from. Nothing here needs to know a network."""
