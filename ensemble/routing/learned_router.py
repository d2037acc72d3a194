"""The learned router: what was forced, what is certain, the classifier, and keywords where it fails."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from core.messages import Route, RouteLabel, TaskType
from ensemble.prompting import unwrap
from ensemble.routing.certainties import find_certainty
from ensemble.routing.classifier import BadWeights, Classifier, Spoke, say
from ensemble.routing.keyword_router import KeywordRouter
from ensemble.routing.keyword_search import KeywordSet, SearchedText
from ensemble.routing.labels import LABELS, decide

logger = logging.getLogger(__name__)

KEYWORD_WEIGHT = 6.0
"""What each of the operator's own keywords adds to the logit of its class: one mostly decides."""


class LearnedRouter:
    """Routes by a classifier; `fallback` answers where there are no weights or something goes wrong."""

    def __init__(
        self,
        classifier: Classifier | BadWeights,
        fallback: KeywordRouter,
        *,
        keywords: dict[RouteLabel, KeywordSet] | None = None,
        threshold: float,
        general: TaskType,
    ) -> None:
        self._classifier = classifier
        self._fallback = fallback
        self._keywords = {label: known for label, known in (keywords or {}).items() if known}
        self._threshold = threshold
        self._general = general

    @property
    def version(self) -> str:
        return self._classifier.version if isinstance(self._classifier, Classifier) else self._fallback.version

    @property
    def alarm(self) -> str | None:
        return f"{self._classifier}; keywords route" if isinstance(self._classifier, BadWeights) else None

    def route(self, prompt: str, forced: TaskType | None = None) -> Route:
        """Decide for `prompt`, wrapped in `[INST]` or not; `forced` wins over all evidence. Never raises."""
        if forced is not None:
            return self._fallback.route(prompt, forced).model_copy(update={"version": self.version})
        if isinstance(self._classifier, BadWeights):
            return self._by_keywords(prompt)
        try:
            return self._decide(unwrap(prompt), self._classifier)
        except Exception:  # a wrong route is better than a refused request
            logger.exception("ALARM: the learned router failed; keywords answer")
            return self._by_keywords(prompt)

    def _by_keywords(self, prompt: str) -> Route:
        return self._fallback.route(prompt).model_copy(update={"is_fallback": True})

    def _decide(self, text: str, classifier: Classifier) -> Route:
        if certainty := find_certainty(text):
            return Route(
                task_type=TaskType.CODE,
                confidence=1.0,
                reasons=(f"certain: {certainty}",),
                version=classifier.version,
                label=RouteLabel.CODE,
            )
        verdict = classifier.judge(text, self._own_words(text))
        decision = decide(verdict.chances, threshold=self._threshold, general=self._general)
        reasons = verdict.reasons(decision.label) or ("nothing stood out",)
        return Route(
            task_type=decision.task_type,
            confidence=round(verdict.chances[decision.label], 4),
            reasons=reasons if decision.why is None else (*reasons, decision.why),
            version=classifier.version,
            label=decision.label,
            probabilities={label: round(verdict.chances[label], 4) for label in LABELS},
        )

    def _own_words(self, text: str) -> Sequence[Spoke]:
        """What the operator's own keywords say."""
        if not self._keywords:
            return ()
        searched = SearchedText.of(text)
        return [
            (f"your {label} keyword '{keyword}'", say(label, KEYWORD_WEIGHT))
            for label, known in self._keywords.items()
            for keyword in known.found_in(searched)
        ]
