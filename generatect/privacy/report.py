"""Everything that an audit has to say, and its form as JSON and as a table of all generated volumes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generatect.data.safe_csv import write_csv
from generatect.evaluation.result import software_versions
from generatect.files import atomic_path
from generatect.privacy.folder import AuditedFolder
from generatect.privacy.proportion import Proportion
from generatect.privacy.study import Findings
from generatect.privacy.verdict import conclude

FORMAT = "generatect.audit/1"
CORRELATION = ("correlation", "correlation p")


@dataclass(frozen=True)
class AuditReport:
    """An audit.

    Attributes:
        train: folder of the training volumes.
        generated: folder of the generated volumes.
        heldout: folder of the held-out volumes.
        findings: what was measured.
        embedding: what was compared.
        weights_sha256: of the tokenizer's file.
        notices: what must be said of the weights or the folders.
        versions: of the software.
    """

    train: AuditedFolder
    generated: AuditedFolder
    heldout: AuditedFolder
    findings: Findings
    embedding: str
    weights_sha256: str
    notices: Sequence[str]
    versions: Mapping[str, str] = field(default_factory=software_versions)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        findings, verdict = self.findings, conclude(self.findings)
        member = findings.membership
        return {
            "format": FORMAT,
            "verdict": {"kind": verdict.kind, "title": verdict.title, "reason": verdict.reason},
            "false_positive_rate": findings.rate,
            "copies": {
                **_plain(findings.flagged),
                "num_confirmed": findings.num_confirmed,
                "threshold": findings.threshold,
                "chance": findings.chance,
            },
            "planted": _plain(findings.planted),
            "membership": {
                "auroc": member.auroc,
                "interval": list(member.interval),
                "control": member.control,
                "control_interval": list(member.control_interval),
            },
            "embedding": {
                "name": self.embedding,
                "weights_sha256": self.weights_sha256,
                "num_components": findings.num_components,
            },
            "folders": {folder.setting: _folder(folder) for folder in (self.train, self.generated, self.heldout)},
            "notices": list(self.notices),
            "versions": dict(self.versions),
            "heldout_scores": [round(float(score), 6) for score in findings.heldout_scores],
        }


def write_json(report: AuditReport, path: Path) -> None:
    """Writes the audit, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_matches(report: AuditReport, path: Path) -> None:
    """Writes a row for each generated volume, the nearest to a training volume first."""
    header = ("generated", "nearest training volume", "flagged", "confirmed", "score", "p", *CORRELATION)
    rows = [
        (
            match.generated.name,
            match.train.name,
            int(match.is_flagged),
            int(match.is_confirmed),
            *(f"{value:.4g}" for value in (match.score, match.p_value, match.correlation, match.correlation_p)),
        )
        for match in report.findings.matches
    ]
    write_csv(path, header, rows)


def _plain(share: Proportion) -> dict[str, Any]:
    return {"count": share.count, "num": share.num, "value": share.value, "interval": list(share.interval)}


def _folder(folder: AuditedFolder) -> dict[str, Any]:
    patients = len(set(folder.patients)) if folder.table else None
    return {"folder": str(folder.folder), "num": len(folder), "num_patients": patients, "files_sha256": folder.sha256}
