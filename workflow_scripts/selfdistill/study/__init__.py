"""The study file: a schema for each section, cross-checks, sentences, and the names of what a study makes."""
