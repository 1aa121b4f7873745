"""Sends folders of series through detection as time went by, and scores what it told: `make nab`."""
