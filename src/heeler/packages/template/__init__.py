"""Go's text/template (https://pkg.go.dev/text/template): a parser and a compiler to Python closures.

`values.py` says what values are. A text goes through `lex.py` and `parse.py` to the tree of `nodes.py`, and `compile.py` makes
closures of that, which share what `execution.py` has. `templates.py` is what a caller needs.
"""
