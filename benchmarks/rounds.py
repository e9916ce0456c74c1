"""A round over 1,000 syncs when the API takes 100 ms to answer, beside what no client could beat, and the leanest loop.

Measured at the API: from the first request of a round to its last answer. The worker has seen all syncs before; the
first round follows a start, the others come without a pause because the interval is shorter than a round.
"""

from benchmarks.processes import Workspace, lean, worker
from benchmarks.scene import Scene
from benchmarks.table import Figure

LATENCY = 0.1
ROUNDS = 3


def measure(scene: Scene) -> list[Figure]:
    syncs = scene.size(1_000, 50)
    with scene.api.workspace("round", syncs) as workspace:
        with worker(scene.directory / "worker", workspace, poll_interval="1s"):
            workspace.wait_for("polls", syncs)
        figures: list[Figure] = []
        for concurrency in (16, 64) if not scene.smoke else (16,):
            figures += _rounds(scene, workspace, syncs, concurrency)
    return figures


def _rounds(scene: Scene, workspace: Workspace, syncs: int, concurrency: int) -> list[Figure]:
    workspace.set_up(latency=LATENCY, recording=True, asked=[])
    with worker(scene.directory / "worker", workspace, poll_interval="1s", rate=100_000, concurrency=concurrency):
        lists = workspace.count("polls") + (ROUNDS + 1) * syncs
        workspace.wait_for("polls", lists + concurrency)
        asked = workspace.seen()["asked"]
    ours = [_length(asked[i * syncs : (i + 1) * syncs]) for i in range(ROUNDS + 1)]
    workspace.set_up(asked=[])
    with lean(scene.directory / "lean", workspace, syncs, concurrency=concurrency, rounds=1) as process:
        process.wait(60)
    theirs = _length(workspace.seen()["asked"])
    workspace.set_up(latency=0.0, recording=False, asked=[])
    ideal = syncs * LATENCY / concurrency
    return [
        Figure(
            f"a round of {syncs:,} at 100 ms, {concurrency} at once{after}",
            f"{took / ideal:.2f} x: {took:.2f} s (the lean loop {theirs:.2f} s)",
            f"<= 1.1 x {ideal:.2f} s",
            took <= 1.1 * ideal,
        )
        for after, took in (("", max(ours[1:])), (", after a start", ours[0]))
    ]


def _length(asked: list[tuple[float, float, int]]) -> float:
    """Seconds from the first request to the last answer."""
    return max(answered for _, answered, _ in asked) - min(came for came, _, _ in asked)
