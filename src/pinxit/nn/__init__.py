"""Layers and the networks that systems share."""
