"""Charts: loading, validation, values, dependencies, schemas, manifests, linting and packaging. Pure but for reading files."""
