"""An answer as it appears, with the OpenAI client.

OPENAI_API_KEY=mk_... python examples/openai_stream.py [URL]
"""

from __future__ import annotations

import sys

from openai import APIError, OpenAI

URL = "http://127.0.0.1:8000/v1"


def main(url: str) -> int:
    with OpenAI(base_url=url) as client:
        stream = client.chat.completions.create(
            model="codestral",
            messages=[{"role": "user", "content": "Implement a binary search tree in Python"}],
            max_completion_tokens=200,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"priority": "high", "deadline_s": 120},
        )
        try:
            for chunk in stream:
                for choice in chunk.choices:
                    print(choice.delta.content or "", end="", flush=True)
                if chunk.usage:
                    print(f"\n[{chunk.usage.completion_tokens} tokens]")
        except APIError as error:  # also one that ends a stream midway
            print(f"\n{error.message}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:2] or [URL])))
