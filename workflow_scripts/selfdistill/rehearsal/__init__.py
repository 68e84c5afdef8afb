"""A dress rehearsal: a study made small, with the lab's model and the lab's problems in the places of the real ones."""
