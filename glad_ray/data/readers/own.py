"""A user's own images, in class folders or in files of Hugging Face's `datasets`."""

from glad_ray.data.parts import Part, class_part, hugging_face_part
from glad_ray.spec.datasets.folder import class_folders, folder_root, images_in
from glad_ray.spec.datasets.hugging_face import hugging_face_files


def folder_parts(name: str) -> list[Part]:
    """The images of every class of `folder:PATH`; raises `DataError`."""
    return [
        class_part(split, label, images_in(folder))
        for split, folders in class_folders(folder_root(name)).items()
        for label, folder in enumerate(folders)
    ]


def hugging_face_parts(name: str) -> list[Part]:
    """The images of every file of `hf:PATH`; raises `DataError`."""
    files = hugging_face_files(name)
    parts = [hugging_face_part(split, path, files) for split, paths in files.splits.items() for path in paths]
    return [part for part in parts if part.count]
