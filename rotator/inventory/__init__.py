"""The reading side of the audit: ports in, one estate out. What could not be read is written down."""
