"""Chat templates of the published kinds, written anew: what each kind is known for, and no more."""

CHATML = """{% for message in messages %}<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

DEFAULT_SYSTEM = """{%- if messages[0]['role'] == 'system' -%}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else -%}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif -%}
{%- for message in messages -%}
    {%- if not (message.role == 'system' and loop.first) -%}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' }}{%- endif -%}"""

TOOLS_FIRST = """{%- if tools %}
    {{- '<|im_start|>system\\n# Tools\\n' }}
    {%- for tool in tools %}{{- tool | tojson }}{%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
        {%- for call in message.tool_calls %}
            {{- '\\n<tool_call>' + call.function.name + call.function.arguments | tojson }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""

THINKING_SWITCH = """{%- set ns = namespace(last=messages|length - 1, searching=true) %}
{%- for message in messages[::-1] %}
    {%- if ns.searching and message.role == 'user' %}
        {%- set ns.searching = false %}{%- set ns.last = messages|length - 1 - loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == 'assistant' and '</think>' in content %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

OPENS_A_THOUGHT = """{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}
{{- '<|User|>' + m.content }}
{%- elif m.role == 'assistant' %}<|Assistant|>{{ m.content.split('</think>')|last }}{{ eos_token }}
{%- else %}{{ m.content }}{% endif %}{% endfor -%}
{% if add_generation_prompt %}<|Assistant|><think>
{% endif %}"""

HEADERS = """{{- bos_token }}{% for message in messages %}
{%- set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'
    + message['content'] | trim + '<|eot_id|>' %}
{{- content }}{% endfor %}
{%- if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

HEADERS_WITH_A_DATE = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}{%- set messages = messages[1:] %}
{%- else %}{%- set system_message = "" %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}{{- "Environment: ipython\\n" }}{%- endif %}
{{- "Cutting Knowledge Date: December 2023\\nToday Date: " + date_string + "\\n\\n" }}
{{- system_message + "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
    {{- message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"""

INST = """{{ bos_token }}{% for message in messages %}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
    {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{%- endif %}
{%- if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}
{%- elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}
{%- else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}
{%- endfor %}"""

INST_WITH_SYS = """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}
{%- set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}
{%- set system_message = false %}{% endif %}{% for message in loop_messages %}
{%- if loop.index0 == 0 and system_message != false %}
{%- set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}
{%- else %}{% set content = message['content'] %}{% endif %}
{%- if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
{%- elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}
{%- endfor %}"""

INST_LAST_SYSTEM = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}{%- set loop_messages = messages[1:] %}
{%- else %}{%- set loop_messages = messages %}{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST]" + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}{{- "[INST]" + message["content"] + "[/INST]" }}{%- endif %}
    {%- elif message["role"] == "assistant" %}{{- message["content"]|trim + eos_token }}{%- endif %}
{%- endfor %}"""

SYSTEM_PROMPT_TAG = """{{- bos_token }}{%- set today = strftime_now("%Y-%m-%d") %}
{%- if messages[0]['role'] != 'system' %}
{{- '[SYSTEM_PROMPT]The current date is ' ~ today ~ '[/SYSTEM_PROMPT]' }}
{%- endif %}
{%- for message in messages %}
    {%- if message['role'] == 'user' %}{{- '[INST]' + message['content'] + '[/INST]' }}
    {%- elif message['role'] == 'system' %}
        {{- '[SYSTEM_PROMPT]' + message['content'] + '[/SYSTEM_PROMPT]' }}
    {%- elif message['role'] == 'assistant' %}{{- message['content'] + eos_token }}
    {%- else %}{{- raise_exception('Only user, system and assistant roles!') }}{%- endif %}
{%- endfor %}"""

TURNS = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}
{{- raise_exception('System role not supported') }}{% endif %}{% for message in messages %}
{%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
{{- '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}
{%- endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"""

