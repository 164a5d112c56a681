import pytest

from gatekeeper.errors import Invalid
from gatekeeper.licensing.fields import MAX_ANSWER_CHARS, FieldKind
from gatekeeper.licensing.forms import Form

FORM = Form.parse(
    {
        "Institution": "text",
        "Country": "country",
        "Born": "date_picker",
        "Use": {"type": "select", "options": ["Research", {"label": "Something else", "value": "other"}]},
        "I agree": "checkbox",
    }
)
GOOD = {"Institution": " ACME ", "Country": "de", "Born": "1990-02-28", "Use": "Something else", "I agree": "on"}


def test_good_answers_take_their_stored_form() -> None:
    assert FORM.problems == ()
    assert FORM.validate(GOOD) == {
        "Institution": "ACME",
        "Country": "DE",
        "Born": "1990-02-28",
        "Use": "other",
        "I agree": True,
    }


@pytest.mark.parametrize(
    ("name", "answer", "says"),
    [
        ("Institution", None, "missing"),
        ("Institution", "   ", "missing"),
        ("Institution", "x" * (MAX_ANSWER_CHARS + 1), "2,001 characters"),
        ("Institution", 7, "must be text, not int"),
        ("Institution", ["ACME"], "takes one answer"),
        ("Institution", "a\x00b", "control characters"),
        ("Country", "Atlantis", "two-letter"),
        ("Born", "28.02.1990", "2026-01-31"),
        ("Born", "1990-02-30", "2026-01-31"),
        ("Use", "Fun", "Research, Something else"),
        ("I agree", False, "must be ticked"),
        ("I agree", None, "must be ticked"),
        ("I agree", "perhaps", "send true"),
        ("I agree", 1, "send true"),
    ],
)
def test_bad_answer_names_its_question(name: str, answer: object, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        FORM.validate(GOOD | {name: answer})
    assert refused.value.status == 422
    assert list(refused.value.details["fields"]) == [name]
    assert says in refused.value.details["fields"][name]
    assert refused.value.next_step


def test_every_wrong_question_is_named_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        FORM.validate({"Country": "DE", "Born": "1990-02-28", "Favourite color": "blue"})
    assert set(refused.value.details["fields"]) == {"Institution", "Use", "I agree", "Favourite color"}


@pytest.mark.parametrize("answers", [None, [], "text", 3])
def test_answers_that_are_no_mapping_are_refused(answers: object) -> None:
    with pytest.raises(Invalid):
        FORM.validate(answers)


def test_country_is_found_by_name_too() -> None:
    assert Form.parse({"Where": "country"}).validate({"Where": "germany"}) == {"Where": "DE"}


def test_form_survives_storage() -> None:
    assert Form.from_json(FORM.as_json()) == FORM
    assert Form.from_json({}) == Form()


@pytest.mark.parametrize(
    ("card", "says"),
    [
        ("text", "must map"),
        ({"A": "essay"}, "is not one of"),
        ({"A": {"type": "select"}}, "needs options"),
        ({"A": None}, "is not one of"),
        ({f"Q{number}": "text" for number in range(60)}, "60 questions"),
    ],
)
def test_what_a_card_says_wrongly_is_a_problem_and_still_asked(card: object, says: str) -> None:
    form = Form.parse(card)
    assert any(says in problem for problem in form.problems)
    assert all(field.kind is FieldKind.TEXT for field in form.fields)


def test_questions_are_part_of_the_digest() -> None:
    assert Form.parse({"A": "text"}).sha256 != Form.parse({"A": "checkbox"}).sha256
    assert Form.parse({"A": "text", "B": "text"}).sha256 != Form.parse({"B": "text", "A": "text"}).sha256
