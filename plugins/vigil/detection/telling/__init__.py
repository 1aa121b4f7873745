"""Telling: what becomes of verdicts and of silence in incidents, and the words in which people hear of it."""
