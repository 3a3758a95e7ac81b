"""What a trained network really does, measured."""
