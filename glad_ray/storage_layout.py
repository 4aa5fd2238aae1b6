"""The names of all files of a storage: no other module makes one up."""

from typing import ClassVar


class StorageLayout:
    """Paths in a storage, relative to it and with forward slashes: `runs/<run_id>/run.json`."""

    PLAN: ClassVar[str] = "plan.json"
    DRIVER: ClassVar[str] = "driver.json"
    REPLICAS: ClassVar[str] = "replicas.json"
    PROFILE: ClassVar[str] = "profile.json"
    RUNS: ClassVar[str] = "runs"
    RESULTS: ClassVar[str] = "results"
    EXPERTS: ClassVar[str] = "experts"
    REPORT: ClassVar[str] = "report/index.html"
    REPORT_TABLE: ClassVar[str] = "report/table.csv"
    REPORT_PUBLISHED: ClassVar[str] = "report/published.csv"
    REPORT_SCORES: ClassVar[str] = "report/scores.csv"
    REPORT_ORDERS: ClassVar[str] = "report/orders.csv"
    REPORT_ORDERS_TEXT: ClassVar[str] = "report/orders.md"
    REPORT_COMPARISON: ClassVar[str] = "report/compare.html"
    REPORT_COMPARISON_TABLE: ClassVar[str] = "report/compare.csv"
    SEARCH: ClassVar[str] = "search/search.json"
    SEARCH_OWNER: ClassVar[str] = "search/owner"
    SEARCH_STUDY: ClassVar[str] = "search/study.journal"
    SEARCH_TRIALS: ClassVar[str] = "search/trials.parquet"
    SEARCH_REFUSED: ClassVar[str] = "search/refused_draws.json"
    REPORT_SEARCH: ClassVar[str] = "report/search.html"
    REPORT_SEARCH_TRIALS: ClassVar[str] = "report/search_trials.csv"

    @staticmethod
    def expert_folder(expert_set_id: str) -> str:
        """The trajectories of a set of experts."""
        return f"experts/{expert_set_id}"

    @staticmethod
    def expert_path(expert_set_id: str, index: int) -> str:
        """Trajectory number `index` of a set of experts."""
        return f"experts/{expert_set_id}/expert-{index:04d}.arrow"

    @staticmethod
    def generator_folder(training_id: str) -> str:
        """Everything that the training of a generator makes."""
        return f"generators/{training_id}"

    @staticmethod
    def generator_training_path(training_id: str) -> str:
        """The `GeneratorTraining` record."""
        return f"generators/{training_id}/training.json"

    @staticmethod
    def generator_checkpoint_path(training_id: str) -> str:
        """All that is needed to go on within the stage that is under way."""
        return f"generators/{training_id}/checkpoint.safetensors"

    @staticmethod
    def generator_stage_path(training_id: str, stage: str) -> str:
        """What a stage has trained, after its last step."""
        return f"generators/{training_id}/stages/{stage}.safetensors"

    @staticmethod
    def generator_samples_path(training_id: str, source: str) -> str:
        """Images as one picture, a row per class: samples of the generator in or after a stage, or what they are to be
        compared with.
        """
        return f"generators/{training_id}/samples/{source.replace(' ', '-')}.png"

    @staticmethod
    def generator_file_path(training_id: str) -> str:
        """The description of the trained generator, with the weights beside it: what runs name."""
        return f"generators/{training_id}/generator.json"

    @staticmethod
    def generator_control_path(training_id: str, source: str) -> str:
        """The description of a generator that the trained one is compared with, with its weights beside it; `source`:
        autoencoder, or random weights.
        """
        return f"generators/{training_id}/controls/{source.replace(' ', '-')}.json"

    @staticmethod
    def generator_card_path(training_id: str) -> str:
        """What the trained generator is: data, recipe, scores, cost."""
        return f"generators/{training_id}/card.json"

    @staticmethod
    def generator_page_path(training_id: str) -> str:
        """The card as a page with samples."""
        return f"generators/{training_id}/index.html"

    @staticmethod
    def run_folder(run_id: str) -> str:
        """Everything a run makes, its results apart."""
        return f"runs/{run_id}"

    @staticmethod
    def run_path(run_id: str) -> str:
        """The `Run` record."""
        return f"runs/{run_id}/run.json"

    @staticmethod
    def scored_set_path(set_id: str) -> str:
        """The record of a synthetic set that is scored by itself, in the place of a run."""
        return f"runs/{set_id}/set.json"

    @staticmethod
    def checkpoint_folder(run_id: str) -> str:
        """The checkpoints of a run."""
        return f"runs/{run_id}/checkpoints"

    @staticmethod
    def checkpoint_path(run_id: str, step: int) -> str:
        """All that is needed to go on after `step` steps."""
        return f"runs/{run_id}/checkpoints/step-{step:08d}.safetensors"

    @staticmethod
    def set_folder(run_id: str) -> str:
        """The candidate synthetic sets of a run."""
        return f"runs/{run_id}/sets"

    @staticmethod
    def set_path(run_id: str, step: int) -> str:
        """The synthetic set after `step` steps, a candidate for evaluation."""
        return f"runs/{run_id}/sets/step-{step:08d}.safetensors"

    @staticmethod
    def synthetic_set_path(run_id: str) -> str:
        """The synthetic set after the last step."""
        return f"runs/{run_id}/synthetic_set.safetensors"

    @staticmethod
    def images_path(run_id: str) -> str:
        """The synthetic images as one picture, a row per class."""
        return f"runs/{run_id}/images.png"

    @staticmethod
    def losses_path(run_id: str) -> str:
        """The matching loss by step."""
        return f"runs/{run_id}/losses.parquet"

    @staticmethod
    def distillation_path(run_id: str) -> str:
        """What the distillation took; written last, so that it is there only if the run was distilled whole."""
        return f"runs/{run_id}/distillation.json"

    @staticmethod
    def ledger_folder(run_id: str) -> str:
        """The entries of a run."""
        return f"runs/{run_id}/ledger"

    @staticmethod
    def entry_path(run_id: str, name: str) -> str:
        """One entry of a run."""
        return f"runs/{run_id}/ledger/{name}.json"

    @staticmethod
    def failure_path(run_id: str) -> str:
        """Why the run failed last, if it did."""
        return f"runs/{run_id}/failure.json"

    @staticmethod
    def trainings_path(run_id: str, evaluation_id: str, network_key: str) -> str:
        """The trainings of one network, all steps and repeats of one evaluation."""
        return f"runs/{run_id}/evaluations/{evaluation_id}/{network_key}.parquet"

    @staticmethod
    def looks_folder(run_id: str) -> str:
        """What was seen of a run at looks."""
        return f"runs/{run_id}/looks"

    @staticmethod
    def look_path(run_id: str, step: int, evaluation_id: str, network_key: str) -> str:
        """What a search saw of a run after `step` steps, by one network on held-out training images."""
        return f"runs/{run_id}/looks/step-{step:08d}-{evaluation_id}/{network_key}.json"

    @staticmethod
    def results_path(run_id: str, evaluation_id: str) -> str:
        """The rows of a run under one evaluation."""
        return f"results/{run_id}-{evaluation_id}.parquet"

    @staticmethod
    def step_of(path: str) -> int:
        """The step in the name of a checkpoint or candidate set."""
        return int(path.rpartition("step-")[2].partition(".")[0])
