"""`python -m generatect.audit train=DIR generated=DIR heldout=DIR`: does a model make copies of its training set?"""

from rich.console import Console

from generatect.checkpoints.rebuild import rebuild_network, rebuild_preset
from generatect.checkpoints.stage_file import StageFile
from generatect.checkpoints.weights import find_weights
from generatect.config.command import run_command
from generatect.ct.scan import Reading
from generatect.data.cache import ArrayCache
from generatect.errors import InputError
from generatect.evaluation.folder_prompts import one_set_of_weights, read_sidecars
from generatect.evaluation.terminal import TABLE_WIDTH
from generatect.files import atomic_path, writable_folder
from generatect.placement import pick_device
from generatect.privacy.embedded import Embedder
from generatect.privacy.embedding import TokenizerEmbedding
from generatect.privacy.folder import AuditedFolder, read_audited
from generatect.privacy.page import write_page
from generatect.privacy.pictures import closest, films_of, write_sheet
from generatect.privacy.report import AuditReport, write_json, write_matches
from generatect.privacy.requirements import require_auditable
from generatect.privacy.section import privacy_section
from generatect.privacy.study import examine
from generatect.privacy.terminal import show_findings
from generatect.progress import bars
from generatect.synthesis.audited import keep_audit, require_dataset


def audit(
    *,
    train: str,
    generated: str,
    heldout: str,
    output: str,
    weights: str | dict[str, str],
    false_positive_rate: float,
    num_pairs: int,
    card: bool,
    hu_policy: str,
    assume_axes: str | None,
    device: str,
    cache_dir: str,
) -> None:
    """Compares generated volumes with those that trained their model; prints the findings and writes them.

    `audit.json` holds the numbers, `matches.csv` every generated volume, `audit.html` and `pairs.png` the closest pairs
    with pictures of real scans, `privacy.md` a section for a card, without names or pictures.

    Args:
        train: folder of the training volumes.
        generated: folder of the generated volumes.
        heldout: folder of real volumes that the model never saw, of the same kind as the training volumes.
        output: folder of the results.
        weights: whose tokenizer compares; see `find_weights`.
        false_positive_rate: share of an honest generator's volumes that may be flagged.
        num_pairs: pairs to show.
        card: put the section into the card of the generated dataset, too.
        hu_policy: how stored values become HU; for this and the next see `Reading`.
        assume_axes: axes of files that state none.
        device: auto, cpu, cuda, ….
        cache_dir: features are kept below it.

    Raises:
        InputError: whatever of this cannot be used.
    """
    if num_pairs < 1:
        raise InputError(f"num_pairs={num_pairs}: expected at least 1")
    reading = Reading(hu_policy, assume_axes)
    folders = [
        read_audited(folder, setting)
        for folder, setting in ((train, "train"), (generated, "generated"), (heldout, "heldout"))
    ]
    seen, made, unseen = folders
    require_auditable(seen, made, unseen, false_positive_rate)
    if card:
        require_dataset(made.folder, "generated")
    where = writable_folder(output)
    file = find_weights(weights, "ctvit")
    tokenizer = rebuild_network(file, "ctvit").to(pick_device(device))
    name = weights if isinstance(weights, str) else str(file.path)
    embedding = TokenizerEmbedding(tokenizer, rebuild_preset(file), file.sha256, name)
    embedder = Embedder(embedding, ArrayCache(cache_dir), reading)
    with bars() as show:
        embedder.embed(folders, print, show)
        findings = examine(embedder, seen, made, unseen, false_positive_rate, show)
    report = AuditReport(seen, made, unseen, findings, embedding.name, file.sha256, _notices(file, folders, embedder))
    films = [(match, films_of(embedder, match)) for match in closest(findings.matches, num_pairs)]
    write_json(report, where / "audit.json")
    write_matches(report, where / "matches.csv")
    write_page(report, films, where / "audit.html")
    write_sheet(films, where / "pairs.png")
    with atomic_path(where / "privacy.md") as temporary:
        temporary.write_text(privacy_section(report), encoding="utf-8")
    written = [where / name for name in ("audit.json", "matches.csv", "audit.html", "pairs.png", "privacy.md")]
    if card:
        written += keep_audit(made.folder, privacy_section(report))
    for notice in report.notices:
        print(notice)
    show_findings(findings, Console(width=TABLE_WIDTH))
    print("wrote", *written)


def _notices(file: StageFile, folders: list[AuditedFolder], embedder: Embedder) -> list[str]:
    """What must be said of the weights, the makers of the volumes, tables that are not there, and repeated volumes."""
    notices = [notice] if (notice := file.description.get("notice")) else []
    made = folders[1].folder
    makers = one_set_of_weights(read_sidecars(made), f"generated={made}") or {}
    if makers.get("ctvit", file.sha256) != file.sha256:
        notices.append(
            f"The generated volumes were made with the tokenizer {makers['ctvit'][:12]}…, not with the one that "
            f"compares them, {file.sha256[:12]}…."
        )
    notices += [
        f"{folder.setting} has no table with columns volume and patient: each volume counts as a patient of its own."
        for folder in (folders[0], folders[2])
        if folder.table is None
    ]
    notices += [
        f"{folder.setting}: {repeated} of {len(folder)} volumes hold the image of another one; each is counted."
        for folder in folders
        if (repeated := embedder.num_repeated(folder))
    ]
    return notices


if __name__ == "__main__":
    run_command("audit", audit)
