"""The page on how a network learnt."""
