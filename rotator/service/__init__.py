"""The long-running side: what one run does, when runs happen, and the page that shows their state."""
