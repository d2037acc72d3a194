"""One loaded model answering many requests at once.

`engine` (the loop) knows neither tensors nor texts: it asks a `Runner` for tokens and a `Detokenizer` for text.
Only `model_runner`, `sampling`, `loading`, `kernels`, `tiny` and `build` reach torch; `tokenizer` and `scripted`
serve processes without it, so this file imports nothing.
"""
