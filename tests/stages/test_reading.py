"""A stage that does not read its reports to the end says so."""

from generatect.ct.preset import PhysicalPreset
from generatect.data.ctvit_data import CTViTData
from generatect.phantom.pairs import PhantomPairs
from generatect.stages.reading import line_on_reports
from generatect.text.conditioner import build_conditioner


def test_reports_longer_than_what_is_read_are_counted():
    pairs = PhantomPairs(num=30, native_shape_zyx=(8, 16, 16))
    data = CTViTData(pairs=pairs, preset=PhysicalPreset(num_slices=5, size=16, upscaled_size=32), max_val_items=1)
    used = [*data.train_indices, *data.val_indices]
    lengths = [len(pairs.text(index).replace(",", " ,").replace(".", " .").replace(":", "").split()) for index in used]
    limit = sorted(lengths)[10]

    def line(max_tokens: int) -> str | None:
        encoder = {"kind": "hashed_words", "width": 2, "max_tokens": max_tokens}
        return line_on_reports({"text": build_conditioner({"encoder": encoder})}, data)

    said = line(limit)
    assert said is not None
    assert said.startswith(
        f"{sum(length > limit for length in lengths)} of {len(used)} reports are longer than the {limit}"
    )
    assert f"longest {max(lengths)}): their ends are not learned; " in said
    assert line(max(lengths)) is None
    assert line_on_reports({}, data) is None  # a stage that reads no text
