"""AWS: the token service and the registry API."""
