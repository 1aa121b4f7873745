"""Expectations: what a window is held against - the model, the weeks before - and the rule by which."""
