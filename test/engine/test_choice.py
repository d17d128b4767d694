"""Which backend it is to be: what disagrees is refused, and the fastest of the rest is taken."""

import dataclasses
import re

import numpy as np
import pytest
import torch

from sosd_ros.device import BrokenDeviceError
from sosd_ros.engine import (
    BACKENDS,
    Engine,
    EngineError,
    Range,
    Request,
    build,
    choice,
    load,
    stock,
)
from sosd_ros.engine.agreement import Agreement, Agreements
from sosd_ros.engine.answers import Answers
from sosd_ros.engine.backend import Backend


class Clock:
    """Seconds that pass only where a stand-in lets them."""

    now = 0.0

    def __call__(self):
        return self.now


class StandIn(Backend):
    """Answers every image alike, and takes as long as it is told to."""

    precisions = {"cpu": ("fp32",)}  # noqa: RUF012
    seconds = 1.0
    clock: Clock
    needs = ""

    def __init__(self, deployment, files):
        self.files, self.manifest = files, deployment.weights.manifest
        assert all(path.read_text() == str(size) for size, path in files.items())

    def __call__(self, inputs, tasks):
        self.clock.now += self.seconds
        shape = (len(inputs), inputs.shape[2] // 8, inputs.shape[3] // 8)
        logits = torch.randn(shape[0], 40, *shape[1:], generator=torch.Generator().manual_seed(1))
        spread = torch.full(shape, 0.1) if self.manifest.spread else None
        return self.spoil(Answers(torch.full(shape, 2.0), logits, spread))

    def spoil(self, answers):
        return answers

    @classmethod
    def missing(cls):
        return cls.needs

    @classmethod
    def build(cls, deployment, size, path):
        path.write_text(str(size))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stand_in(monkeypatch, clock):
    """Makes stand-ins, each of which becomes a backend that can be chosen; ``torch`` is one."""
    kinds = []

    def make(name, seconds=1.0, **attributes):
        attributes |= {"name": name, "seconds": seconds, "clock": clock}
        kinds.append(type(name.title(), (StandIn,), attributes))
        for module in (stock, choice):
            monkeypatch.setattr(module, "BACKENDS", tuple(kinds))
        return kinds[-1]

    make("torch", 100.0)
    return make


@pytest.fixture
def ask(file, picture, clock, tmp_path):
    """Calls ``load`` or ``build`` with what they need."""

    def ask(function=load, **changes):
        request = Request(changes.pop("backend", "auto"), folder=tmp_path)
        values = {"device": "cpu", "request": request, "clock": clock, "tell": print}
        if function is build:
            values["sizes"] = [(64, 96)]
        return function(file, changes.pop("frames", picture), **(values | changes))

    return ask


def deeper(self, answers):
    """Spoils an answer: 5 % too far away."""
    return answers._replace(depth=1.05 * answers.depth)


def other_labels(self, answers):
    """Spoils an answer: each class for the one before."""
    return answers._replace(logits=answers.logits.roll(1, dims=1))


def surer(self, answers):
    """Spoils an answer: half as uncertain as it should be."""
    return answers._replace(spread=answers.spread / 2)


def no_number(self, answers):
    """Spoils an answer: no depth at all."""
    return answers._replace(depth=torch.full_like(answers.depth, torch.nan))


@pytest.mark.parametrize(
    ("agreement", "suffices"),
    [
        ((1.0, 0.0), True),
        ((0.985, 0.0099), True),
        ((0.9849, 0.0), False),
        ((1.0, 0.01), False),
        ((1.0, np.nan), False),
        ((1.0, np.inf), False),
        ((1.0, 0.0, 0.049), True),
        ((1.0, 0.0, 0.05), False),
        ((1.0, 0.0, np.nan), False),
    ],
)
def test_what_agreement_is(agreement, suffices):
    """98.5 % of labels, and less than 1 % of depth and 5 % of its uncertainty."""
    assert Agreements.of([Agreement(*agreement)]).suffices is suffices


@pytest.mark.parametrize(
    ("labels", "depth", "suffices"),
    [
        ([0.981, *[0.989] * 11], [0.0059, *[0.003] * 11], True),
        ([0.984, 0.9855], [0.0, 0.0], False),  # on average
        ([0.974, *[1.0] * 11], [0.0] * 12, False),  # one image far worse, which the mean would hide
        ([1.0] * 12, [0.011, *[0.001] * 11], False),
        ([1.0] * 12, [np.nan, *[0.001] * 11], False),
        ([1.0] * 12, [np.inf, *[0.001] * 11], False),
    ],
)
def test_of_several_images_mean_and_worst_decide(labels, depth, suffices):
    """98.5 % of labels on average and 97.5 % at worst; less than 1 % of depth everywhere."""
    agreed = Agreements.of([*map(Agreement, labels, depth)])
    assert agreed.suffices is suffices
    assert agreed.worst.labels == min(labels)
    assert str(agreed) == (
        f"{np.mean(labels):.2%} of labels agree, depth differs by {np.mean(depth):.2%}; at worst "
        f"of {len(labels)} images {min(labels):.2%} and {np.max(depth):.2%}"
    )


def test_what_fails_on_one_image_of_twelve_is_refused(stand_in, ask, picture, clock):
    """Be it any but the first. What was recorded is looked at on one alone, and less narrowly."""
    frames = np.stack([picture] * 12)
    frames[7] = 0

    def fail_in_the_dark(self, inputs, tasks):
        answers = StandIn.__call__(self, inputs, tasks)
        return other_labels(self, answers) if inputs.max() < 0 else answers

    stand_in("faulty", 0.001, __call__=fail_in_the_dark)
    engine = ask(frames=frames)
    assert engine.name == "torch fp32"
    assert re.search(r"faulty fp32: refused: .*at worst of 12 images \d\.\d\d%", engine.why)
    assert ask(frames=frames[:7]).name == ask(build, frames=frames[:7]).name == "faulty fp32"
    calls = clock.now
    assert ask(frames=frames).name == "faulty fp32"
    assert clock.now - calls < 101 + 1  # one look of the slow reference


def test_auto_takes_the_fastest(stand_in, ask, random):
    """Wherever it stands in the list, with the account of all of them."""
    seconds = random.permutation([0.004, 0.001, 0.002, 0.003])
    for number, time in enumerate(seconds):
        stand_in(f"backend{number}", float(time))
    engine = ask()
    assert engine.name == f"backend{seconds.argmin()} fp32"
    for number, time in enumerate(seconds):
        account = f"backend{number} fp32: {1000 * time:.1f} ms an image, 100.00% of labels agree"
        assert account in engine.why
    assert "torch fp32: 100000.0 ms an image" in engine.why


def test_candidates_are_timed_in_turn_and_losers_are_closed(stand_in, ask, monkeypatch):
    """So that a device which is cold at first is so for all; only the winner keeps its memory."""
    called, closed = [], []

    def note(self, inputs, tasks):
        called.append(self.name)
        return StandIn.__call__(self, inputs, tasks)

    def close(self):
        closed.append(self.name)
        free(self)

    free = Engine.close
    monkeypatch.setattr(Engine, "close", close)
    for name, seconds in (("slow", 0.002), ("quick", 0.001), ("slower", 0.003)):
        stand_in(name, seconds, __call__=note)
    assert ask().name == "quick fp32"
    round_of_all = ["slow", "quick", "slower"]
    assert called[3:] == 9 * round_of_all + ["quick"]  # after one look at each
    assert set(closed) == {"slow fp32", "slower fp32", "torch fp32"}


@pytest.mark.parametrize(
    ("spoil", "figures"),
    [
        (deeper, r"100\.00% of labels agree, depth differs by 5\.00%"),
        (other_labels, r"\d\.\d\d% of labels agree, depth differs by 0\.00%"),
        (no_number, r"100\.00% of labels agree, depth differs by inf%"),
    ],
)
def test_what_disagrees_is_refused_with_the_figures(stand_in, ask, spoil, figures):
    """Asked for by name it is an error; ``auto`` takes another, however slow, and says why."""
    stand_in("faulty", 0.001, spoil=spoil)
    reason = f"faulty fp32: refused: .*{figures}; expected 98.5% of labels on average and 97.5% at"
    with pytest.raises(EngineError, match=reason):
        ask(backend="faulty")
    engine = ask()
    assert engine.name == "torch fp32"
    assert any(re.search(reason, line) for line in engine.why.splitlines())


def test_uncertainty_that_disagrees_is_refused(stand_in, file, picture, clock, tmp_path):
    """Half of it would let every second mirror pass for a way through."""
    unsure = dataclasses.replace(file, manifest=dataclasses.replace(file.manifest, spread=True))
    stand_in("faulty", 0.001, spoil=surer)
    stand_in("right", 0.001)
    with pytest.raises(EngineError, match=r"depth differs by 0\.00%, its uncertainty by 50\.00%"):
        load(unsure, picture, "cpu", Request("faulty", folder=tmp_path))
    request = Request(folder=tmp_path)
    assert load(unsure, picture, "cpu", request, clock=clock).name == "right fp32"


def test_each_candidate_has_its_reason(stand_in, ask):
    """Not installed, not built, failed, or too slow."""

    def fail(self, *_):
        raise RuntimeError("no such instruction\non this machine")

    stand_in("absent", needs="gizmo is not installed; pip install gizmo")
    stand_in("unbuilt", suffix=".made")
    stand_in("broken", __init__=fail)
    stand_in("small", accepts=lambda self, size: False)
    stand_in("quick", 0.001)
    engine = ask()
    assert engine.name == "quick fp32"
    lines = dict(line.split(" fp32: ") for line in engine.why.splitlines())
    assert lines["absent"] == "gizmo is not installed; pip install gizmo"
    assert lines["unbuilt"].startswith("not built for this machine")
    assert lines["broken"] == "RuntimeError: no such instruction"
    assert lines["small"] == "not built for inputs of 64x96"
    assert set(lines) == {"torch", "absent", "unbuilt", "broken", "small", "quick"}


def test_a_candidate_that_breaks_the_device_ends_the_choice(stand_in, ask, monkeypatch):
    """Rather than seem to be one of many that fail: only a new process can choose."""

    def fail(self, *_):
        raise RuntimeError("illegal memory access")

    def is_broken(device):
        raise BrokenDeviceError(f"device {device} is broken")

    stand_in("broken", __init__=fail)
    stand_in("quick", 0.001)
    monkeypatch.setattr(choice, "check_unbroken", is_broken)
    with pytest.raises(BrokenDeviceError):
        ask()


def test_answers_have_the_range_that_was_asked_for(stand_in, ask, picture):
    """Whichever engine it is."""
    stand_in("quick", 0.001)
    for backend in ("quick", "torch"):
        engine = ask(backend=backend)
        for limits, expected in ((Range(0.3, 7.0), 2.0), (Range(0.3, 1.5), np.inf)):
            answer = engine(picture[None], [100.0], {"depth"}, limits)
            np.testing.assert_allclose(answer.depth, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "unknown", [{"backend": "abacus"}, {"precision": "fp4"}, {"backend": "tensorrt"}]
)
def test_what_does_not_exist_is_refused_with_what_does(file, picture, unknown):
    """Every backend and precision that there is on such a device."""
    with pytest.raises(EngineError, match="does not exist on cpu; choose auto, or one of") as error:
        load(file, picture, "cpu", Request(**unknown))
    assert repr(next(iter(unknown.values()))) in str(error.value)
    for backend in BACKENDS:
        for precision in backend.precisions.get("cpu", ()):
            assert f"{backend.name} {precision}" in str(error.value)


@pytest.mark.parametrize(
    "backend", [b.name for b in BACKENDS if b.suffix and "cpu" in b.precisions]
)
def test_what_is_not_built_says_how_to_build_it(file, picture, tmp_path, backend):
    """And it is not built by the way: a robot must not compile when it starts."""
    cache = tmp_path / "cache"
    with pytest.raises(EngineError, match=r"python -m sosd_ros\.build.*or set backend: torch"):
        load(file, picture, "cpu", Request(backend, "fp32", cache))
    assert not cache.exists()


def test_loading_builds_nothing(stand_in, ask, tmp_path):
    """Not even where nothing else would do."""
    stand_in("built", suffix=".made", build=pytest.fail)
    assert ask().name == "torch fp32"
    assert not list(tmp_path.iterdir())


def test_what_was_built_is_loaded(stand_in, ask, tmp_path):
    """From where it lies, for the inputs that the images become."""
    kind = stand_in("built", 0.001, suffix=".made")
    told = []
    assert ask(build, sizes=[(64, 96), (128, 192), (96, 64)], tell=told.append).name == "built fp32"
    assert told[0] == "[1/1] built fp32: building for inputs of 64x96, 96x64 ..."
    assert told[1].strip().startswith("built in")
    engine = ask()
    assert isinstance(engine.backend, kind)
    assert list(engine.backend.files) == [(64, 96), (96, 64)]


def test_other_weights_need_to_be_built_anew(stand_in, ask, file, picture, tmp_path):
    """What was built for some is not used for others."""
    stand_in("built", 0.001, suffix=".made")
    ask(build)
    others = dataclasses.replace(file, sha256="0" * 64)
    engine = load(others, picture, "cpu", Request(folder=tmp_path))
    assert "built fp32: not built" in engine.why


def test_a_build_that_fails_does_not_stop_the_others(stand_in, ask, tmp_path):
    """It is told with its reason, and leaves nothing behind."""

    def fail(*_):
        raise ValueError("no kernel image\nand more")

    stand_in("faulty", 0.001, suffix=".made", build=fail)
    stand_in("absent", 0.001, suffix=".made", needs="pip install gizmo")
    stand_in("built", 0.002, suffix=".made")
    told = []
    assert ask(build, tell=told.append).name == "built fp32"
    assert "    failed with ValueError: no kernel image" in told
    assert "[2/3] absent fp32: skipped, pip install gizmo" in told
    assert {path.name.split("-")[0] for path in tmp_path.iterdir()} == {".lock", "built", "auto"}


def test_the_recorded_choice_is_taken(stand_in, ask):
    """Without a trial of the others, which would take a while at each start."""
    quick, slow = stand_in("quick", 0.001), stand_in("slow", 0.002)
    ask(build)
    quick.seconds, slow.seconds = 0.002, 0.001
    engine = ask()
    assert engine.name == "quick fp32"
    assert "slow" not in engine.why
    assert ask(backend="slow").name == "slow fp32"


def test_without_a_record_what_is_slower_is_looked_at_once(stand_in, ask, picture, clock):
    """More frames take no longer but of those that are the fastest so far, and the reference."""
    stand_in("quick", 1.0)
    stand_in("slow", 90.0)
    took = []
    for count in (2, 12):
        started = clock.now
        assert ask(frames=np.stack([picture] * count)).name == "quick fp32"
        took.append(clock.now - started)
    quick, torch = 1.0, 100.0
    assert took[1] - took[0] == pytest.approx(10 * (quick + torch))


def test_a_recorded_choice_that_fails_is_replaced(stand_in, ask):
    """By the fastest of the others; the reason is told."""
    quick = stand_in("quick", 0.001)
    stand_in("slow", 0.002)
    ask(build)
    quick.spoil = deeper
    engine = ask()
    assert engine.name == "slow fp32"
    assert "quick fp32: refused" in engine.why


def test_building_one_backend_records_no_choice(stand_in, ask, tmp_path):
    """It has not been compared with the others."""
    stand_in("built", 0.001, suffix=".made")
    ask(build, backend="built")
    assert {path.name.split("-")[0] for path in tmp_path.iterdir()} == {".lock", "built"}


@pytest.mark.parametrize(
    "record",
    [
        "",
        "{",
        "null",
        "[1]",
        "{}",
        '{"backend": []}',
        '{"backend": "abacus", "precision": "fp32"}',
        '{"backend": "quick", "precision": "fp4"}',
        '{"backend": "quick", "precision": 7}',
        "\udcff",
    ],
)
def test_a_damaged_record_is_ignored(stand_in, ask, tmp_path, record):
    """As if none had been made."""
    quick, slow = stand_in("quick", 0.001), stand_in("slow", 0.002)
    ask(build)
    [path] = tmp_path.rglob("choice.json")
    path.write_bytes(record.encode(errors="surrogateescape"))
    quick.seconds, slow.seconds = 0.002, 0.001
    assert ask().name == "slow fp32"


def test_a_missing_record_is_ignored(stand_in, ask, tmp_path):
    """Though its folder is there."""
    quick, slow = stand_in("quick", 0.001), stand_in("slow", 0.002)
    ask(build)
    [path] = tmp_path.rglob("choice.json")
    path.unlink()
    quick.seconds, slow.seconds = 0.002, 0.001
    assert ask().name == "slow fp32"
