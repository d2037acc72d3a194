"""The learned router: forced, rules that are certain, custom keywords, the classifier, and keywords where it fails."""

from __future__ import annotations

import logging
import re

from core.messages import Route, TaskType
from ensemble.prompting import unwrap
from ensemble.router_model import BadWeights, Classifier, Verdict
from ensemble.routing import Router

log = logging.getLogger(__name__)

KEYWORDS_VERSION = "keywords"
CERTAIN = (
    (
        "a stack trace",
        re.compile(r"Traceback \(most recent call last\)|(?m:^\s{1,12}at [\w.$<>]{1,80}\([^)\n]{1,80}:\d)"),
    ),
    ("a diff", re.compile(r"(?m)^(?:diff --git |@@ -\d{1,6})")),
    ("a code block with 'fix'", re.compile(r"(?is)\bfix\b.{0,2000}```|```.{0,2000}\bfix\b")),
)


class LearnedRouter(Router):
    """Routes by a classifier. A `keywords` router answers where there are no weights or something goes wrong."""

    def __init__(
        self,
        keywords: Router,
        classifier: Classifier | BadWeights,
        *,
        custom: Router,
        threshold: float,
        other: TaskType,
    ) -> None:
        self._keywords = keywords
        self._classifier = classifier
        self._custom = custom
        self._threshold = threshold
        self._other = other

    @property
    def version(self) -> str:
        return self._classifier.version if isinstance(self._classifier, Classifier) else KEYWORDS_VERSION

    @property
    def alarm(self) -> str | None:
        """Why keywords answer, or None."""
        return f"{self._classifier}: keywords route" if isinstance(self._classifier, BadWeights) else None

    def route(self, prompt: str, forced: TaskType | None = None) -> Route:
        """Decide for `prompt`; never raises."""
        if forced is not None or isinstance(self._classifier, BadWeights):
            route = self._keywords.route(prompt, forced)
            return route.model_copy(update={"version": KEYWORDS_VERSION, "is_fallback": forced is None})
        try:
            return self._decide(prompt, self._classifier)
        except Exception:
            log.exception("the learned router failed; keywords answer")
            route = self._keywords.route(prompt)
            return route.model_copy(update={"version": KEYWORDS_VERSION, "is_fallback": True})

    def _decide(self, prompt: str, classifier: Classifier) -> Route:
        text = unwrap(prompt)
        head = text[:8_192]
        for name, pattern in CERTAIN:
            if pattern.search(head):
                return Route(
                    task_type=TaskType.CODE, confidence=1.0, reasons=(f"certain: {name}",), version=self.version
                )
        own = self._custom.own_evidence(text)
        if own is not None:
            return own.model_copy(update={"version": self.version})
        return self._judged(classifier.judge(text))

    def _judged(self, verdict: Verdict) -> Route:
        label = verdict.label
        chance = verdict.probabilities[label]
        reasons = verdict.reasons(label)
        task_type = self._other if label == "OTHER" else TaskType[label]
        if label == "OTHER":
            reasons += (f"general talk goes to {self._other}",)
        elif chance < self._threshold:
            reasons += (f"{label.lower()} is below the threshold {self._threshold}: both models answer",)
            task_type = TaskType.HYBRID
        return Route(
            task_type=task_type,
            confidence=round(chance, 3),
            reasons=reasons or ("nothing stood out",),
            version=self.version,
            probabilities={name.lower(): round(value, 4) for name, value in verdict.probabilities.items()},
        )
