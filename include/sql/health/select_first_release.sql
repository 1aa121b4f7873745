-- Read when a model was released first; bands of thousands of series, which are megabytes, stay where they are.
-- parameters: model
-- columns: released_at (NULL if it never was)
SELECT MIN(released_at) FROM released_models WHERE model = %(model)s
