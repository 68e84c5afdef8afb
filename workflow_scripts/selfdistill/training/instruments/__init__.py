"""What is measured during training: gradients, weights, the path."""
