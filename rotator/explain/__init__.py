"""Can this group pull its images, and why? Pure: what was read, and what was tried, become sentences."""
