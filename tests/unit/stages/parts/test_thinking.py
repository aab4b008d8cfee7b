import pytest

from kat_data.stages.parts.thinking import split_headed, split_tagged


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>\nHm.\n</think>\n42", ("\nHm.\n", "\n42")),
        ("Hm.</think>42", ("Hm.", "42")),
        ("42", ("", "42")),
    ],
)
def test_tagged_thinking_is_set_apart_also_without_its_opening_tag(text, parts):
    assert split_tagged(text) == parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("### Thinking\nHm.\n\n### Answer\n42", ("Hm.", "42")),
        ("### Reflection\nHm.\n### Improved answer:\n42", ("Hm.", "42")),
        ("### 思考\n想。\n### 答案\n42", ("想。", "42")),
        ("Hm.\n\n### Answer\n42\n\n### Explanation\nSix sevens.", ("Hm.", "42\n\n### Explanation\nSix sevens.")),
        ("### Step 1\nHm.\n\nAgain.\n\n\\boxed{42}", ("### Step 1\nHm.\n\nAgain.", "\\boxed{42}")),
        ("Loop.\n\n```python\na = 1\n\nb = 2\n```\nDone.", ("Loop.", "```python\na = 1\n\nb = 2\n```\nDone.")),
        ("42", ("", "42")),
        ("### Answer\n42", ("", "42")),
        ("### Thinking\nHm.", ("", "Hm.")),
    ],
)
def test_headed_parts_are_told_apart(text, parts):
    assert split_headed(text) == parts
