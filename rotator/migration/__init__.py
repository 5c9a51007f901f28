"""Away from stored secrets: who can move, in which order, and the moves themselves."""
