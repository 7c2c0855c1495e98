import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata.errors import InvalidInputError
from metadata.search import KEY, Condition, Operator, parse_condition

keys = st.from_regex(KEY, fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)
numbers = st.integers().map(str) | st.floats(allow_nan=False, allow_infinity=False).map(repr)
equalities = st.sampled_from([Operator.EQUAL, Operator.NOT_EQUAL, Operator.CONTAINS])


@given(keys, equalities, texts)
def test_a_text_survives_being_written_and_read(key: str, operator: Operator, text: str):
    condition = Condition(key=key, operator=operator, text=text)
    assert parse_condition(str(condition)) == condition


@given(keys, st.sampled_from(Operator).filter(lambda operator: operator is not Operator.MATCHES), numbers)
def test_a_number_survives_being_written_and_read(key: str, operator: Operator, number: str):
    condition = Condition(key=key, operator=operator, text=number, number=float(number))
    assert parse_condition(str(condition)) == condition


@given(st.text())
def test_any_text_is_a_condition_or_an_invalid_input(text: str):
    try:
        condition = parse_condition(text)
    except InvalidInputError as refusal:
        position = refusal.position
    else:
        assert parse_condition(str(condition)) == condition
        return
    assert position is not None
    assert 1 <= position.column <= len(text) + 1


@pytest.mark.parametrize(
    ("text", "key", "operator", "value", "number"),
    [
        ("patient=4", "patient", "=", "4", 4.0),
        ("mpp<0.3", "mpp", "<", "0.3", 0.3),
        (" mpp >= .25 ", "mpp", ">=", ".25", 0.25),
        ("mpp<=-1e-3", "mpp", "<=", "-1e-3", -0.001),
        ("patient=004", "patient", "=", "004", 4.0),
        ('patient="004"', "patient", "=", "004", None),
        ("stain!=HE", "stain", "!=", "HE", None),
        ("name~patient_00.*", "name", "~", "patient_00.*", None),
        ("name~4", "name", "~", "4", None),
        ("note=a = b", "note", "=", "a = b", None),
        ('note=""', "note", "=", "", None),
        (r'note="a\"b"', "note", "=", 'a"b', None),
        ("organs contains breast", "organs", "@", "breast", None),
        ("organs@lymph node", "organs", "@", "lymph node", None),
        ("contains contains contains", "contains", "@", "contains", None),
        ("hospital.city=Kraków", "hospital.city", "=", "Kraków", None),
        ("x=1e999", "x", "=", "1e999", None),
    ],
)
def test_conditions_are_read_as_they_are_meant(text: str, key: str, operator: str, value: str, number: float | None):
    expected = Condition(key=key, operator=Operator(operator), text=value, number=number)
    assert parse_condition(text) == expected


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("", 1, "name an attribute first"),
        ("=4", 1, "name an attribute first"),
        ("4=4", 1, "name an attribute first"),
        ("patient", 8, "after patient comes one of = != < <= > >= ~"),
        ("patient 4", 8, "after patient comes one of"),
        ("organs containsbreast", 7, "after organs comes one of"),
        ("patient=", 9, "a value is missing after ="),
        ("mpp<abc", 5, "< compares numbers, and abc is none"),
        ('mpp<"4"', 5, "< compares numbers"),
        ('x="abc', 3, "a quoted value ends with a quote"),
        ('x="abc" d', 9, "a quoted value ends with a quote"),
        ("name~a(b", 7, "not a regular expression: missing )"),
        ("name~" + "a" * 201, 6, "may have 200 characters"),
        ("x=a\0", 3, "zero byte"),
        (r'x="\ud800"', 3, "half a character"),
    ],
)
def test_a_wrong_condition_is_refused_with_the_place_and_what_is_allowed(text: str, column: int, problem: str):
    with pytest.raises(InvalidInputError) as refusal:
        parse_condition(text)
    assert refusal.value.message.startswith(f"condition:1:{column}: in ")
    assert problem in refusal.value.message
