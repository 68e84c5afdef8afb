"""How uncertain a text sounds to a language model that judges it: the rubric, the questions, the replies, and whether it agrees with counted words."""
