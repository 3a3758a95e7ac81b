"""Small games, one for each thing a paper may ask of the trainer; written as if they were systems."""
