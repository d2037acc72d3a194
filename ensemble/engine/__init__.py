"""One loaded model answering many requests at once.

`engine` (the loop) knows neither tensors nor texts: it asks a `Runner` for tokens and a `Detokenizer` for text.
`BatchRunner` runs all sequences together and knows no architecture: it asks a `SlotNetwork` (`mistral_network`,
`mamba2_network`) for logits. `tokenizer`, `engine` and `scripted` serve processes without torch, so this file
imports nothing.
"""
