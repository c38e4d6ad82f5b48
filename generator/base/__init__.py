"""What every wing may use: errors, the terminal, the environment, names, digests."""
