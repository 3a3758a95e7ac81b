"""Measures of samples against data: modes, transport, neighbours, classifiers; each says its protocol and its floor."""
