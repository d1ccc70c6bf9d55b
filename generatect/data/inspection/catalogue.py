"""What can be found in an archive, how grave it is, and what to do about it."""

from dataclasses import dataclass

ERROR, WARNING, INFO = "error", "warning", "info"
SEVERITIES = (ERROR, WARNING, INFO)
"""Gravest first. Training may start in spite of warnings, not of errors."""


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of finding.

    Attributes:
        code: its name in reports.
        severity: one of `SEVERITIES`.
        title: what it is, in a few words.
        advice: what it means and what to do.
        of_file: the file cannot be read, so `data.on_bad=skip` leaves it out; False: skipping mends nothing.
    """

    code: str
    severity: str
    title: str
    advice: str
    of_file: bool = True


CATALOGUE = (
    # tables
    Check(
        "patient-in-both-splits",
        ERROR,
        "Patient in training and validation",
        "Numbers measured on such a split flatter the model. Move all scans of a patient to one side.",
        of_file=False,
    ),
    Check("left-out", WARNING, "Left out", "The archive names these volumes, and they cannot be used; see the reason."),
    Check("no-report", WARNING, "Left out: no report", "Add a report to the table, or remove the volume."),
    Check("left-out-expected", INFO, "Left out on purpose", "The archive itself lists them. Nothing to do."),
    Check("report-empty", WARNING, "Report without words", "The model learns nothing from it. Complete the report."),
    Check("report-short", WARNING, "Very short report", "Fewer than five words. Make sure that it was not cut off."),
    Check(
        "report-long",
        WARNING,
        "Report longer than the text encoder reads",
        "Its end is cut off. Raise text_encoder.encoder.max_tokens, up to 512, or train on the impression alone.",
    ),
    Check(
        "report-script",
        WARNING,
        "Report in letters that the text encoder hardly knows",
        "T5 read English; hashed_words takes what no space divides for one word. Translate the reports.",
    ),
    Check(
        "report-shared",
        INFO,
        "Same report for several patients",
        "Usual for normal findings. Where it is not, rows of the table were mixed up.",
    ),
    Check(
        "report-everywhere",
        WARNING,
        "One report for a large part of the archive",
        "A template, or the wrong column. Check data.text_column and the table.",
    ),
    Check(
        "label-constant",
        WARNING,
        "Label that never changes",
        "Nothing can be learned or measured by it. Check the table of labels.",
    ),
    Check(
        "label-against-report",
        WARNING,
        "Label contradicts the report",
        "The report says the opposite in so many words. Read both and correct one.",
    ),
    # headers
    Check(
        "header-refused",
        ERROR,
        "Cannot be read: header",
        "Repair or replace the file, or leave it out with data.on_bad=skip.",
    ),
    Check(
        "duplicate-across-splits",
        ERROR,
        "Same volume in training and validation",
        "Numbers measured on it flatter the model. Keep one of the two, or give both one patient.",
        of_file=False,
    ),
    Check(
        "duplicate-patients",
        WARNING,
        "Same volume under two patients",
        "A drawn split may part them, and then training does not start. Keep one of the two, or give both one patient.",
        of_file=False,
    ),
    Check("duplicate-file", WARNING, "Same file twice", "It counts double, or one of the two has a wrong report."),
    Check(
        "duplicate-volume",
        WARNING,
        "Same voxels in two files",
        "Stored differently, yet the same scan: it counts double, or one of the two has a wrong report.",
    ),
    Check(
        "double-rescaling-risk",
        WARNING,
        "Would be scaled twice by other programs",
        "The header scales values that are HU already, or the table gives another scaling. Here each file is scaled "
        "once, as its values tell (voxels=true shows how); correct the headers for other programs.",
    ),
    Check(
        "spacing-differs",
        WARNING,
        "Header and table disagree on spacing",
        "The table's spacing is used. Correct the headers if other programs read these files.",
    ),
    Check(
        "spacing-default",
        WARNING,
        "Spacing looks like a placeholder",
        "Exactly 1 mm, with a size that no chest has then. Take the spacing from the scanner's data.",
    ),
    Check("z-spacing", WARNING, "Unusual slice spacing", "Below 0.3 mm or above 5 mm. Check it, or leave these out."),
    Check("in-plane-spacing", WARNING, "Unusual pixel size", "Below 0.3 mm or above 3 mm. Check it."),
    Check("spacing-outlier", INFO, "Spacing far from the others", "Allowed, but unlike the rest of this archive."),
    Check(
        "z-extent",
        WARNING,
        "Height that is no chest's",
        "Less than 150 mm or more than 600 mm from the first slice to the last: part of a chest, or more than one.",
    ),
    Check(
        "field-of-view",
        WARNING,
        "Field of view that is no chest's",
        "Less than 200 mm or more than 700 mm across: a crop, or a wrong pixel size.",
    ),
    Check(
        "oblique",
        WARNING,
        "Axes far from the patient's",
        "More than 10° from upright. The model sees the patient tilted by as much.",
    ),
    Check(
        "sheared",
        ERROR,
        "Axes not at right angles",
        "A tilted gantry's slices, which would lean on the model's grid. Straighten them first, as dcm2niix does.",
    ),
    Check("axis-order", INFO, "Slices not on the third axis", "Allowed; the volume is reordered by its affine."),
    Check("narrow-type", WARNING, "8-bit voxels", "256 values cannot hold the Hounsfield scale. Export the CT again."),
    Check("wide-type", INFO, "Voxels wider than 16 bit", "Allowed; it takes more room and time than int16."),
    # voxels
    Check(
        "damaged-file",
        ERROR,
        "Truncated, or its checksum is wrong",
        "Copy or download the file again; leave it out with data.on_bad=skip.",
    ),
    Check("constant", ERROR, "Every voxel the same", "An empty file. Export it again, or leave it out."),
    Check(
        "hu-undecided",
        ERROR,
        "Hounsfield units cannot be told",
        "Give the slope and intercept in the table or the header, or set data.hu_policy.",
    ),
    Check("unreadable", ERROR, "Cannot be read", "Repair or replace the file, or leave it out with data.on_bad=skip."),
    Check(
        "double-rescaling",
        ERROR,
        "Scaled twice",
        "Tissue lies near -1000 HU and air near -2000. Set the header's slope to 1 and its intercept to 0.",
        of_file=False,  # it can be read, so nothing skips it; likewise the next ones
    ),
    Check(
        "never-rescaled",
        ERROR,
        "Never scaled",
        "Tissue lies near +1000 HU and there is no air. Give the intercept, often -1024, in the header or the table.",
        of_file=False,
    ),
    Check(
        "hu-ambiguous",
        WARNING,
        "Two scalings would both give a CT",
        "The first was taken. Find out which holds, and set data.hu_policy or correct the header.",
    ),
    Check(
        "no-body",
        ERROR,
        "No body found",
        "Less than 3 litres of connected tissue. Not a CT of a trunk; take it out of the table.",
        of_file=False,
    ),
    Check(
        "no-lungs",
        ERROR,
        "No lungs found",
        "Less than 0.4 or more than 12 litres of aerated lung in the body. Likely no chest; take it out of the table.",
        of_file=False,
    ),
    Check(
        "far-above",
        ERROR,
        "Values far above any CT",
        "More than a hundredth of the voxels above 10,000 HU, which metal never fills: likely padding, such as -2000, "
        "read as unsigned. The model would see a white ring. Write air there, or store signed values.",
        of_file=False,
    ),
    Check("clipped", INFO, "HU cut off", "Many voxels share the highest value, so denser matter looks the same."),
)
CHECKS = {check.code: check for check in CATALOGUE}
