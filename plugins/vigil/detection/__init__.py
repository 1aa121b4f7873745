"""Detection: sources give events, windows are counted and judged, incidents are told."""
