"""Plans, engines, the journal, and the sampler that brings them together."""
