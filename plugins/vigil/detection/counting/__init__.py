"""Counting: what sources give is stored, and windows are counted anew whenever something changed in them."""
