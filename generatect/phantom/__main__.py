"""`python -m generatect.phantom num=8 output=DIR`: phantoms as files, in the layout of `data=folder`."""

from generatect.config.command import run_command
from generatect.ct.nifti import write_nifti
from generatect.ct.preview import montage
from generatect.data.safe_csv import write_csv
from generatect.files import writable_folder
from generatect.phantom.pairs import PhantomPairs
from generatect.progress import bars


def write_phantoms(*, num: int, seed: int, output: str, noise_hu: float, shape_zyx: list[int]) -> None:
    """Writes NIfTI files, a preview PNG each, and `reports.csv` with their patients, reports and labels.

    Args:
        num: number of scans.
        seed: which series.
        output: folder of the results.
        noise_hu: standard deviation of the noise.
        shape_zyx: voxels along z, y, x over 301.5 × 384 × 384 mm.

    Raises:
        InputError: an impossible setting, or a folder that cannot be written.
    """
    folder = writable_folder(output)
    pairs = PhantomPairs(num=num, seed=seed, noise_hu=noise_hu, native_shape_zyx=shape_zyx)
    rows = []
    with bars() as show:
        for index in range(num):
            volume, name = pairs.volume(index), pairs.name(index)
            write_nifti(folder / f"{name}.nii.gz", volume, description="PHANTOM generatect")
            montage(volume, folder / f"{name}.png", f"{pairs.text(index)}   ·   {pairs.notice}")
            row = {"volume": f"{name}.nii.gz", "patient": pairs.patient(index), "text": pairs.text(index)}
            rows.append({**row, **pairs.labels(index), "notice": pairs.notice})
            show("phantoms", index + 1, num)
    write_csv(folder / "reports.csv", list(rows[0]), [list(row.values()) for row in rows])
    print("wrote", *(folder / row["volume"] for row in rows), folder / "reports.csv")


if __name__ == "__main__":
    run_command("phantom", write_phantoms)
