"""The trials of a study of Optuna's: each draws a run, or comes to nothing.

Each draw follows from the search's seed, the trial's number, what is drawn, and what had been seen by then.
"""

from collections.abc import Callable
from functools import partial
from itertools import takewhile
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from glad_ray.engine.search.samplers import draw, drawn_before, open_trial, sampler_for
from glad_ray.errors import UserError
from glad_ray.plan.stored_ids import StoredIds
from glad_ray.progress import formatting
from glad_ray.results import RefusedDraw
from glad_ray.spec import Run
from glad_ray.spec.search_space import Ask, Parameter, propose
from glad_ray.spec.searches.search import Search

# Names of a trial's attributes.
OWNER = "storage"
"""the storage that began it"""
SECONDS = "seconds"
"""of distilling so far, and of each rung evaluation"""
ERROR = "error"
"""that it failed of"""
SAME = "same as trial"
"""the number of the trial that drew the same run before it"""


class StudyTrials:
    """All trials of one study, which Optuna keeps in `kept_in`, and the run of each.

    `owner` is the id of this driver's storage, noted in every trial that it begins. `on_refused` is called with each
    draw from which no run can be made.
    """

    def __init__(
        self,
        search: Search,
        study: optuna.Study,
        kept_in: BaseStorage,
        ids: StoredIds,
        owner: str,
        on_refused: Callable[[RefusedDraw], None],
    ) -> None:
        self._search, self._study, self._kept_in, self._ids, self._owner = search, study, kept_in, ids, owner
        self._on_refused = on_refused
        self._runs: dict[int, Run] = {}
        self._numbers: dict[str, int] = {}
        """of trials, by their runs' ids"""
        self._without_run: set[int] = set()
        """numbers of trials that ended without a run"""

    def in_states(self, *states: TrialState) -> list[FrozenTrial]:
        """All trials in some states, as they are now."""
        return self._study.get_trials(deepcopy=False, states=states)

    def begun(self) -> list[FrozenTrial]:
        """Those that were begun and did not come to nothing."""
        begun = self.in_states(TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        return [trial for trial in begun if not self._came_to_nothing(trial)]

    def of_this_storage(self) -> list[FrozenTrial]:
        """Those under way that were begun from this storage, or by somebody who was killed before saying so."""
        return [
            trial for trial in self.in_states(TrialState.RUNNING) if trial.user_attrs.get(OWNER) in (None, self._owner)
        ]

    def of_others(self) -> list[FrozenTrial]:
        """Those under way that other storages began, or have not said yet that they did."""
        return [trial for trial in self.in_states(TrialState.RUNNING) if trial.user_attrs.get(OWNER) != self._owner]

    def frozen(self, number: int) -> FrozenTrial:
        """A trial as it is now."""
        return self._all()[number]

    def open(self, number: int) -> Trial:
        """A trial that can be told something."""
        return open_trial(self._study, self._kept_in, number)

    def run(self, trial: FrozenTrial) -> Run | None:
        """The run of a trial; None if none can be made of what it has drawn, or it has not drawn all."""
        if trial.number not in self._runs and trial.number not in self._without_run:
            try:
                run = self._runs[trial.number] = self._proposed(drawn_before(trial))
                self._numbers.setdefault(run.run_id, trial.number)
            except (UserError, KeyError):
                if trial.state == TrialState.FAIL:
                    self._without_run.add(trial.number)
        return self._runs.get(trial.number)

    def drawn_in_words(self, number: int) -> str:
        """What a trial has drawn, for people."""
        return formatting.of_drawn(self.frozen(number).params)

    def refused(self) -> list[RefusedDraw]:
        """All draws of which no run can be made, in their order."""
        return [
            RefusedDraw(
                number=trial.number, parameters=trial.params, error=trial.user_attrs.get(ERROR, "not drawn to its end")
            )
            for trial in self.in_states(TrialState.FAIL)
            if SAME not in trial.user_attrs and self.run(trial) is None
        ]

    def nothing_in_a_row(self) -> int:
        """How many of the last draws came to nothing; a killed driver's among them."""
        return sum(1 for _ in takewhile(self._came_to_nothing, reversed(self._all())))

    def begin(self) -> tuple[int, Run] | None:
        """The next trial, by its number, with all that it draws; None: it came to nothing."""
        waiting = self.in_states(TrialState.WAITING)
        self._sample(waiting[0].number if waiting else len(self._all()))
        return self._drawn(self._study.ask())

    def draw_again(self, trial: FrozenTrial) -> tuple[int, Run] | None:
        """What `begin` returns, of a trial whose driver was killed, perhaps before it had drawn all."""
        self._sample(trial.number)
        return self._drawn(self.open(trial.number))

    def _drawn(self, trial: Trial) -> tuple[int, Run] | None:
        """A trial with all that it draws; None if no run can be made of that, or one that another trial has: it ends
        with it.
        """
        trial.set_user_attr(OWNER, self._owner)
        try:
            run = self._proposed(partial(self._draw, trial))
        except UserError as error:
            trial.set_user_attr(ERROR, str(error))
            self._study.tell(trial.number, state=TrialState.FAIL)
            drawn = self.frozen(trial.number).params
            self._on_refused(RefusedDraw(number=trial.number, parameters=drawn, error=str(error)))
            return None
        for other in self.begun():
            self.run(other)
        if (first := self._numbers.setdefault(run.run_id, trial.number)) != trial.number:
            trial.set_user_attr(SAME, first)
            self._study.tell(trial.number, state=TrialState.FAIL)
            return None
        self._runs[trial.number] = run
        return trial.number, run

    def _draw(self, trial: Trial, parameter: Parameter) -> Any:
        """A value for a parameter. Each has a seed of its own: after a kill, what would have been drawn is."""
        self._sample(trial.number, parameter.name)
        return draw(trial, parameter)

    def _sample(self, number: int, parameter: str | None = None) -> None:
        """Have the study draw for a trial; where the one before came to no run of its own, by chance."""
        by_chance = number > 0 and self._came_to_nothing(self.frozen(number - 1))
        self._study.sampler = sampler_for(self._search, number, parameter, by_chance)

    def _came_to_nothing(self, trial: FrozenTrial) -> bool:
        """Whether a trial drew what another had drawn, or what no run can be made of."""
        return SAME in trial.user_attrs or (trial.state == TrialState.FAIL and self.run(trial) is None)

    def _proposed(self, ask: Ask) -> Run:
        """What `propose` makes, with the ids under which the storage holds it already."""
        run = propose(self._search, ask)
        return self._ids.of_run(run, () if run.expert_set is None else (run.expert_set,))

    def _all(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)
