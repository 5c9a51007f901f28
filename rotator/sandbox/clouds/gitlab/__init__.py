"""GitLab: deploy tokens and access tokens, and what its container registry takes them for."""
