"""How much a writer is warned of, as kube-apiserver 1.37 answers it."""

from heeler.apiserver.warnings import Warnings


def shown(*texts: str) -> list[str]:
    found = Warnings()
    for text in texts:
        found.add(text)
    return list(found)


def test_each_text_comes_once_and_in_order() -> None:
    assert shown("b", "a", "b", "") == ["b", "a"]


def test_long_texts_are_whole_while_there_is_room() -> None:
    assert shown("x" * 3000, "y" * 1096) == ["x" * 3000, "y" * 1096]


def test_all_are_cut_when_there_are_too_many_characters() -> None:
    assert shown("x" * 3000, "y" * 2000, "z", "w" * 300) == ["x" * 256, "y" * 256, "z", "w" * 256]


def test_what_does_not_fit_cut_is_left_out() -> None:
    found = shown(*(f"{i:0300}" for i in range(100_000)))
    assert len(found) == 16
    assert {len(text) for text in found} == {256}
