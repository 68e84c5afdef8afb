"""The mechanism: what training did to next-token laws, and whether it is what self-distillation should do."""
