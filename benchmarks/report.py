"""The result of a run, printed for people or as JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from benchmarks.measurements import Faults, InFlight, Latency, Throughput
from benchmarks.pipeline import COUNTING, MODEL_DELAY_MS
from nightdesk.output import Output, print_rows

# What the kernel counts a process's CPU in.
CLOCK_TICK_S = 0.01


@dataclass(frozen=True, slots=True)
class Report:
    """All measurements of one run. `ours` names Nightdesk's own processes."""

    at_once: Throughput
    floor: Throughput
    latency: Latency
    by_model: InFlight
    ours: tuple[str, ...]

    @property
    def ratio_to_floor(self) -> float:
        return self.at_once.events_per_s / self.floor.events_per_s

    @property
    def cpu_s_per_1000_events(self) -> float:
        return sum(_per_1000(self.at_once, name) for name in self.ours)

    @property
    def cpu_in_counting_servers(self) -> float:
        """The CPU time of all processes in multiples of the counting server's, whose work is the same in every run."""
        cpu_s = self.at_once.cpu_seconds
        return sum(cpu_s.values()) / max(cpu_s[COUNTING], CLOCK_TICK_S)

    def faults(self) -> dict[str, Faults]:
        """The faults by the measurement's name."""
        return {
            "decision at once": self.at_once.faults,
            "floor": self.floor.faults,
            "latency": self.latency.faults,
            "decision by a model": self.by_model.throughput.faults,
        }

    def problems(self) -> list[str]:
        """One line for each measurement that must not be trusted; empty if all are good."""
        return [
            f"{name}: {found.missing_actions} actions missing, {found.doubled_actions} doubled,"
            f" {found.missing_ends} events without a completed end in the audit"
            for name, found in self.faults().items()
            if found.any
        ]


def show(report: Report, output: Output) -> None:
    """Print the tables followed by the ratio, or everything as one JSON object."""
    if output is Output.json:
        print(json.dumps(_document(report), indent=2))
        return
    print_rows(_measured(report), output)
    print()
    print_rows(_processor_time(report), output)
    print(f"\nratio to floor: {report.ratio_to_floor:.2f}")


def _measured(report: Report) -> list[dict[str, object]]:
    at_once, floor, latency, model = report.at_once, report.floor, report.latency, report.by_model
    slow, rate = model.throughput, f"{latency.per_second:g}/s"
    cpu, floor_cpu = report.cpu_s_per_1000_events, _per_1000(floor, "floor")
    return [
        _row(f"events/s, decision at once ({at_once.events:,})", at_once.events_per_s, floor.events_per_s, ".0f"),
        _row("CPU seconds per 1,000 events, all our processes", cpu, floor_cpu, ".2f"),
        _row("CPU of everything, in counting servers", report.cpu_in_counting_servers, None, ".1f"),
        _row(f"p50 ms from produce to action at {rate}", latency.p50_ms, None, ".1f"),
        _row(f"p99 ms from produce to action at {rate}", latency.p99_ms, None, ".1f"),
        *(_row(f"p50 ms from {name}", ms, None, ".1f") for name, ms in latency.hand_overs_ms.items()),
        _row(f"events/s, model of {MODEL_DELAY_MS} ms ({slow.events:,})", slow.events_per_s, None, ".0f"),
        _row("decisions in flight at the peak", model.peak, None, ".0f"),
        _row("decisions in flight in the mean", model.mean, None, ".0f"),
    ]


def _row(name: str, ours: float, floor: float | None, form: str) -> dict[str, object]:
    return {"measured": name, "Nightdesk": format(ours, form), "floor": None if floor is None else format(floor, form)}


def _processor_time(report: Report) -> list[dict[str, object]]:
    names = [*report.ours, *_others(report.at_once.cpu_seconds, report.ours)]
    return [
        {
            "process": name,
            "ours": "yes" if name in report.ours else "",
            "CPU s per 1,000, at once": f"{_per_1000(report.at_once, name):.2f}",
            "by model": f"{_per_1000(report.by_model.throughput, name):.2f}",
        }
        for name in names
    ]


def _others(names: Iterable[str], ours: tuple[str, ...]) -> list[str]:
    return [name for name in names if name not in ours]


def _per_1000(throughput: Throughput, name: str) -> float:
    return throughput.cpu_seconds[name] * 1000 / throughput.events


def _document(report: Report) -> dict[str, object]:
    """The contract of `--output json`: seconds, milliseconds and counts by name."""
    at_once, model = report.at_once, report.by_model
    return {
        "ratio_to_floor": round(report.ratio_to_floor, 2),
        "at_once": _throughput(at_once)
        | {
            "cpu_s_per_1000_events": report.cpu_s_per_1000_events,
            "cpu_in_counting_servers": report.cpu_in_counting_servers,
        },
        "floor": _throughput(report.floor) | {"cpu_s_per_1000_events": _per_1000(report.floor, "floor")},
        "latency": asdict(report.latency),
        "by_model": _throughput(model.throughput) | {"in_flight_peak": model.peak, "in_flight_mean": model.mean},
        "our_processes": report.ours,
        "problems": report.problems(),
    }


def _throughput(throughput: Throughput) -> dict[str, object]:
    return asdict(throughput) | {"events_per_s": throughput.events_per_s}
