"""What the program shows of itself while it works: metrics for a scraper, logs for people and machines."""
