"""The inspection as JSON, for programs."""

import json
import platform
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from generatect import __version__
from generatect.data.inspection.archive import Inspection
from generatect.data.inspection.findings import by_check
from generatect.files import atomic_path

FORMAT = 1
"""Raised when a key changes its meaning or goes."""


def write_json(inspection: Inspection, path: Path) -> None:
    """Writes everything that is known, thumbnails apart."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(as_json(inspection), indent=1) + "\n", encoding="utf-8")


def as_json(inspection: Inspection) -> dict[str, Any]:
    """Plain values: the verdict, checks with their counts, every finding, and the facts of every file."""
    records, voxels = inspection.records, inspection.voxels
    return {
        "format": FORMAT,
        "versions": versions(),
        "training_may_start": inspection.may_start,
        "read": ["tables", "headers"] + ["voxels"] * (voxels is not None),
        "text_encoder_reads": inspection.token_limit,
        "cut_reports": inspection.cut_reports,
        "counts": {
            "volumes": len(records),
            "patients": len({record.patient for record in records}),
            "left_out": len(inspection.left_out),
            "splits": dict(Counter(record.split or "not given" for record in records)),
            "bytes": inspection.num_bytes,
        },
        "checks": {
            check.code: {
                "severity": check.severity,
                "title": check.title,
                "advice": check.advice,
                "count": len(findings),
            }
            for check, findings in by_check(inspection.findings).items()
        },
        "findings": [
            {"code": finding.code, "severity": finding.severity, "name": finding.name, "message": finding.message}
            for finding in inspection.findings
        ],
        "files": [_file(inspection, index) for index in range(len(records))],
    }


def versions() -> dict[str, str]:
    """Of what did the inspection."""
    return {
        "generatect": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
    }


def _file(inspection: Inspection, index: int) -> dict[str, Any]:
    """One file's facts."""
    header = inspection.headers[index].to_json()
    voxels = inspection.voxels[index].to_json() if inspection.voxels is not None else None
    if voxels is not None:
        del voxels["thumbnail"]
    return {"name": inspection.records[index].name, "header": header, "voxels": voxels}
