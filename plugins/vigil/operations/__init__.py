"""What operators need to see of a running system: a few figures, measured every minute."""
