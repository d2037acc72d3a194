"""Answer many prompts as one batch with OpenAI's own client.

    OPENAI_API_KEY=mk_... python examples/batch.py http://127.0.0.1:8000/v1

What has an answer is in the output file, what has none in the error file; their order is not that of the input.
"""

import json
import sys
import time

from openai import OpenAI

PROMPTS = ["Solve the equation: 2x^2 + 5x - 3 = 0", "Implement a queue in Python", "What is a fixed point?"]


def main() -> None:
    base_url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000/v1"
    client = OpenAI(base_url=base_url)
    content = "\n".join(json.dumps(request(number, prompt)) for number, prompt in enumerate(PROMPTS))
    file = client.files.create(file=("prompts.jsonl", content.encode()), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        time.sleep(0.5)
        batch = client.batches.retrieve(batch.id)
    for error in (batch.errors.data if batch.errors else None) or []:
        print(f"line {error.line}: {error.message}", file=sys.stderr)
    if batch.output_file_id:
        for line in client.files.content(batch.output_file_id).text.splitlines():
            answer = json.loads(line)
            text = answer["response"]["body"]["choices"][0]["message"]["content"]
            print(f"{answer['custom_id']}: {text}")
    if batch.error_file_id:
        print(client.files.content(batch.error_file_id).text, file=sys.stderr)
    sys.exit(0 if batch.request_counts and batch.request_counts.completed == len(PROMPTS) else 1)


def request(number: int, prompt: str) -> dict[str, object]:
    body = {"model": "mathcode", "messages": [{"role": "user", "content": prompt}], "max_tokens": 32}
    return {"custom_id": f"prompt-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


if __name__ == "__main__":
    main()
