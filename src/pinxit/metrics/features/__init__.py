"""Feature networks, among whose outputs distributions of images are compared; each says what it is, beside every score."""

from pinxit.metrics.features.loading import NAMES, load
from pinxit.metrics.features.protocol import Classifies, Features

__all__ = ["NAMES", "Classifies", "Features", "load"]
