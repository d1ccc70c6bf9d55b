"""What tables alone show."""

from pathlib import Path

import pytest

from generatect.data.inspection.report_length import token_counter
from generatect.data.inspection.table_checks import check_tables
from generatect.data.manifest import LeftOut, Manifest, Record
from generatect.text.reading import read_up_to

REPORT = "The lungs are clear and the heart is of normal size."


def record(name: str, text: str = "", **fields) -> Record:
    return Record(name, Path(name), fields.pop("patient", f"patient of {name}"), text or f"{REPORT} {name}.", **fields)


def codes(records: list[Record], left_out: list[LeftOut] | None = None, counter=None) -> list[tuple[str, str]]:
    reads = counter and counter.reads([record.text for record in records])
    return [(f.code, f.name) for f in check_tables(Manifest(records, left_out or []), reads)]


def test_nothing_is_found_in_a_sound_table():
    assert codes([record("a", split="train"), record("b", split="val"), record("c", labels={"Emphysema": 1})]) == []


def test_left_out_volumes_by_reason():
    left_out = [LeftOut("a", "no report"), LeftOut("b", "no file"), LeftOut("c", "not a chest (list.txt)", True)]
    assert codes([], left_out) == [("no-report", "a"), ("left-out", "b"), ("left-out-expected", "c")]


def test_a_patient_on_both_sides_is_named_once_at_the_smaller_side():
    sides = ["train", "train", "val", "train"]
    records = [record(str(i), patient="p" if i < 3 else "q", split=side) for i, side in enumerate(sides)]
    (finding,) = check_tables(Manifest(records))
    assert (finding.code, finding.severity, finding.name) == ("patient-in-both-splits", "error", "2")
    assert "2 in train and 1 in val" in finding.message
    assert "'p'" not in finding.message


@pytest.mark.parametrize(("text", "code"), [("...", "report-empty"), ("Normal.", "report-short")])
def test_reports_that_say_little(text, code):
    assert codes([record("a", text)]) == [(code, "a")]


def test_reports_longer_than_the_encoder_reads():
    counter = token_counter({"kind": "hashed_words", "max_tokens": 12})
    assert counter.how == "words and full stops, exactly"
    assert codes([record("a", "word " * 12), record("b", "word " * 13)], counter=counter) == [("report-long", "b")]
    assert codes([record("b", "word " * 13)]) == []


@pytest.mark.parametrize(
    "text", ["两肺未见明显异常，心影不大。", "Органы грудной клетки без патологии. CT.", "胸部ＣＴ、異常なし。"]
)
def test_reports_in_another_script(text):
    assert codes([record("a", text)]) == [("report-script", "a")]
    assert codes([record("a", "Größe regelrecht, kein Erguß, keine Rundherde, Übriges o. B. (α 3 µm)")]) == []


def test_t5_without_its_tokenizer_is_estimated(tmp_path):
    counter = token_counter({"kind": "t5", "name_or_path": str(tmp_path), "max_tokens": 130})
    assert "estimate" in counter.how
    assert counter.count(["word " * 100]) == [counter.max_tokens] == [130]


def test_texts_that_several_patients_share():
    records = [record("a", REPORT), record("b", REPORT.upper().replace(" ", "\n")), record("c", REPORT, patient="x")]
    (finding,) = check_tables(Manifest(records))
    assert (finding.code, finding.severity) == ("report-shared", "info")
    assert "3 volumes of 3 patients" in finding.message
    assert codes([record("a", REPORT, patient="p"), record("b", REPORT, patient="p")]) == []
    assert codes([record(str(i), REPORT) for i in range(30)]) == [("report-everywhere", "0")]


def test_labels_that_never_change():
    records = [record(str(i), labels={"constant": 0, "Emphysema": i % 2}) for i in range(20)]
    assert codes(records) == [("label-constant", "constant")]
    assert codes(records[:19]) == []


def test_labels_that_the_report_contradicts_are_named_and_the_report_is_not():
    text = "Zqsecret words. No pleural effusion is seen here."
    (finding,) = check_tables(Manifest([record("a", text, labels={"Pleural effusion": 1, "Emphysema": 0})]))
    assert (finding.code, finding.name) == ("label-against-report", "a")
    assert "Pleural effusion is 1" in finding.message
    assert "Zqsecret" not in finding.message


def test_no_finding_quotes_a_report():
    secret = "Zqsecret"
    texts = [secret, f"{secret} " * 9, f"{secret} {REPORT}", f"{secret} {REPORT}"]
    reads = read_up_to(3, [len(text.split()) for text in texts])
    findings = check_tables(Manifest([record(str(i), text) for i, text in enumerate(texts)]), reads)
    assert len(findings) >= 3
    assert not any(secret in finding.message for finding in findings)
