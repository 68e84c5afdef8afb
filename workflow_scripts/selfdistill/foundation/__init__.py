"""What every room stands on: sentences to the user, whole files, how programs end, wording."""
