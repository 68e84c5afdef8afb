"""What training lowers, beside the usual loss of sampled tokens."""
