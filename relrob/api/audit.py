"""The audit before a release, as `relrob audit` runs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

from relrob.api.checks import Checked, Subject, check, runtimes_sentence, subject_of
from relrob.api.evidence import keep_evidence
from relrob.api.results import AuditResult, VerifyResult
from relrob.api.verify import verify_plan
from relrob.audit.baseline import Baseline, changes, read_baseline
from relrob.audit.diagnosis import IDS
from relrob.audit.facts import Facts, facts_of
from relrob.audit.gate import judge, verdict_of
from relrob.audit.headline import attacked, beside, changed_since, headline
from relrob.audit.policy import Policy, asked
from relrob.audit.rows import Row, rows_of
from relrob.audit.sample import POINTS, images_for, sample, seconds_each, seconds_of
from relrob.deciding.choose import check_solver
from relrob.domain.events import Event, Listener, silent
from relrob.errors import UsageError
from relrob.registry import load
from relrob.report.audit.details import details
from relrob.report.audit.write import begin_in, write_audit
from relrob.report.run.rates import ties, undecided
from relrob.store.attack_summary import Attacks
from relrob.store.configuration import canonical
from relrob.store.images import spelled
from relrob.store.run_directory import Store
from relrob.study.command import command
from relrob.study.plan import check_request, make_plan
from relrob.study.pool import leave_unguarded
from relrob.study.request import Request, request_of
from relrob.study.run import crew
from relrob.study.stages import Stages
from relrob.system.files import readable, sha256_bytes
from relrob.system.version import VERSION
from relrob_datasets.select import clipped, select

REGION: Final = "linf-2"
BALL: Final = "linf"  # of a radius that is given alone
TIME: Final = "5m"
RUN: Final = "run"  # the run directory inside that of the audit


@dataclass(frozen=True)
class Sampled:
    """The images that are looked at closely, by which rule, and seconds for each and network."""

    images: tuple[int, ...]
    rule: str
    seconds: float


def audit(
    reference: str | Path,
    quantised: str | Path,
    *,
    policy: str | Path | Policy | None = None,
    baseline: str | Path | None = None,
    out: str | Path | None = None,
    images: Any = None,
    interval: float | None = None,
    time: str | float = TIME,
    seed: int | None = None,
    workers: int | str | None = None,
    listener: Listener = silent,
    **options: Any,
) -> AuditResult:
    """May the quantised network be shipped? The pair's checks on all images, its runtimes compared,
    and robustness on a sample, held against a policy.

    - `policy`: a policy.toml, or a `relrob.audit.policy.Policy`; the default policy gates on
      blocking diagnoses, on the loss of accuracy and on images that are lost.
    - `baseline`: the directory of the last release's audit: only new regressions fail.
    - `images`: those looked at closely, as for `relrob.verify`; by default a sample drawn by
      `seed` (0), large enough for an interval of +-`interval` (10) percentage points. Attacks draw
      by `seed` as well.
    - `time`: for the whole audit, "5m"; it sets the time limit of an image.
    - `options`: rules (max_lost=3, min_agreement="97%", allow=["stale-weights"]), and options of
      `relrob.verify`: dataset, split, runtime, reference_runtime, region, radius, step, features,
      axes, solver, attacks, memory, layout, and the input contract. Attacks come on top of `time`.
    - `out`: the directory of the audit, relrob-runs/audit-DIGEST by default. The same call resumes
      an interrupted audit in it.
    - `listener`: is called with each `relrob.Event`, a stage or a note.

    Raises RelrobError, whose one line names the mistake; AlarmError (exit code 4) where a run
    contradicts a proof: then there is no verdict.
    """
    leave_unguarded()
    begin, count = monotonic(), crew(workers, None)
    _refuse_seed(seed, images, options)
    seed = seed or 0
    told = {"reference": reference, "quantised": quantised, "images": images, "interval": interval}
    told |= {"time": None if time == TIME else time, "seed": seed or None, "baseline": baseline}
    told |= {"policy": None if isinstance(policy, Policy) else policy, **options}
    typed, held = command("audit", told), asked(policy, options)
    old = None if baseline is None else read_baseline(Path(baseline))
    seconds, given = seconds_of(str(time)), _regioned(options, seed)
    radius, step = given.pop("radius", None), given.pop("step", None)
    first = request_of(radius, step, reference, quantised, given)
    stages = Stages([first])
    subject = subject_of(first, stages, listener)
    chosen = _sampled(subject, images, interval, seed, seconds * count, listener)
    directory = Path(out) if out is not None else _place(subject, chosen, first.attacks)
    if old is not None:
        old.check_same(subject.json())
    closely = {**given, "images": chosen.images, "time_limit": chosen.seconds}
    if subject.region.joint:
        closely["counts"] = False
    request = request_of(radius, step, reference, quantised, closely)
    # What can be refused is, before the verdict of an earlier audit goes.
    check_request(request, stages, listener)
    check_solver(request.solver, subject.region, (subject.reference, subject.quantised))
    begin_in(directory)
    Store.check(directory / RUN)
    checked = check(subject, listener)
    stopped = _stopping(checked, held, old)
    run: VerifyResult | None = None
    if stopped:
        listener(Event("note", f"robustness is not run: {', '.join(stopped)}"))
    else:
        _known(checked, stages, request)
        plan = make_plan(request, listener, directory / RUN, stages)
        run = verify_plan(plan, directory / RUN, count, listener)
        networks = (subject.reference, subject.quantised)
        keep_evidence(run.directory, networks, subject.data, run.records, typed, checked.weights)
    looked = _Looked(chosen, stopped, run, typed)
    return _concluded(subject, checked, looked, held, old, directory, begin)


@dataclass(frozen=True, eq=False)
class _Looked:
    """Robustness: the images, the diagnoses that stopped it, or the run. `command`: the one that
    asks for the audit again."""

    chosen: Sampled
    stopped: tuple[str, ...]
    run: VerifyResult | None
    command: str

    def json(self) -> dict[str, Any]:
        """The key robustness of audit.json, without times."""
        found: dict[str, Any] = {
            "images": len(self.chosen.images),
            "indices": spelled(self.chosen.images),
            "rule": self.chosen.rule,
            "time_limit": self.chosen.seconds,
        }
        if self.run is None:
            return {**found, "skipped": ", ".join(self.stopped)}
        summary = self.run.json()
        kept = (
            "sets",
            "relative_robustness",
            "relative_robustness_bounds",
            "adversarial_transfer",
            "adversarial_transfer_bounds",
            "intervals",
            "points",
            "spot_checks",
            "decided_by",
            "reasons",
            "run",
        )
        return found | {name: summary[name] for name in kept if name in summary}

    @property
    def attacks(self) -> Attacks | None:
        """What attacks found, None where none was tried."""
        return None if self.run is None else self.run.summary.attacks


def _regioned(options: dict[str, Any], seed: int) -> dict[str, Any]:
    """The options that were given, with the region of an audit where none was, and the `seed` where
    attacks draw. Raises UsageError."""
    given = {name: value for name, value in options.items() if value is not None}
    if given.get("region") == "search":
        raise UsageError(
            "region search, which proves nothing", "linf-2, ladder and others", "--region linf-2"
        )
    given.setdefault("region", REGION if "radius" not in given else BALL)
    if "attacks" in given:
        given["seed"] = seed
    return given


def _refuse_seed(seed: int | None, images: Any, options: dict[str, Any]) -> None:
    """Refuse a seed where nothing is drawn. Raises UsageError."""
    if seed is not None and images is not None and options.get("attacks") is None:
        raise UsageError(
            "--seed has no effect with --images and no --attacks, where nothing is drawn",
            hint="leave out --seed",
        )


def _sampled(
    subject: Subject,
    images: Any,
    interval: float | None,
    seed: int,
    work: float,
    listener: Listener,
) -> Sampled:
    """The images asked for, or a sample. `work`: seconds of all cores. Raises UsageError,
    DatasetError."""
    data = subject.data
    if images is not None and interval is not None:
        raise UsageError(
            "an interval, which sizes a sample, beside images", "one of the two", "leave one out"
        )
    if images is not None:
        listed = images if isinstance(images, str) else ",".join(str(index) for index in images)
        found, rule = select(data, listed), "the images asked for"
        if note := clipped(data, listed):
            listener(Event("note", note))
    else:
        points = POINTS if interval is None else float(interval)
        found = sample(images_for(points, len(data)), len(data), seed)
        rule = f"drawn with seed {seed} for an interval of +-{points:g} points at 95%"
    return Sampled(found, rule, seconds_each(work, 1, len(found)))


def _known(checked: Checked, stages: Stages, request: Request) -> None:
    """Spare the run what the checks have measured on all images."""
    pair = checked.pair
    for name, found in (
        ("reference", pair.reference_accuracy),
        ("quantised", pair.quantised_accuracy),
    ):
        if found is not None:
            stages.keep_accuracy(name, request, found.share)


def _place(subject: Subject, chosen: Sampled, attacks: str | None) -> Path:
    """The default directory: the same for the same audit."""
    told = {**subject.json(), "images": spelled(chosen.images), "seconds": chosen.seconds}
    told |= {} if attacks is None else {"attacks": attacks}
    return Path("relrob-runs") / f"audit-{sha256_bytes(canonical(told).encode())[:16]}"


def _stopping(checked: Checked, held: Policy, old: Baseline | None) -> tuple[str, ...]:
    """Blocking diagnoses that neither the policy nor the baseline lets pass: there is no use in
    more work. Where they pass, the robustness must be known."""
    if held.allowed is None:
        return ()
    known = {*held.allowed, *(old.facts.blocking if old else ())}
    return tuple(each for each in checked.blocking if each not in known)


def _concluded(
    subject: Subject,
    checked: Checked,
    looked: _Looked,
    held: Policy,
    old: Baseline | None,
    directory: Path,
    begin: float,
) -> AuditResult:
    """The verdict, in the files of the directory."""
    rows = _rows(subject, checked, looked.run, directory)
    facts = facts_of(rows, subject.labelled, checked.blocking, checked.apart)
    rules = judge(held, facts, old.facts if old else None)
    told = _sentences(checked, looked, rows, facts, old)
    document = {
        "relrob": VERSION,
        "command": looked.command,
        "verdict": verdict_of(rules),
        "sentence": told[0],
        "sentences": list(told),
        "rules": [rule.json() for rule in rules],
        "policy": _policy(held),
        **subject.json(),
        **checked.json(),
        "robustness": looked.json(),
        "attacks": {} if looked.attacks is None else looked.attacks.json(timed=False),
        "baseline": _baseline(old, facts),
        "seconds": {
            "audit": round(monotonic() - begin, 3),
            "robustness": 0.0 if looked.run is None else looked.run.summary.seconds,
            **({} if looked.attacks is None else {"attacks": looked.attacks.seconds}),
        },
    }
    more = details(checked.pair, checked.weights, checked.runtimes)
    text = write_audit(directory, document, rows, more)
    load("relrob.report.html.write:write_audit_page")(directory)
    return AuditResult(
        verdict_of(rules),
        told,
        rules,
        rows,
        None if looked.run is None else looked.run.summary,
        directory,
        text,
    )


def _rows(
    subject: Subject, checked: Checked, run: VerifyResult | None, directory: Path
) -> tuple[Row, ...]:
    """A row for every image of the data set."""
    witnesses = dict[int, int]()
    if run is not None:
        with Store.read(directory / RUN) as store:
            views = [view for view in store.witnesses() if view.network == "quantised"]
        witnesses = {view.index: view.reference_label for view in views}
    pair, records = checked.pair, () if run is None else run.records
    given = (subject.data.labels, pair.reference_labels, pair.quantised_labels)
    labels, reference, quantised = (each.tolist() for each in given)
    found = {} if run is None else run.attacks
    return rows_of(labels, reference, quantised, records, witnesses, found)


def _sentences(
    checked: Checked, looked: _Looked, rows: tuple[Row, ...], facts: Facts, old: Baseline | None
) -> tuple[str, ...]:
    """What the audit found, the robustness first."""
    first = headline(rows)
    if looked.stopped:
        named = "; ".join(f"{name}: {IDS[name]}" for name in looked.stopped)
        first = f"{named}; so robustness was not run"
    summary = looked.run.summary if looked.run else None
    why = undecided(summary) if summary else []
    told = [
        first,
        beside(rows),
        attacked(rows),
        *why,
        checked.pair.sentence,
        runtimes_sentence(checked.runtimes),
    ]
    if summary is not None:
        told += ties(summary)
    if old is not None:
        told += [changed_since(changes(facts, old.facts)), old.warning]
    return tuple(each for each in told if each)


def _policy(held: Policy) -> dict[str, Any]:
    """The key policy of audit.json."""
    return {
        "path": readable(held.path),
        "lines": dict(held.lines),
        "thresholds": {name: limit.text() for name, limit in held.thresholds},
        "allowed": None if held.allowed is None else list(held.allowed),
        "population": held.population,
    }


def _baseline(old: Baseline | None, facts: Facts) -> dict[str, Any] | None:
    """The key baseline of audit.json."""
    if old is None:
        return None
    return {"path": readable(old.directory), **changes(facts, old.facts).json()}
