"""GitHub: personal access tokens, as a person makes them, and what its API tells of one."""
