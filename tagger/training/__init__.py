"""A Kedro project inside the package: from tagged pictures to the bundles that the app serves.

Nothing that serves imports this. The packages it needs are in ``requirements-train.txt``.
"""
