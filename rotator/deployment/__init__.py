"""Container groups as text: a YAML file with references instead of secrets, what it would change, and the way back to text."""
