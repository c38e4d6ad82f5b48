"""The commands of the command line: each takes the parsed options and says what it did."""
