"""What a deployment consists of: CloudFormation templates, and what brings them about."""
