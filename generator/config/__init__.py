"""report.toml as typed values: what it may say, how it is read, and the places and digests that follow from it."""
