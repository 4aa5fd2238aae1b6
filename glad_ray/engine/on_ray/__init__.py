"""Jobs on Ray: distillations as trials of Ray Tune, everything else as tasks, and what they share as actors."""
