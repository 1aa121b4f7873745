"""What a deployment consists of: CloudFormation templates, the package, and what brings them about."""
