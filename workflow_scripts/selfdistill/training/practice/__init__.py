"""Training on answers that the model gives while it trains: the generations, their journal, the trainer, replay."""