TURNS_WITH_PARTS = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- else -%}{%- set first_user_prefix = messages[0]['content'][0]['text'] + '\\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}{%- set first_user_prefix = "" -%}{%- set loop_messages = messages -%}{%- endif -%}
{%- for message in loop_messages -%}
    {%- set role = "model" if message['role'] == 'assistant' else message['role'] -%}
    {{ '<start_of_turn>' + role + '\\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}{{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}"""

END_TAGS = """{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'user' %}{{'<|user|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>
' + message['content'] + '<|end|>
'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>
' }}{% else %}{{ eos_token }}{% endif %}"""

SEPARATOR = """{% for message in messages %}
{{- '<|im_start|>' ~ message.role ~ '<|im_sep|>' ~ message.content ~ '<|im_end|>' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"""

ROLE_LINES = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""

USER_COLON = """{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] + ' ' }}
{%- set messages = messages[1:] %}{% else %}
{{- 'A chat between a curious user and an artificial intelligence assistant. ' }}{% endif %}
{%- for message in messages %}{% if message['role'] == 'user' %}
{{- 'USER: ' + message['content'] + ' ' }}{% else %}
{{- 'ASSISTANT: ' + message['content'] + eos_token }}{% endif %}{% endfor %}
{%- if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"""

INSTRUCTION_RESPONSE = """{% for message in messages %}{% if message['role'] == 'user' %}
### Instruction:
{{ message['content'] | trim }}

{% elif message['role'] == 'assistant' %}
### Response:
{{ message['content'] | trim }}{{ eos_token }}

{% endif %}{% endfor %}{% if add_generation_prompt %}### Response:
{% endif %}"""

CORRECT_USER = """{{ bos_token }}{% for message in messages %}
{{- 'GPT4 Correct ' + message['role'].title() + ': ' + message['content'] + '<|end_of_turn|>' }}
{%- endfor %}{% if add_generation_prompt %}{{ 'GPT4 Correct Assistant:' }}{% endif %}"""

TURN_TOKENS = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}
{%- set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}
{%- elif false == true %}{% set loop_messages = messages %}{% set system_message = 'Default' %}
{%- else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}
{%- if system_message != false %}
{{- '<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>' + system_message + '<|END_OF_TURN_TOKEN|>' }}
{%- endif %}
{%- for message in loop_messages %}{% set content = message['content'] %}
{%- set name = {'user': 'USER', 'assistant': 'CHATBOT'}[message['role']] %}
{{- '<|START_OF_TURN_TOKEN|><|' + name + '_TOKEN|>' + content.strip() + '<|END_OF_TURN_TOKEN|>' }}
{%- endfor %}{% if add_generation_prompt %}
{{- '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"""

DOUBLE_NEWLINES = """{% if not add_generation_prompt is defined %}
{%- set add_generation_prompt = false %}{% endif %}{{ bos_token }}{% for message in messages %}
{%- if message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\\n\\n' }}
{%- elif message['role'] == 'assistant' %}
{{- 'Assistant: ' + message['content'] + eos_token }}{% elif message['role'] == 'system' %}
{{- message['content'] + '\\n\\n' }}{% endif %}{% endfor %}
{%- if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"""

ROLE_BRACKETS = """{% for message in messages %}
{%- if loop.first and message['role'] != 'system' %}{{ '[|system|][|endofturn|]\\n' }}{% endif %}
{{- '[|' + message['role'] + '|]' + message['content'] }}
{%- if not message['role'] == 'user' %}{{ '[|endofturn|]' }}{% endif %}
{%- if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}
{%- if add_generation_prompt %}{{ '\\n[|assistant|]' }}{% endif %}"""

ROLE_HEADER_TAGS = """{%- for message in messages %}
{{- '<|start_of_role|>' + message['role'] + '<|end_of_role|>' + message['content']
    + '<|end_of_text|>\\n' }}
{%- if loop.last and add_generation_prompt %}
    {{- '<|start_of_role|>assistant' }}
    {%- if controls %}{{- ' ' + controls | tojson() }}{%- endif %}
    {{- '<|end_of_role|>' }}
{%- endif %}
{%- endfor %}"""

DOCUMENTS = """{%- if documents %}{{- 'Documents:\\n' }}
{%- for document in documents %}{{- loop.index ~ ': ' ~ document.text ~ '\\n' }}{%- endfor %}
{%- endif %}
{%- for message in messages %}{{- message.role ~ ': ' ~ message.content ~ '\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- 'assistant: ' }}{%- endif %}"""

GENERATION = """{% for message in messages %}{% if message.role == 'assistant' %}<|assistant|>
{% generation %}{{ message.content + eos_token }}{% endgeneration %}
{% else %}{{ '<|' + message.role + '|>' }}
{{ message.content }}
{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>
{% endif %}"""

BREAKS = """{% for message in messages %}{% if message.role == 'system' %}{% continue %}{% endif %}
{%- if loop.index > 4 %}{% break %}{% endif %}{{ loop.index }}. {{ message.content }}
{% endfor %}{% if add_generation_prompt %}>{% endif %}"""

MACROS = """{%- macro turn(role, content, end=true) -%}
    {{- '<' ~ role ~ '>' ~ content ~ ('</' ~ role ~ '>' if end else '') -}}
{%- endmacro -%}
{%- for message in messages -%}
    {{- turn(message.role, message.content | replace('\\n', ' ')) }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- turn('assistant', '', end=false) }}{%- endif -%}"""

FILTERS = """{%- for group in messages | batch(2) -%}
{%- for message in group -%}
    {{- message.role | upper }}|{{ message.content | trim | length }}|
    {{- message.content | replace('e', '3') | truncate(12, true, '') | indent(2) }};
{%- endfor -%}
{%- endfor -%}
{%- set roles = messages | map(attribute='role') | unique | join(',') -%}
{{ roles }}{{ '%s/%02d' | format(messages | length, 7) }}{{ messages | tojson(indent=1) }}"""

NAMESPACES = """{%- set ns = namespace(system='', turns=0) -%}
{%- for message in messages -%}
    {%- if message.role == 'system' -%}{%- set ns.system = ns.system + message.content -%}
    {%- else -%}{%- set ns.turns = ns.turns + 1 -%}{%- endif -%}
{%- endfor -%}
{{- dict(turns=ns.turns, system=ns.system) | tojson }}{{ '-' * 8 }}{{ [1, 2] + [3] }}
{%- for at in range(ns.turns) -%}{{ at }}{%- endfor -%}"""

SPECIAL_TOKENS = """{{ bos_token }}{{ unknown_token }}{% for message in messages %}
{{- eos_token if loop.index0 else '' }}{{ message['content'] }}{% endfor %}"""

TEMPLATES = {name: text for name, text in globals().items() if name.isupper()}
