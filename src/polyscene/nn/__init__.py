"""Layers, losses, batches and the one training loop; the only home of torch loops."""
