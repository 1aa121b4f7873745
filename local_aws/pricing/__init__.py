"""What things cost: the AWS Price List for a few instance types, and the history of their spot prices."""
