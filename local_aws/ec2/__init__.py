"""EC2 instances that run: a script in namespaces of its own, its states, and what it said."""
