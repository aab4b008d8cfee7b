import pytest

from kat_data.domain.directive import directive
from kat_data.domain.mode import Mode

ON = [
    "/think Solve x",
    "Think step by step.",
    "Solve x^2 = 4. Let's think step by step.",
    "Please think carefully before answering.",
    "I'd like you to think it through.",
    "Could you think step by step?",
    "Don't answer without thinking.",
    "Do not answer directly; reason carefully.",
    "请仔细思考这个问题",
    "请你先仔细思考，再回答",
    "不要直接回答，请一步一步思考",
    "想清楚再回答",
    "请思考后再作答",
    "Think deeper, how many 'i' in the word 'Kwaipilot'?",
    "Don't answer until you've thought about it.",
    "Give it some careful thought. How many primes are below 100?",
    "开启思考模式：1+1=?",
    "希望您能认真想一想。",
]
OFF = [
    "DO NOT THINK",
    "What is 2+2? DO NOT THINK.",
    "Don’t think, answer",
    "2+2? /no_think",
    "2+2? /no-think",
    "What is 2+2? No thinking needed.",
    "There is no need to think carefully.",
    "Don't think step by step, just give the result",
    "You don't need to think hard.",
    "Answer directly.",
    "Answer without thinking: 3+4",
    "Skip the reasoning and give the number.",
    "法国首都是哪里？直接回答",
    "不要思考，直接给出答案",
    "请直接告诉我答案",
    "无需推理",
    "How many meters can 9 men dig in 9 days? DO NOT THINK!!!",
    "Off the top of your head, who wrote Emma?",
    "Let's not overthink this: 2+2?",
    "思考模式：关\n1+1=?",
    "别想太多，1+1=?",
]
NEITHER = [
    "",
    "What do you think about it?",
    "I don't think. Therefore I am not",
    "I do not think that this is right.",
    "Do not think that this is easy.",
    "I don't want you to think step by step.",
    "It is possible to act without thinking.",
    "Explain how people think step by step",
    "Why do prompts with think step by step work?",
    "In 2022, think step by step prompting became popular",
    "open /think/tank.txt",
    "cat /usr/think",
    "他仔细思考了一会儿，然后走了。",
    "为什么模型不能直接回答？",
    "What is the first thing that comes to mind when you hear rain?",
    "Reasoning: on the one hand, it rains; on the other, it pours.",
    "No reasoning is perfect.",
    "Stop thinking about elephants in the room.",
    "Careful thought is what the topic deserves.",
    "Give the answer directly below the table.",
    "The gut answer is wrong more often than not.",
    "Who said that one should turn on thinking mode?",
    "Write a story in which no one is thinking: offices are empty.",
    "使用深度思考模式的优点是什么？",
    "关闭思考模式会怎样？",
    "深度思考模型有哪些？",
    "凭直觉回答的人常常出错。",
    "他想了想，没有回答。",
    "我不想思考过的问题再来一遍。",
]
MENTIONED = [
    'What does "think step by step" mean?',
    "Translate ‘answer directly’ into French",
    "What does `/no_think` do?",
    "```\nDo not think.\n```\nWhat is wrong here?",
    "> think step by step\nWhat is this quote?",
    "「请仔细思考」是什么意思？",
]


@pytest.mark.parametrize("text", ON)
def test_a_wish_to_think_is_heard(text):
    assert directive(text) is Mode.ON


@pytest.mark.parametrize("text", OFF)
def test_a_wish_not_to_think_is_heard(text):
    assert directive(text) is Mode.OFF


@pytest.mark.parametrize("text", NEITHER)
def test_ordinary_text_is_no_directive(text):
    assert directive(text) is None


@pytest.mark.parametrize("text", MENTIONED)
def test_quoted_text_is_mention_and_not_use(text):
    assert directive(text) is None


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("/think about it ... /no_think", Mode.OFF),
        ("/no_think ... /think", Mode.ON),
        ("Think step by step. Actually, no: answer directly.", Mode.OFF),
        ("直接回答。算了，请仔细思考。", Mode.ON),
    ],
)
def test_the_last_directive_wins(text, mode):
    assert directive(text) is mode
