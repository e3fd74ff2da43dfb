"""The API of the generation before: ``session``, ``tensor``, ``errors``, ``envs`` and their like offer it."""
