"""A search: a study of Optuna's that says what is tried, and the policy that brings it to the scheduler."""
