"""A trial's steps in order, and what it found: {"NAME of an ask": report, "load": report, "trouble": why it ended}.

Trials are run when an item first asks for one, and once a check. What was found after trouble, and what a load found
beside it, is left out: a service that never rolled out has lost no request, and that is no merit.

An ask that is `needed` ends the trial when it fails. A restart reports under its name in `most` how many of the pods
were ready at once. In a step, {nonce} stands for a word made for this trial, {namespace} for the namespace,
{secrets/NAME/KEY} and {configmaps/NAME/KEY} for what lies there.
"""

import base64
import re
import uuid
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from labkit.api import Api, Object
from labkit.errors import ClusterError, WaitTimeout
from labkit.rubric import Trial
from labkit.trials.claims import search
from labkit.trials.faults import Faults, Trouble
from labkit.trials.probe import Probe
from labkit.trials.visitor import UNKNOWN

STORED = re.compile(r"\{(secrets|configmaps)/([\w.-]+)/([\w.-]+)\}")


class Trials:
    """The trials of one check; a context manager, since they need a pod that asks."""

    def __init__(self, api: Api, namespace: str, trials: dict[str, Trial], tell: Callable[[str], None],
                 leads: Mapping[str, str] = MappingProxyType({})) -> None:  # fmt: skip
        self.api, self.namespace, self.trials, self.tell, self.leads = api, namespace, trials, tell, leads
        self._probe: Probe | None = None
        self._found: dict[str, Object | ClusterError] = {}

    def __enter__(self) -> "Trials":
        return self

    def __exit__(self, *_: object) -> None:
        if self._probe is not None:
            self._probe.close()

    def result(self, name: str) -> Object:
        """Return what the trial found, running it if that has not been done; raises ClusterError, every time anew."""
        if name not in self._found:
            try:
                self._found[name] = self._run(self.trials[name])
            except ClusterError as error:
                self._found[name] = error
        found = self._found[name]
        if isinstance(found, ClusterError):
            raise found
        return found

    def _run(self, trial: Trial) -> Object:
        self.tell(f"• {trial.about}")
        self._probe = self._probe or Probe(self.api, self.namespace)
        faults = Faults(self.api, self.namespace, trial.within)
        if faults.left_over():
            self.tell("• taking back what a check that broke off has left changed (about 5 s)")
            faults.undo()
        found: Object = {"kind": "Trial", "metadata": {"name": trial.name}}
        try:
            for service, selector in self.leads.items():
                refuse_stranger(self.api, self.namespace, service, selector)
            fill = Filler(self.api, self.namespace)
            for selector in [step["kill"] for step in trial.steps if "kill" in step]:
                if trial.load:
                    faults.settled(selector)  # else the load would count what went well while that was waited for
                faults.calm(selector)
            if trial.load:
                self._probe.start_load(fill(trial.load))
            for step in trial.steps:
                found |= take(fill(step), self._probe, faults)
        except Trouble as trouble:
            found |= {"trouble": str(trouble), "nothing": trouble.nothing}
        except WaitTimeout as late:
            found |= {"trouble": " ".join(f"{late.what}; {late.value}".split())}
        finally:
            faults.undo()
            load = self._probe.stop_load() if trial.load else None
        return found | ({"load": load} if load and "trouble" not in found else {})


def take(step: dict[str, Any], probe: Probe, faults: Faults) -> Object:
    """Take one step; return the report of an ask under the ask's name."""
    match step:
        case {"ask": name, **plan}:
            told = probe.ask(plan)
            if told["failed"] and plan.get("needed"):
                raise Trouble(told["said"], nothing=UNKNOWN in told["said"])  # a name that nobody bears yet
            return {name: told}
        case {"look": name, "pods": selector, "contains": word}:
            return {name: search(faults.api, faults.namespace, selector, word, faults.within)}
        case {"kill": selector}:
            faults.kill(selector)
        case {"upset": selector, **plan}:
            faults.upset(selector, lambda address: probe.ask(_at(plan, address)))
        case {"restart": selector, "most": name}:
            most = faults.restart(selector)
            return {name: {"most": most, "said": f"at most {most} ready at once"}}
        case {"restart": selector}:
            faults.restart(selector)
        case {"scale": selector, "to": count}:
            faults.scale(selector, count)
        case {"patch": what, "with": change}:
            faults.patch(what, change)
        case {"remake": name}:
            faults.remake(name)
        case {"undo": _}:
            faults.undo()
    return {}


def refuse_stranger(api: Api, namespace: str, service: str, selector: str) -> None:
    """Raise Trouble where a Service leads to others than the pods that are tried: their answers would say nothing."""
    if name := ((api.get("services", service, namespace) or {}).get("spec") or {}).get("externalName"):
        raise Trouble(f"Service {service} is another name of {name}, not of pods with {selector}")
    pods = api.items("pods", namespace)
    meant = {p["metadata"]["uid"] for p in api.items("pods", namespace, label_selector=selector)}
    others = [p for p in pods if p["metadata"]["uid"] not in meant]
    strange = {p["metadata"]["uid"] for p in others} | {p["status"].get("podIP") for p in others}
    for each in api.items("endpointslices", namespace, label_selector=f"kubernetes.io/service-name={service}"):
        for endpoint in each.get("endpoints") or []:
            target = endpoint.get("targetRef") or {}
            if not target or strange & {target.get("uid"), *endpoint["addresses"]}:  # who is gone leaves the slice too
                who = f"pod {target['name']}" if target else endpoint["addresses"][0]
                raise Trouble(f"Service {service} leads to {who}, which does not carry {selector}")


class Filler:
    """Puts in what a step's {words} stand for; raises Trouble for what is not stored."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api, self.namespace, self.nonce = api, namespace, f"n{uuid.uuid4().hex[:8]}"

    def __call__(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self(each) for each in value]
        if not isinstance(value, str):
            return value
        plain = value.replace("{nonce}", self.nonce).replace("{namespace}", self.namespace)
        return STORED.sub(lambda match: self._stored(*match.groups()), plain)

    def _stored(self, resource: str, name: str, key: str) -> str:
        data = (self.api.get(resource, name, self.namespace) or {}).get("data") or {}
        if key not in data:
            raise Trouble(f"no {resource.removesuffix('s')} {name} with the key {key}", nothing=True)
        text = base64.b64decode(data[key]).decode(errors="replace") if resource == "secrets" else data[key]
        return text.strip()


def _at(plan: dict[str, Any], address: str) -> dict[str, Any]:
    return {**plan, "url": plan["url"].replace("{address}", address)}
