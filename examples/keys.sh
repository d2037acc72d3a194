#!/bin/sh
# Make a key with limits, ask with it, see what it used, revoke it. Needs a running stack, `mathcode` and curl.
set -eu

url=${MATHCODE_URL:-http://127.0.0.1:8000}
name=example-$$

key=$(mathcode keys create "$name" --rate 60/min --tokens-rate 100000/min --max-queued 100 --daily-tokens 1000000)
trap 'mathcode keys revoke "$name"' EXIT

curl --silent --show-error --fail-with-body "$url/v1/jobs" \
    --header "Authorization: Bearer $key" \
    --header "Content-Type: application/json" \
    --header "Idempotency-Key: $name-1" \
    --data '{"prompt": "What is 2 + 2?", "max_tokens": 8}'

mathcode keys list
