"""The published prompt."""

import pytest

from generatect.text.prompt import clean_prompt, published_prompt


def test_template():
    assert published_prompt(impression="No nodule.", age="045Y", sex="M") == "45 years old male: No nodule."


def test_missing_values_are_spelled_none():
    assert published_prompt(impression="Effusion.") == "None years old None: Effusion."
    assert published_prompt(impression="Effusion.", age="", sex="") == "None years old None: Effusion."


@pytest.mark.parametrize("sex", ["O", "o", "other"])
def test_dicom_s_third_code_stays_as_the_release_left_it(sex):
    assert published_prompt(impression=" Effusion. ", age="061Y", sex=sex) == "61 years old O:  Effusion. "


def test_what_is_no_code_of_a_sex_might_be_a_name():
    assert published_prompt(impression="Effusion.", sex="SMITH") == "None years old None: Effusion."


def test_characters_that_go():
    assert clean_prompt("""a "nodule" (5 mm), patient's""") == "a nodule 5 mm, patients"


@pytest.mark.parametrize(
    ("age", "years"),
    [("045Y", "45"), ("102Y", "102"), ("009M", "00"), ("018M", "01"), (7, "07"), ("63", "63"), ("x", "None")],
)
def test_ages(age, years):
    assert published_prompt(impression="-", age=age, sex="female") == f"{years} years old female: -"


def test_years_as_a_number_are_written_like_those_of_a_header():
    assert published_prompt(impression="-", age=45.0, sex="male") == published_prompt(
        impression="-", age="045Y", sex="M"
    )
    assert published_prompt(impression="-", age=0.75) == "00 years old None: -"
