"""Watches counts of events, and keeps its model fresh by itself."""
