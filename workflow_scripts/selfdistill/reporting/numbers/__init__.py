"""The numbers of a report: each by a name, the rows behind it, and the lines that make it again."""
