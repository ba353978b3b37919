"""What a program does with OpenAI's own library against the router API; prints what it saw."""

import sys

import openai

base_url, key = sys.argv[1:3]
client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0)
HI = [{"role": "user", "content": "hi"}]
STRICT = {"x-neverdark-strict": "true"}


def chat(model="auto", **more):
    return client.chat.completions.create(model=model, messages=HI, **more)


def failing(what, call):
    try:
        call()
        print(f"{what}: no exception")
    except openai.APIStatusError as error:
        wait = error.response.headers.get("retry-after")
        print(f"{what}: {type(error).__name__} {error.status_code} {error.code} {error.param} {wait}")
    except openai.APIError as error:
        print(f"{what}: {type(error).__name__} {error.code}")


print("models:", " ".join(model.id for model in client.models.list()), "·", client.models.retrieve("alpha").owned_by)

raw = client.chat.completions.with_raw_response.create(model="auto", messages=HI)
answer = raw.parse()
choice = answer.choices[0]
print("chat:", choice.message.content, choice.finish_reason, answer.usage.total_tokens, raw.headers["x-neverdark-provider"])
print("turn:", len(raw.headers["x-neverdark-turn"]), answer.id == "chatcmpl-" + raw.headers["x-neverdark-turn"])

parts = list(chat(stream=True, stream_options={"include_usage": True}))
text = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
print("stream:", text, parts[0].choices[0].delta.role, parts[-2].choices[0].finish_reason, parts[-1].usage.total_tokens)

with client.chat.completions.stream(model="alpha", messages=HI) as stream:
    print("helper:", stream.get_final_completion().choices[0].message.content)

print("failover:", chat("down").choices[0].message.content)
print("filter:", chat("filter", extra_headers=STRICT).choices[0].finish_reason)

failing("wrong key", lambda: client.with_options(api_key="sk-wrong").models.list())
failing("unknown model", lambda: chat("nobody"))
failing("two choices", lambda: chat(n=2))
failing("too long", lambda: chat("narrow", extra_headers=STRICT))
failing("all failed", lambda: chat("limited", extra_headers=STRICT))
failing("no messages", lambda: client.chat.completions.create(model="auto", messages=[]))


def broken():
    for part in chat("broken", stream=True, extra_headers=STRICT):
        print("broken says:", part.choices[0].delta.content)


failing("broken stream", broken)

if "tools" in sys.argv[3:]:
    TOOLS = [{"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}]
    asked = client.chat.completions.create(model="handy", messages=HI, tools=TOOLS).choices[0]
    call = asked.message.tool_calls[0]
    print("call:", asked.finish_reason, call.type, call.function.name, call.function.arguments)
    told = HI + [asked.message, {"role": "tool", "tool_call_id": call.id, "content": "noon"}]
    print("then:", client.chat.completions.create(model="handy", messages=told, tools=TOOLS).choices[0].message.content)
    with client.chat.completions.stream(model="handy", messages=HI, tools=TOOLS) as stream:
        call = stream.get_final_completion().choices[0].message.tool_calls[0]
        print("streamed call:", call.function.name, call.function.arguments)
