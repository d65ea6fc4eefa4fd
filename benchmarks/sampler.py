"""How quickly a Hub answers, as somebody sees it who asks for one user's model all the time."""

from __future__ import annotations

import statistics
import threading
import time

import requests

PAUSE_S = 0.02


class Sampler(threading.Thread):
    """Ask the Hub's API for a user again and again, and note how long each answer took."""

    def __init__(self, hub, user: str, pause_s: float = PAUSE_S) -> None:
        super().__init__(daemon=True)
        self.hub, self.user, self.pause_s = hub, user, pause_s
        self.times: list[float] = []
        self.over = threading.Event()

    def run(self) -> None:
        session = requests.Session()
        session.headers["Authorization"] = f"token {self.hub.token}"
        while not self.over.is_set():
            begun = time.perf_counter()
            session.get(f"{self.hub.url}/hub/api/users/{self.user}", timeout=120)
            self.times.append(time.perf_counter() - begun)
            time.sleep(self.pause_s)

    def end(self) -> dict[str, float]:
        """Ask no more; return the median, the 99th percentile and the worst, in seconds."""
        self.over.set()
        self.join()
        times = sorted(self.times)
        return {
            "api_p50_s": statistics.median(times),
            "api_p99_s": times[int(len(times) * 0.99) - 1],
            "api_worst_s": times[-1],
        }
