"""Training on one EC2 instance that is certain to end: what it may cost, how it is launched, how it ends."""
