"""Event counts: exported from the database, described by features."""
