"""What is asked for, and what came of it."""

from __future__ import annotations

from .results import Results, Target


def targets(results: Results) -> list[Target]:
    """The rows; what was not measured has no value."""
    eager = next(engine for engine in results.engines if engine.name == "torch fp32")
    best = results.best_engine()
    gain = eager.total.median / best.total.median
    fusion = memory = cloud = lens = steady = over = ratio = against = None
    if around := results.surroundings:
        fusion = around.plain.median / around.fused.median
        memory = around.fused_memory / around.plain_memory
        cloud = around.cloud.median if around.cloud else None
        lens = around.rectified.median if around.rectified else None
        steady = around.steadied.median if around.steadied else None
    if (ros := results.ros) and results.in_full_at_rate:
        over = ros["sosd"].unhurried.latency.median / results.in_full_at_rate.median
        ratio = ros["sosd"].rates[30].latency.p95 / ros["textbook"].rates[30].latency.p95
    if pairs := [times.median for name, times in results.rivals.items() if " + " in name]:
        against = min(pairs) / results.rivals[best.name].median
    growth, share = results.growth, results.xception65_share
    return [
        Target("image-to-answer over bare forward", best.overhead, 1.10, True, best.name),
        Target("best engine against eager float32, times as fast", gain, 3, False, best.name),
        Target("frames a second, best engine", best.frames_per_second, 15, False, "aim 25"),
        Target("fused upsample, arg-max and confidence, times as fast", fusion, 5, False),
        Target("its memory over that of the plain way", memory, 1 / 8, True),
        Target("cloud into its message [ms]", cloud, 4, True),
        Target("an image rectified [ms]", lens, 2, True),
        Target("answers steadied [ms]", steady, 3, True),
        Target(
            "node's stamp-to-answer over image-to-answer", over, 1.25, True, "at 5 Hz, all topics"
        ),
        Target("latency p95 at 30 Hz, over the textbook node's", ratio, 1 / 3, True),
        Target("against the pair of separate networks, times as fast", against, 5, False),
        Target("memory after 2,000 frames over that after 200", growth, 1.01, True),
        Target("xception65 at 256x512, share of the matrix-product rate", share, 0.6, False),
    ]
