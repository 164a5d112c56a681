from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.licensing import Document, between


def text(body: str, title: str = "LICENSE") -> Document:
    return Document(sha256_hex(body.encode()), title, body.encode())


def test_changed_lines_are_shown_with_a_little_around_them() -> None:
    lines = [f"line {number}" for number in range(20)]
    changed = [*lines[:10], "another line", *lines[11:]]
    [one] = between([text("\n".join(lines))], [text("\n".join(changed))]).texts
    assert [(line.kind, line.text) for line in one.lines if line.kind in ("gone", "added")] == [
        ("gone", "line 10"),
        ("added", "another line"),
    ]
    assert [line.text for line in one.lines if line.kind == "skipped"] == ["7 unchanged lines", "6 unchanged lines"]
    assert not one.has_same_words


def test_texts_are_paired_by_title_and_what_is_new_or_gone_is_said() -> None:
    old = [text("Be kind.", "LICENSE"), text("Who are you?", "Conditions"), text("Same.", "Other")]
    new = [text("Be very kind.", "LICENSE"), text("Same.", "Other"), text("More.", "Addendum")]
    found = {one.title: (one.old, one.new) for one in between(old, new).texts}
    assert set(found) == {"LICENSE", "Addendum"}
    assert found["Addendum"][0] is old[1]  # the one that is gone is what the new one stands in the place of
    [gone] = between(old[:2], old[:1]).texts
    assert (gone.old, gone.new) == (old[1], None)


def test_other_quotes_are_told_apart_from_other_words() -> None:
    [one] = between([text("“Model” means  this.")], [text('"Model" means this.')]).texts
    assert one.has_same_words


def test_a_text_too_long_to_compare_is_shown_whole() -> None:
    [one] = between([text("old\n" * 3000)], [text("new\n" * 3000)]).texts
    assert [line.kind for line in one.lines] == ["gone"] * 3000 + ["added"] * 3000


def test_the_digest_names_both_sides() -> None:
    first, second = text("a"), text("b")
    assert between([first], [second]).sha256 != between([second], [first]).sha256
