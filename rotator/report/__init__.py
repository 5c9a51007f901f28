"""What an audit and a rotation found, as one document: built here without I/O, and rendered as a page or as JSON."""
