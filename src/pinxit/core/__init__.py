"""The engine room: games, clock, trainer, checkpoints, randomness. Imports nothing of the rest of pinxit."""
