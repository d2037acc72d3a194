"""The two models as one: routing, prompting and merging are pure; `engine` is where torch lives."""
