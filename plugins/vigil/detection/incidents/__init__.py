"""Incidents: which anomalous windows belong together, how grave they are, and who is to be spared."""
