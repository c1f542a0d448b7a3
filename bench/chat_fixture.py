"""Writes what transformers (pip install transformers==5.24.0) renders: the fixture of runtime/chat/testdata.

    python bench/chat_fixture.py [--shared MODELS] OUT.json

Each template stands in the form in which its family publishes it, with the special tokens of that family, whether it
reads a list of parts, and a result for each conversation with and without the assistant's opening: a text, or null where
it raises an exception. With --shared the templates of published tokenizers there are added (MiniMind2, Qwen2.5).
"""

import argparse
import json
import pathlib

from transformers.utils.chat_template_utils import render_jinja_template

CHATML = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

QWEN25_VL = """{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}<|im_end|>
{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}{% set image_count.value = image_count.value + 1 %}{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>{% elif content['type'] == 'video' or 'video' in content %}{% set video_count.value = video_count.value + 1 %}{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}<|vision_start|><|video_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

LLAMA3 = """{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

LLAMA31 = """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- This block extracts the system message, so we can slot it into the right place. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}

{#- System message + builtin tools #}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if builtin_tools is defined or tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{%- if builtin_tools is defined %}
    {{- "Tools: " + builtin_tools | reject('equalto', 'code_interpreter') | join(", ") + "\\n\\n"}}
{%- endif %}
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none and not tools_in_user_message %}
    {{- "You have access to the following functions." }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}

{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

INTERNVL3_HF = """{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n'}}{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}{{ '<IMG_CONTEXT>\\n' }}{% elif content['type'] == 'video' %}{{ '<video>\\n' }}{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}{{'<|im_end|>\\n'}}{% endfor %}{% if add_generation_prompt %}{{'<|im_start|>assistant\\n' }}{% endif %}"""

INTERNLM2 = """{{ bos_token }}{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

LLAMA2 = """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"""

MISTRAL = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

{#- This block checks for alternating user/assistant messages, skipping tool calling messages #}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, conversation roles must alternate user/assistant/user/assistant/...") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}
"""

GEMMA = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}"""

# A list only, as LLaVA's processors have it.
LLAVA_HF = """{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': '}}{% endif %}{# Render all images first #}{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\\n' }}{% endfor %}{# Render all text next #}{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' '}}{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"""

# What no published template has in one place: white-space control, macros, slices, filters, tests, loop controls.
CORNERS = """{#- a comment -#}
  {% set names = ['x', "y", 'z'] -%}
text before  {% if true %}kept blanks{% endif %}  after
    {% if messages %}
  indented line
    {% endif %}
line with {{ '{% not a tag %}' }} and {{ "}} nor this" }} end {%- if true %} joined {%+ if true %} plus{% endif %}{% endif %}

{% macro turn(role, text='none', mark="#") %}
[{{ role }}{{ mark }}{{ text | trim }}]
{% endmacro %}
{%- for message in messages[::-1] %}
{{ turn(message.role, message['content'], mark=loop.index) }}
{{- loop.index0 ~ '/' ~ loop.length ~ ' ' ~ loop.revindex0 ~ (' first' if loop.first else '') ~ (' last' if loop.last) }}
{%- endfor %}
{% for m in messages if m.role == 'user' %}{{ loop.index }}:{{ m.content[:3] }}|{{ m.content[-2:] }}|{{ m.content | length }};{% else %}nobody{% endfor %}

{% set ns = namespace(found=false, n=1 + 2 * 3, s='a' ~ 1) %}
{% for m in messages %}{% if m.role == 'assistant' %}{% set ns.found = true %}{% break %}{% endif %}{% if m.role == 'system' %}{% continue %}{% endif %}{{ m.role }}{% endfor %}

{{ ns.found }} {{ ns.n }} {{ ns.s }} {{ none is none }} {{ undefined_thing is defined }} {{ messages is iterable }} {{ messages[0] is mapping }} {{ 'a' in 'abc' }} {{ 'role' in messages[0] }} {{ 'tools' not in messages[0] }}
{{ names | join(', ') }} {{ names[-1] }} {{ names | last }} {{ names[1:] | join }} {{ names | first | upper }} {{ undefined_thing | default('dflt') }} {{ ' a b '.strip().split(' ') | join('+') }} {{ 'x-y'.replace('-', '_') }} {{ 'Title'.startswith('T') and not 'q'.endswith('z') }} {{ 'abc' | replace('b', 'B') | capitalize }}
{{ messages[0] | tojson }} {{ {'b': 1, 'a': [true, none, 1.5, 'q"\\n<é>']} | tojson }} {{ [1, {'k': 'v'}] | tojson(indent=2) }}
{{ messages | map(attribute='role') | list | join(',') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ 7 // 2 }} {{ 7 % 4 }} {{ 7 / 2 }} {{ 2 * 3 }} {{ -3 | abs }} {{ 10 > 9 and 1 <= 1 or false }} {{ (1, 2) | length }} {{ 'a' * 3 }} {{ 'yes' if messages | length > 1 else 'no' }}
{% set block %}  captured {{ names[0] }}
{% endset %}{{ block | trim }}|{{ range(3) | join('') }}{{ range(5)[1] }}|{% for i in range(1, 7, 2) %}{{ i }}{{ ',' if not loop.last }}{% endfor %}|{% for k, v in {'p': 1, 'q': 2}.items() %}{{ k }}={{ v }};{% endfor %}{% for k, v in messages[0] | items %}{{ k }}={{ v }};{% endfor %}
{% if messages[0].tool_calls is defined and messages[0].tool_calls %}tools{% elif messages[0].nothing %}nothing{% else %}none of them{% endif %}

{% generation %}generated{% endgeneration %}{% raw %}{{ raw }} {% x %}{% endraw %}
{%- set x = 5 %}{% if x == 5 %}{% set x = 6 %}{% endif %}{{ x }}{% for i in [1] %}{% set x = 7 %}{% endfor %}{{ x }}
"""

TEMPLATES = {  # name: (template, variables, reads a list of parts)
    "chatml": (CHATML, {}, False),
    "qwen2.5-vl": (QWEN25_VL, {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}, True),
    "llama-3": (LLAMA3, {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}, False),
    "llama-3.1": (LLAMA31, {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}, False),
    "internvl3-hf": (INTERNVL3_HF, {"eos_token": "<|im_end|>"}, True),
    "internlm2": (INTERNLM2, {"bos_token": "<s>", "eos_token": "</s>"}, False),
    "llama-2": (LLAMA2, {"bos_token": "<s>", "eos_token": "</s>"}, False),
    "mistral": (MISTRAL, {"bos_token": "<s>", "eos_token": "</s>"}, False),
    "gemma": (GEMMA, {"bos_token": "<bos>"}, False),
    "llava-hf": (LLAVA_HF, {}, True),
    "corners": (CORNERS, {"bos_token": "<s>"}, False),
}


def text(s):
    return {"type": "text", "text": s}


IMAGE, VIDEO = {"type": "image"}, {"type": "video"}
CONVERSATIONS = [
    [("user", [text("Hello!")])],
    [("system", [text("Be brief.")]), ("user", [text("  What is 2+2?\n")])],
    [("user", [text("a")]), ("assistant", [text(" b ")]), ("user", [text("c <|im_end|> {{ d }} {% e %}")])],
    [("system", [text("S")]), ("user", [text("u1")]), ("assistant", [text("a1")]), ("user", [text("u2 \u00e9\u4f60\U0001f600\n\nx")]), ("assistant", [text("a2")])],
    [("user", [IMAGE, text("Where?")])],
    [("system", [text("Look.")]), ("user", [IMAGE, IMAGE, text("Same? "), text("Say."), VIDEO]), ("assistant", [text("Yes.")]), ("user", [text("Sure?"), IMAGE])],
    [("assistant", [text("first")]), ("user", [text("")])],
    [("user", [text("one")]), ("user", [text("two")])],
    [("user", [text("'quotes' \"double\" \\ back\tslash & <tag>")]), ("assistant", [text("<tool_response>x</tool_response>")]), ("user", [text("<think>\n</think>")])],
]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--shared", type=pathlib.Path)
    p.add_argument("out", type=pathlib.Path)
    a = p.parse_args()
    templates = dict(TEMPLATES)
    for name in ("minimind2-small", "qwen2.5-vl") if a.shared else ():
        config = json.loads((a.shared / name / "tokenizer_config.json").read_text())
        tokens = {k: v for k, v in config.items() if k.endswith("_token") and isinstance(v, str)}
        templates[{"qwen2.5-vl": "qwen2.5"}.get(name, name)] = (config["chat_template"], tokens, False)
    out = []
    for name, (template, variables, parts) in templates.items():
        results = []
        for conversation in CONVERSATIONS:
            if not parts and any(p["type"] != "text" for _, content in conversation for p in content):
                results.append(None)
                continue
            messages = [{"role": r, "content": c if parts else "".join(p["text"] for p in c)} for r, c in conversation]
            pair = []
            for opening in (False, True):
                try:
                    pair.append(render_jinja_template([messages], chat_template=template, add_generation_prompt=opening, **variables)[0][0])
                except Exception as e:
                    print(f"{name}: {type(e).__name__}: {e}")
                    pair.append(None)
            results.append(pair)
        out.append({"name": name, "template": template, "variables": variables, "parts": parts, "results": results})
    conversations = [[{"role": r, "content": c} for r, c in conversation] for conversation in CONVERSATIONS]
    a.out.write_text(json.dumps({"conversations": conversations, "templates": out}, indent=1, ensure_ascii=False) + "\n")


main()
