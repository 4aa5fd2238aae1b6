"""The page of a generator that was trained here: its card and samples, on one page that needs nothing but itself."""

from glad_ray.errors import UserError
from glad_ray.report.pictures import read_picture
from glad_ray.report.rendering import render
from glad_ray.results.generator_card import GeneratorCard
from glad_ray.spec.record import field_paths, value_at
from glad_ray.storage import Storage


def write_generator_page(storage: Storage, card: GeneratorCard) -> str:
    """Write the page of a card from what is on storage; returns its path there.

    Raises `DataError` naming a picture that is missing or damaged, `UserError` if the page cannot be written.
    """
    identity = card.training.stored_id
    path = storage.generator_page_path(identity)
    pictures = [
        (scores.source, read_picture(storage, storage.generator_samples_path(identity, scores.source)))
        for scores in card.scores
    ]
    page = render("generator.html.j2", {"card": card, "pictures": pictures, "recipe": _recipe(card)})
    try:
        storage.write_bytes(path, page.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UserError(f"The page cannot be written to {storage}/{path}: {error.strerror or error}.") from error
    return path


def _recipe(card: GeneratorCard) -> list[tuple[str, str]]:
    """The fields of the training that are not records themselves, as text."""
    training = card.training
    records = ("shape", "scorer")
    return [(name, str(value_at(training, name))) for name in field_paths(training) if name not in records]
