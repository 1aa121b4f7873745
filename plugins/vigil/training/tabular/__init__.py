"""Files that people drop: read, checked, encoded."""
