"""CloudFormation as the cloud has it: stacks that create, update, roll back and delete real resources.

Moto reads templates and answers the calls. What a stack does is ours: the types that the project's templates
use are made through the services' own APIs, so that every property is honoured, and a type that nobody knows
is refused.
"""
