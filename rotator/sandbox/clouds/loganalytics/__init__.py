"""Log Analytics: the usage log and its query language."""
