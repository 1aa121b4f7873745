"""From this checkout to an account: the CloudFormation templates, and what builds, uploads and removes."""
