"""The equations: pure functions of tensors. Losses take logits; sums run over dimensions, means over the batch."""
