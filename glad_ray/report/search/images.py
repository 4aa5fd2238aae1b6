"""The newest synthetic images of a trial, which may have been stopped on its way."""

from glad_ray.report.pictures import Picture, read_picture, read_set_picture
from glad_ray.results import SearchTrial
from glad_ray.storage import Storage


def newest_images(storage: Storage, trial: SearchTrial) -> tuple[Picture, int] | None:
    """Its images after the last step or, of one that is not distilled whole, in the newest set that was kept, and the
    step of that set; None if there is none.

    Raises `DataError` naming a set or a picture that is damaged.
    """
    run_id = trial.run.run_id
    if storage.exists(storage.images_path(run_id)):
        return read_picture(storage, storage.images_path(run_id)), trial.run.steps
    sets = [path for path in storage.list(storage.set_folder(run_id)) if path.endswith(".safetensors")]
    if not sets:
        return None
    newest = max(sets, key=storage.step_of)
    return read_set_picture(storage, newest), storage.step_of(newest)
