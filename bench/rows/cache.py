# SPDX-License-Identifier: Apache-2.0
"""Row 11: hit ratio beside an LRU of the same bytes."""
import json

from figures import entry

SKEW = 0.99


def live(bench, streams):
    """The service's hit ratio over the last stream, after the others warmed its cache."""
    with bench.service(bench.image) as service:
        for seed, count in streams:
            before = service.status()
            bench.sane(bench.run([bench.product("fairlead-client"), 16, count, "--no-files", "-o",
                                  "json", "--pattern", f"zipf:{SKEW}", "--seed", seed], 300))
        after = service.status()
    hits, lookups, joined = (after[name] - before[name] for name in ("hits", "lookups", "joined"))
    return hits / lookups, joined / lookups


def hit_ratio(bench):
    warm, counted = (20_000, 20_000) if bench.options.quick else (250_000, 750_000)
    replayed, served, joins = [], [], []
    for nth in range(1, bench.options.rounds + 1):
        streams = [(1000 * nth, warm), (1000 * nth + 1, counted)]
        ratio, joined = live(bench, streams)
        replay = json.loads(bench.run([
            bench.program("zipf_replay"), "--sectors", bench.options.image_bytes // 512,
            "--budget", bench.options.image_bytes // 100, "--skew", SKEW,
            *(f"{seed}:{count}" for seed, count in streams)]))
        replayed.append((replay["ours"], replay["lru"]))
        served.append((ratio, replay["lru"]))
        joins.append(joined)
    for point, rounds in (("replayed", replayed), ("live service", served)):
        yield entry("11", f"Zipf {SKEW}, {point}", "hit ratio to LRU of the same bytes", rounds,
                    goal=(">=", 1.08), peer="LRU",
                    extra={"joined": joins} if rounds is served else {})


ROWS = {
    "11": ("hit ratio at Zipf 0.99, cache 1 % of the image, to LRU",
           "Replayed: the client's stream read by read through the cache's code and through an LRU "
           "of the same bytes, bookkeeping counted for both. Live: what the service counts while "
           "16 threads of the client ask for the same stream; a read that joins one under way "
           "counts as a miss.", hit_ratio),
}
