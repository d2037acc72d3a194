"""A chat of two turns with the OpenAI client.

    OPENAI_API_KEY=mk_... python examples/openai_chat.py [URL]

The client asks for that variable; where keys are off, as they are on loopback, any text will do.
"""

from __future__ import annotations

import sys
from typing import Any

from openai import OpenAI

URL = "http://127.0.0.1:8000/v1"


def main(url: str) -> None:
    messages: list[Any] = [{"role": "system", "content": "Answer briefly."}]
    with OpenAI(base_url=url) as client:
        for question in ("Solve the equation: 2x^2 + 5x - 3 = 0", "And how do I check the result in Python?"):
            messages.append({"role": "user", "content": question})
            response = client.chat.completions.create(
                model="mathcode", messages=messages, max_completion_tokens=200, temperature=0
            )
            messages.append(response.choices[0].message)
            print(f"> {question}\n{response.choices[0].message.content}\n[{response.system_fingerprint}]\n")


if __name__ == "__main__":
    main(*(sys.argv[1:2] or [URL]))
