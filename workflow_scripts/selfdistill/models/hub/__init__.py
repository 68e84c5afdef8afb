"""Models and datasets from the Hugging Face hub: one commit of each for a study's whole life, whole or not there."""
