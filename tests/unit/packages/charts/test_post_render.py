"""The annotation that tells which file a document comes from, put into documents and taken out of them again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.indentation import tidied
from heeler.packages.charts.post_render import ANNOTATION, annotated, files_of
from heeler.packages.yaml import read
from heeler.packages.yaml.write import dump

DOCUMENTS = [
    "# head\nkind: A\nmetadata:\n  name: a # why\n  annotations: {x: \"y\", z: 'w'}\ndata:\n  t: |\n    x\n  # foot\n",
    "apiVersion: v1\nkind: A\nmetadata: {name: s}\n",
    "apiVersion: v1\nkind: A\nmetadata:\n  name: a\n  annotations:\n    x: y\n    # z\n    z: w\n",
    "kind: A\nmetadata:\n  annotations:\n    x: |\n      text\n  name: last\nspec: {}\n",
    "kind: A\nspec: {}\n",
    '{"kind": "A", "metadata": {"name": "x"}}\n',
    '{"kind": "A", "metadata": {"annotations": {"x": "y"}}}\n',
    "kind: A\nmetadata:\n  name: 'it''s'\n  annotations:\n    \"x\": ü\n",
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_comes_back_as_it_went(document: str) -> None:
    stream = annotated({"a/b's.yaml": document})
    assert read.parse(stream)["metadata"]["annotations"][ANNOTATION] == "a/b's.yaml"
    assert files_of(stream) == {"a/b's.yaml": document}


@pytest.mark.parametrize("document", ["kind: A\nmetadata:\n", "kind: A\nmetadata:\n  annotations: ~\n  name: x\n"])
def test_what_is_null_may_go(document: str) -> None:
    (found,) = files_of(annotated({"f": document})).values()
    metadata = read.parse(found).get("metadata") or {}
    assert metadata.get("annotations") is None and metadata.get("name") == (
        (read.parse(document)["metadata"] or {}).get("name")
    )


def test_a_document_too_odd_for_that_is_written_anew() -> None:
    document = "kind: A\nmetadata:\n  labels: &l\n    a: b\n  annotations: *l\n"
    assert files_of(annotated({"f": document})) == {
        "f": "kind: A\nmetadata:\n  annotations:\n    a: b\n  labels:\n    a: b\n"
    }


WIDE = """\
kind: A # why
metadata:
    name: a
data:
    # about it
    text: |
        text
          more

        end
    list:
        - 1
        -   2
        - a: b
          e:
              - f
              # g
              - g: h
                i: >-
                    text
    flow: [a, "b",
      'c']
    # foot
"""
TIDY = """\
kind: A # why
metadata:
  name: a
data:
  # about it
  text: |
    text
      more

    end
  list:
  - 1
  - 2
  - a: b
    e:
    - f
    # g
    - g: h
      i: >-
        text
  flow: [a, "b",
    'c']
  # foot
"""


def test_indentation_is_helm_s() -> None:
    assert read.parse(WIDE) == read.parse(TIDY)
    assert tidied(WIDE) == TIDY and tidied(TIDY) == TIDY
    assert files_of(annotated({"f": WIDE})) == {"f": TIDY}


@pytest.mark.parametrize(
    "text",
    [
        "kind: A\nlist:\n  - - a\n    - b\n",
        "kind: A\ntext: |4\n      deep\n",
        "kind: A\n? x\n: y\n",
        "kind: A\nx: 'a\n\n  b'\n",
        "{kind: A}\n",
        "- a\n",
        "a: [\n",
        "",
    ],
)
def test_what_is_too_odd_to_be_moved_stays(text: str) -> None:
    assert tidied(text) == text


def test_files_and_documents_keep_their_order() -> None:
    files = {"b": "kind: B\n", "a": "kind: A1\n---\n# nothing\n---\nkind: A2\n"}
    stream = annotated(files)
    assert [read.parse(one)["kind"] for one in stream.split("---\n")] == ["A1", "A2", "B"]
    assert files_of(stream) == {"a": "kind: A1\n---\nkind: A2\n", "b": "kind: B\n"}


def test_what_is_new_or_listed_is_numbered() -> None:
    stream = "kind: A\n---\nkind: List\nitems:\n- kind: B\n- kind: C\n"
    assert list(files_of(stream)) == [f"generated-by-postrender-{number}.yaml" for number in range(3)]


def test_what_is_no_map_is_refused() -> None:
    with pytest.raises(ChartError) as error:
        annotated({"f": "- a\n"})
    assert str(error.value) == (
        "error merging manifests: parsing f: wrong node kind: expected MappingNode but got SequenceNode: "
        "node contents:\n- a\n"
    )


_TEXTS = st.text(alphabet="ab:'\"#-{}[],&*!|>%@` \n\tü0y~", max_size=12)
_VALUES = st.recursive(
    _TEXTS | st.booleans() | st.integers(-9, 9) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(_TEXTS.filter(lambda key: key != "items"), _VALUES, max_size=3),
    st.dictionaries(_TEXTS, _TEXTS, min_size=1, max_size=3),
)
def test_any_document_means_the_same_afterwards(rest: dict[str, object], annotations: dict[str, str]) -> None:
    value = {**rest, "kind": "A", "metadata": {"name": "x", "annotations": annotations}}
    (found,) = files_of(annotated({"f": dump(value)})).values()
    assert read.parse(found) == read.parse(dump(value))
