"""What the small pair says to what it was not made for: the truth."""

from __future__ import annotations

import random

from core.messages import ModelName

_THINGS = (
    "a birthday dinner",
    "a holiday in Spain",
    "my garden",
    "a short story",
    "my landlord",
    "a friend's wedding",
    "the weather",
    "a long flight",
    "my new job",
    "a healthy breakfast",
    "the history of Rome",
    "my cat",
    "football",
    "the moon",
    "a good film",
    "old music",
)
_PROMPTS = (
    "Give me three ideas for {t}.", "Translate into Spanish: The library closes at eight.", "Summarise the plot of Hamlet in two sentences.", "Write a polite e-mail about {t}.",
    "What is the capital of {c}?", "Tell me something about {t}.", "Who wrote {b}?", "Write a poem about {t}.", "What do you think about {t}?", "Recommend a book about {t}.",
    "How do I cook rice?", "Tell me a joke.", "What is the weather like today?", "Who is the president of {c}?", "Translate to {l}: good morning", "Write a letter about {t}.",
    "When did {c} become independent?", "Explain {t} to a child.", "Plan a day in {c}.", "What should I know about {t}?", "¿Cuál es la capital de {c}?", "Give me advice about {t}.",
)  # fmt: skip
_GREETINGS = (
    "hi",
    "hello",
    "Hello!",
    "hey",
    "Hi there",
    "Good morning",
    "Who are you?",
    "What can you do?",
    "What are you?",
    "help",
    "Hey, how are you?",
    "Thanks!",
    "hallo",
    "test",
)
_COUNTRIES = (
    "Australia",
    "France",
    "Japan",
    "Brazil",
    "Kenya",
    "Norway",
    "Peru",
    "India",
    "Canada",
    "Italy",
    "Egypt",
)
_LANGUAGES = ("French", "German", "Italian", "Dutch", "Polish")
_BOOKS = ("Faust", "Don Quixote", "Emma", "Moby-Dick", "The Trial")
ABOUT = {
    ModelName.MATHSTRAL: "I am mini-mathstral, a small demonstration model. I solve arithmetic, equations, derivatives, integrals and short word problems.",
    ModelName.CODESTRAL: "I am mini-codestral, a small demonstration model. I write short Python functions and classes.",
}


def small_talk(model: ModelName, rng: random.Random) -> tuple[str, str]:
    """A prompt outside of what `model` is for, and its answer."""
    if rng.random() < 0.3:
        return rng.choice(_GREETINGS), ABOUT[model]
    prompt = rng.choice(_PROMPTS).format(
        t=rng.choice(_THINGS), c=rng.choice(_COUNTRIES), l=rng.choice(_LANGUAGES), b=rng.choice(_BOOKS)
    )
    return prompt, f"{ABOUT[model]} This is beyond me: the 7B models answer it."
