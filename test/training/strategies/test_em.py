"""Algorithm 1 under Adam: what a step moves, what it must not touch, and where gradients go."""

import copy

import pytest
import torch

OTHER = {"depth": "semantic", "semantic": "depth"}
TASKS = tuple(OTHER)


def parts(network):
    """Copies of each task's own parameters and of the shared ones, by name."""
    own = {task: set(network.task_parameters(task)) for task in TASKS}
    result = {"depth": {}, "semantic": {}, "shared": {}}
    for name, parameter in network.named_parameters():
        part = next((task for task in TASKS if parameter in own[task]), "shared")
        result[part][name] = parameter.detach().clone()
    return result


def moved(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def shared_gradient(network):
    """Of theta_com, as one vector."""
    shared = parts(network)["shared"]
    return torch.cat([network.get_parameter(name).grad.flatten() for name in shared])


@pytest.mark.parametrize("variant", ["mtl", "sosd", "esosd"])
@pytest.mark.parametrize("moments", ["shared", "separate"])
def test_a_step_holds_the_other_path_and_moves_all_else(
    variant, moments, make_network, make_strategy, batch, step
):
    """Depth, semantic, depth: the other task stays bit-equal although Adam has momentum."""
    em = make_strategy(make_network(variant), "em", moments=moments)
    for iteration, task in enumerate(("depth", "semantic", "depth")):
        before = parts(em.network)
        assert list(step(em, batch, iteration)) == [task]
        after = parts(em.network)
        assert moved(before[OTHER[task]], after[OTHER[task]]) == set()
        assert len(moved(before["shared"], after["shared"])) > 0.9 * len(before["shared"])
        assert len(moved(before[task], after[task])) > 0.5 * len(before[task])


@pytest.mark.parametrize("moments", ["shared", "separate"])
def test_without_hold_a_task_moves_the_other_path_as_well(
    moments, make_network, make_strategy, batch, step
):
    """As far as it flows into the learned task's unit: not the other unit, nor its answer."""
    em = make_strategy(make_network(), "em", moments=moments, hold=False)
    for iteration, task in enumerate(("depth", "semantic")):
        before = parts(em.network)
        step(em, batch, iteration)
        others = moved(before[OTHER[task]], parts(em.network)[OTHER[task]])
        assert {name.split(".")[0] for name in others} == {f"{OTHER[task]}_feature"}


def test_shared_means_backbone_context_and_common_representation(make_network):
    """theta_com in Algorithm 1; the two units share no area layer."""
    network = make_network()
    tops = {name.split(".")[0] for name in parts(network)["shared"]}
    assert tops == {"backbone", "context", "common"}
    assert not set(network.task_parameters("depth")) & set(network.task_parameters("semantic"))


@pytest.mark.parametrize(
    ("every", "turns"), [(1, "dsdsdsds"), (3, "dddsssdd"), ("epoch", "ddddssss")]
)
def test_tasks_take_turns(every, turns, make_network, make_strategy):
    """Eight iterations, four to an epoch: depth is first."""
    em = make_strategy(make_network(), "em", every=every)
    seen = ""
    for iteration in range(8):
        em.begin(iteration, iteration // 4)
        seen += em.tasks[0][0]
    assert seen == turns


@pytest.fixture
def gradient(make_network, make_strategy, batch, step):
    """gradient(task, alpha) of theta_com, by a step of that task; ``cut`` detaches held maps."""

    def of(task, alpha=(1, 1, 1), cut=False):
        network = make_network()
        if cut:
            held = getattr(network, f"{OTHER[task]}_feature")
            held.register_forward_hook(lambda _module, _inputs, maps: maps.detach())
        step(make_strategy(network, "em", alpha=alpha), batch, TASKS.index(task))
        return shared_gradient(network)

    return of


def distance(a, b):
    """Relative to the length of b."""
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("task", TASKS)
def test_eq_5_is_a_sum_of_three_branches(task, gradient):
    """The plain gradient is all three; others are linear in alpha; none of the three is empty."""
    own, area, held = (gradient(task, alpha) for alpha in ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    whole = gradient(task)
    assert distance(own + area + held, whole) < 1e-5
    assert distance(2 * own + 3 * area + held / 2, gradient(task, (2, 3, 0.5))) < 1e-5
    assert min(branch.norm() for branch in (own, area, held)) > 1e-3 * whole.norm()


@pytest.mark.parametrize("task", TASKS)
def test_an_alpha_of_zero_cuts_the_held_path_off(task, gradient):
    """The third branch of Algorithm 1 reaches theta_com through the held path alone."""
    cut = gradient(task, cut=True)
    assert distance(gradient(task, (1, 1, 0)), cut) < 1e-5
    assert distance(gradient(task), cut) > 1e-3


def test_alpha_changes_neither_answers_nor_the_learned_paths_gradients(
    make_network, make_strategy, batch, step
):
    """It is in eq. 5 alone, not in eq. 4."""
    seen = []
    for alpha in ((1, 1, 1), (0.5, 2, 0.25)):
        em = make_strategy(make_network(), "em", alpha=alpha)
        loss = step(em, batch)["depth"]
        grads = [parameter.grad for parameter in em.network.task_parameters("depth")]
        seen.append((torch.tensor(loss), *grads))
    for one, other in zip(*seen, strict=True):
        assert torch.equal(one, other)


def test_branches_need_units(make_network, make_strategy):
    """Multi-task learning without units has nothing to weigh."""
    with pytest.raises(ValueError, match="'mtl' has no units; leave alpha out"):
        make_strategy(make_network("mtl"), "em", alpha=(1, 1, 0))


def test_only_the_papers_branches_are_weighed(make_network, make_strategy):
    """Details at stride 4 are a fourth, through which all would still learn."""
    sharp = make_network(taps=(4, 8, 32))
    make_strategy(sharp, "em")
    with pytest.raises(ValueError, match="taps has 4, which is one more; leave alpha out"):
        make_strategy(sharp, "em", alpha=(1, 1, 0))


@pytest.mark.parametrize(("moments", "counts"), [("shared", [3]), ("separate", [2, 1])])
def test_moments_of_what_is_shared(moments, counts, make_network, make_strategy, batch, step):
    """After depth, semantic, depth: one Adam has seen theta_com thrice, two twice and once."""
    em = make_strategy(make_network(), "em", moments=moments)
    for iteration in range(3):
        step(em, batch, iteration)
    shared = em.network.get_parameter("common.conv.conv.weight")
    assert [optimiser.state[shared]["step"].item() for optimiser in em.optimisers] == counts


@pytest.mark.parametrize(("mode", "changes"), [("train", True), ("eval", False)])
def test_statistics_of_the_held_path(mode, changes, make_network, make_strategy, batch, step):
    """The learned path's move in both modes, the held one's in ``train`` alone, in every step."""
    em = make_strategy(make_network(), "em", batch_norm=mode)
    for iteration, task in enumerate(("depth", "semantic", "depth")):
        before = {name: value.clone() for name, value in em.network.named_buffers()}
        step(em, batch, iteration)
        changed = moved(before, dict(em.network.named_buffers()))
        assert any(name.startswith(f"{task}_feature") for name in changed)
        assert any(name.startswith(f"{OTHER[task]}_feature") for name in changed) == changes
        assert any(name.startswith("backbone") for name in changed)


def test_a_copy_of_a_network_with_branches_is_its_own(make_network, make_strategy, batch):
    """A moving average's copy has the hooks as well, and answers as the original."""
    em = make_strategy(make_network(), "em", alpha=(1, 1, 0))
    em.begin(0, 0)
    twin = copy.deepcopy(em.network).eval()
    answers = (net(batch.images).logits for net in (em.network.eval(), twin))
    assert torch.equal(*answers)
    assert not set(em.network.parameters()) & set(twin.parameters())
