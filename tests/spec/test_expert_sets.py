"""What is to be known of a set of experts without training one."""

from glad_ray.spec import Experts, ExpertSet, Network


def expert_set(**fields):
    experts = Experts(count=3, epochs=5, **fields)
    return ExpertSet(dataset="fashion-mnist", resolution=28, held_out=0, network=Network(width=4), experts=experts)


def test_bytes_follow_what_is_kept_and_how():
    parameters = Network(width=4).shape(channels=1, resolution=28, classes=10).parameters
    assert expert_set().parameters == parameters
    assert expert_set().kept_bytes == 3 * 6 * parameters * 4
    assert expert_set(keep_until=2).kept_bytes == 3 * 3 * parameters * 4
    assert expert_set(dtype="bfloat16").kept_bytes == expert_set().kept_bytes / 2
