"""What a load test is to send, and when: decided before the first request, so that no answer can change it.

An *open* plan has a schedule: users come whether or not the last one was served. A *closed* one (`clients` > 0) has N
clients, each of which waits for its answer, thinks, and asks again. One argument tells them apart.

Standard library only: this file goes into the generator's pod. Times are seconds, rates requests a second.
Left out: think times drawn from a log; several targets in one plan (make several plans).
"""

import json
import random
from array import array
from dataclasses import asdict, dataclass, field, fields

ARRIVALS = ("poisson", "uniform", "trace")
MAX_REQUESTS = 5_000_000


class PlanError(ValueError):
    """A plan that cannot be carried out; the message names field, value and what was expected."""


@dataclass(frozen=True)
class Plan:
    """One run.

    steps          pairs of (rate, seconds), one after the other; a closed plan takes the seconds alone
    arrivals       poisson (as many independent users come), uniform (a metronome), trace (the times in `trace`)
    clients, think of a closed plan: how many, and the mean of their exponential thinking time
    keep           0: a connection a request; N: at most N connections, kept alive and used in turn
    max_in_flight  requests under way at once; waiting behind this cap counts as response time
    timeout        after sending, when a request counts as failed
    warmup         how much of the run's beginning a report drops; -1 lets MSER-5 find it
    share          (number, of): which part of the schedule is this process's, when several send
    begin          wall-clock time at which to begin, so that several begin together; 0 is at once
    """

    url: str
    steps: tuple[tuple[float, float], ...] = ((100.0, 10.0),)
    arrivals: str = "poisson"
    trace: tuple[float, ...] = ()
    clients: int = 0
    think: float = 0.0
    keep: int = 0
    max_in_flight: int = 1000
    timeout: float = 10.0
    warmup: float = 0.0
    seed: int = 0
    name: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    share: tuple[int, int] = (0, 1)
    begin: float = 0.0

    def __post_init__(self) -> None:
        for name, holds, expected in (
            ("url", self.url.startswith(("http://", "https://")), "http://… or https://…"),
            ("arrivals", self.arrivals in ARRIVALS, f"one of {', '.join(ARRIVALS)}"),
            ("steps", bool(self.steps) and all(r > 0 and s > 0 for r, s in self.steps), "rates and seconds above 0"),
            ("max_in_flight", self.max_in_flight > 0, "at least 1"),
            ("timeout", self.timeout > 0, "more than 0 seconds"),
            ("trace", self.arrivals != "trace" or bool(self.trace), "the times, with arrivals='trace'"),
            ("steps", self.planned <= MAX_REQUESTS, f"at most {MAX_REQUESTS:,} requests in one plan"),
        ):
            if not holds:
                raise PlanError(f"plan: {name} is {getattr(self, name)!r}, expected {expected}")

    @property
    def seconds(self) -> float:
        """How long requests are sent."""
        return max(self.trace) if self.arrivals == "trace" else sum(seconds for _, seconds in self.steps)

    @property
    def planned(self) -> float:
        """How many requests an open plan means to send, on average."""
        return len(self.trace) if self.arrivals == "trace" else sum(rate * seconds for rate, seconds in self.steps)

    @property
    def rate(self) -> float:
        """Requests a second over the whole plan: what is *offered*."""
        return self.planned / self.seconds

    @property
    def cap(self) -> int:
        """How many requests may be under way at once."""
        return min(self.keep or self.max_in_flight, self.max_in_flight)

    @property
    def is_open(self) -> bool:
        """Whether arrivals follow the schedule, not the answers."""
        return self.clients == 0

    def to_json(self) -> str:
        """Write the plan so that a report can disclose it whole."""
        return json.dumps(asdict(self))


def from_dict(value: dict) -> Plan:
    """Read what to_json wrote; unknown fields are refused."""
    unknown = set(value) - {each.name for each in fields(Plan)}
    if unknown:
        raise PlanError(f"plan: unknown fields {', '.join(sorted(unknown))}")
    pairs = {"steps": tuple(tuple(each) for each in value.get("steps", [])) or ((100.0, 10.0),)}
    return Plan(**value | pairs | {n: tuple(value[n]) for n in ("trace", "share") if n in value})


def schedule(plan: Plan) -> array:
    """Return the intended times of an open plan, seconds after its beginning, in order.

    A share is drawn by lot from the whole: k shares are k independent Poisson streams of rate/k, and together they are
    exactly the times of the whole.
    """
    number, of = plan.share
    lot = random.Random(f"{plan.seed} share")
    return array("d", (time for time in _times(plan) if of == 1 or lot.randrange(of) == number))


def shares(plan: Plan, count: int, begin: float) -> list[Plan]:
    """Cut a plan into as many that begin together; a closed plan's clients are dealt out."""
    value = json.loads(plan.to_json())
    dealt = [plan.clients // count + (number < plan.clients % count) for number in range(count)]
    if not plan.is_open and 0 in dealt:
        raise PlanError(f"plan: {plan.clients} clients cannot be dealt out to {count} generators")
    cap, keep = -(-plan.max_in_flight // count), -(-plan.keep // count)
    return [
        from_dict(
            value | {"share": [n, count], "begin": begin, "clients": dealt[n], "max_in_flight": cap, "keep": keep}
        )
        for n in range(count)
    ]


def _times(plan: Plan):
    if plan.arrivals == "trace":
        yield from sorted(plan.trace)
        return
    chance, begin = random.Random(plan.seed), 0.0
    for rate, seconds in plan.steps:
        if plan.arrivals == "uniform":
            yield from (begin + number / rate for number in range(round(rate * seconds)))
        else:
            time = begin + chance.expovariate(rate)
            while time < begin + seconds:
                yield time
                time += chance.expovariate(rate)
        begin += seconds
