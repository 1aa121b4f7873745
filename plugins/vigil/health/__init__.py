"""Model health: does the model keep in service what its evaluation promised?"""
