"""Go's text/template (https://pkg.go.dev/text/template): a parser and a compiler to Python closures."""
