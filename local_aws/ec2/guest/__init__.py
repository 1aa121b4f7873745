"""What runs inside an instance, with nothing but the standard library: its boot, its init, its commands."""
