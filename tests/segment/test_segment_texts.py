"""Text segmenters on hard cases; every expected step is written by hand."""

import pytest

from stepcredit import segment
from stepcredit.errors import StepCreditError


def steps(name, text, **options):
    return [text[start:end] for start, end in segment.get(name)(text, **options)]


@pytest.mark.parametrize("name", segment.text_names())
@pytest.mark.parametrize("text", ["", " ", "\n", "\r\n\r\n", " \t\u3000\x0b\u2028\n \n\n"])
def test_nothing_but_white_space_has_no_step(name, text):
    spans = segment.get(name)(text)
    assert spans.shape == (0, 2) and spans.dtype == "int64"


@pytest.mark.parametrize("name", ["lines", "paragraphs", "numbered", "separator", "thought_action"])
@pytest.mark.parametrize(
    "line",
    [
        "one\x0btwo\x0cthree\x1cfour\x85five\u2028six\u2029seven",
        "family 👨‍👩‍👧‍👦, flag 🏳️‍🌈, e\u0301, \U0001f600",
        "lone \ud83d and \udc00 surrogates",
    ],
)
def test_only_cr_and_lf_end_a_line_and_no_character_is_torn(name, line):
    assert steps(name, f"  {line}\n") == [line]


def test_lines():
    text = "Steps:\r\n  a = 1 \r\r\n\n```\n\nx\n\n```\n\\[\ny\n\\]"
    assert steps("lines", text) == ["Steps:", "a = 1", "```", "x", "```", "\\[", "y", "\\]"]


PARAGRAPHS = {
    "blank lines of all kinds cut": ("a\n\nb\r\n\r\nc\r\rd\n \t\u3000\ne\r\n\nf", ["a", "b", "c", "d", "e", "f"]),
    "one line end does not": ("a\r\nb\nc\rd", ["a\r\nb\nc\rd"]),
    "a fence stays whole": ("a\n\n```py\nx\n\ny\n```\n\nb", ["a", "```py\nx\n\ny\n```", "b"]),
    "a tilde fence stays whole": ("~~~\nx\n\ny\n~~~\n\nb", ["~~~\nx\n\ny\n~~~", "b"]),
    "a fence in a list item": ("1. ```\n   x\n\n   y\n   ```\n\nb", ["1. ```\n   x\n\n   y\n   ```", "b"]),
    "a shorter run does not close": ("````\n\n```\n\n````\n\nb", ["````\n\n```\n\n````", "b"]),
    "nor another character": ("~~~\n\n```\n\n~~~\n\nb", ["~~~\n\n```\n\n~~~", "b"]),
    "nor a run with words": ("```\n\n```py\n\n```\n\nb", ["```\n\n```py\n\n```", "b"]),
    "a longer run closes": ("```\n\n`````\n\nb", ["```\n\n`````", "b"]),
    "an open fence reaches to the end": ("a\n\n```\nx\n\ny", ["a", "```\nx\n\ny"]),
    "only a run without words closes": ("```py\nx\n\n```js\ny\n\nz", ["```py\nx\n\n```js\ny\n\nz"]),
    "a run in a list item does not close": ("```\n\n- ```\n\n```\n\nb", ["```\n\n- ```\n\n```", "b"]),
    "a fence inside an open fence": ("````\na\n\n```\nb\n```\n\nc", ["````\na\n\n```\nb\n```\n\nc"]),
    "three backticks within a line are no fence": ("```x``` a\n\nsay ```\n\nb", ["```x``` a", "say ```", "b"]),
    "a display stays whole": ("so\n\\[\nx\n\n= 1\n\\]\n\nb", ["so\n\\[\nx\n\n= 1\n\\]", "b"]),
    "dollars": ("so $$\nx\n\n= 1\n$$ ok\n\nb", ["so $$\nx\n\n= 1\n$$ ok", "b"]),
    "dollars that close do not open": ("$$a$$\n\n$$b$$\n\nc", ["$$a$$", "$$b$$", "c"]),
    "an environment": (
        "\\begin{align*}\nx\n\n&= 1\n\\end{align*}\n\nb",
        ["\\begin{align*}\nx\n\n&= 1\n\\end{align*}", "b"],
    ),
    "the star is part of the name": ("\\begin{align}\n\n\\end{align*}", ["\\begin{align}", "\\end{align*}"]),
    "an environment of words is no display": (
        "\\begin{proof}\n\na\n\n\\end{proof}",
        ["\\begin{proof}", "a", "\\end{proof}"],
    ),
    "an open display swallows nothing": (
        "a $$\n\nb \\[\n\n\\begin{align}\n\nd",
        ["a $$", "b \\[", "\\begin{align}", "d"],
    ),
    "a skip after a row is no display": ("x \\\\[2pt]\n\ny \\]", ["x \\\\[2pt]", "y \\]"]),
    "an escaped dollar is money": ("costs \\$$5\n\nand \\$$6", ["costs \\$$5", "and \\$$6"]),
    "three dollars are no display": ("$$$\n\n$$$", ["$$$", "$$$"]),
    "no display crosses a fence": ("\\[\n\n```\n\\]\n```\n\n\\]", ["\\[", "```\n\\]\n```", "\\]"]),
    "code shows a display": ("```\n$$\n```\n\na\n\n$$", ["```\n$$\n```", "a", "$$"]),
}


@pytest.mark.parametrize(("text", "want"), PARAGRAPHS.values(), ids=PARAGRAPHS)
def test_paragraphs(text, want):
    assert steps("paragraphs", text) == want


NUMBERED = {
    "dots": ("1. a\n2. b\nmore\n3. c", ["1. a", "2. b\nmore", "3. c"]),
    "brackets": ("1) a\n2) b", ["1) a", "2) b"]),
    "words": ("Step 1: a\nSTEP 2 - b\nstep 3. c\nStep 4\nd", ["Step 1: a", "STEP 2 - b", "step 3. c", "Step 4\nd"]),
    "bold words": (
        "**Step 1:** a\n\n**Step 2**: b\n**Step 3 Add**\nc",
        ["**Step 1:** a", "**Step 2**: b", "**Step 3 Add**\nc"],
    ),
    "headings": ("### Step 1\na\n### Step 2 Compute\nb", ["### Step 1\na", "### Step 2 Compute\nb"]),
    "bold numbers": ("**1.** a\n**2.** b", ["**1.** a", "**2.** b"]),
    "bullets and quotes": ("- Step 1: a\n> Step 2: b", ["- Step 1: a", "> Step 2: b"]),
    "a word with a number sign": ("Step #1: a\nStep #2: b", ["Step #1: a", "Step #2: b"]),
    "Chinese": ("步骤1：设\n步骤２：解\n步骤三、答", ["步骤1：设", "步骤２：解", "步骤三、答"]),
    "Chinese ordinals": ("第1步：设\n第二步，解\n第３步\n答", ["第1步：设", "第二步，解", "第３步\n答"]),
    "ten and more": ("第九步：a\n第十步：b\n第十一步：c", ["第九步：a", "第十步：b", "第十一步：c"]),
    "twenty": ("第十九步：a\n第二十步：b\n第二十一步：c", ["第十九步：a", "第二十步：b", "第二十一步：c"]),
    "full width": ("１．设 x\n２．解", ["１．设 x", "２．解"]),
    "full and half width mixed": ("1）a\n2) b\n３）c", ["1）a", "2) b", "３）c"]),
    "enumeration comma": ("1、设\n2、解", ["1、设", "2、解"]),
    "no space before Chinese": ("1.设\n2.解", ["1.设", "2.解"]),
    "a list inside a step": ("Step 1: a\n1. x\n2. y\nStep 2: b\n1. z", ["Step 1: a\n1. x\n2. y", "Step 2: b\n1. z"]),
    "a deeper list that would go on": (
        "1. a\n   1. x\n   2. y\n2. b\n   3. z\n3. c",
        ["1. a\n   1. x\n   2. y", "2. b\n   3. z", "3. c"],
    ),
    "a tab is deeper": ("1. a\n\t2. x\n2. b", ["1. a\n\t2. x", "2. b"]),
    "one column is not deeper": ("1. a\n 2. b", ["1. a", "2. b"]),
    "numbers right-aligned": (" 1. a\n 2. b\n3. c", ["1. a", "2. b", "3. c"]),
    "words inside numbers": ("1. Plan\nStep 1: x\n2. b", ["1. Plan\nStep 1: x", "2. b"]),
    "another bracket is another list": ("1. a\n1) x\n2) y\n2. b", ["1. a\n1) x\n2) y", "2. b"]),
    "bold titles over plain lists": ("**1. A**\n1. x\n2. y\n**2. B**", ["**1. A**\n1. x\n2. y", "**2. B**"]),
    "heading numbers over plain lists": ("## 1. A\n1. x\n2. y\n## 2. B", ["## 1. A\n1. x\n2. y", "## 2. B"]),
    "decimals and years": ("1. a\n2.5 b\n2024. c\n2\n2. d", ["1. a\n2.5 b\n2024. c\n2", "2. d"]),
    "full-width decimals": ("1. a\n2.５ b\n2．５ c\n2. d", ["1. a\n2.５ b\n2．５ c", "2. d"]),
    "numbers in a row": ("1、a\n2、3、4 b\n2、c", ["1、a\n2、3、4 b", "2、c"]),
    "a decimal after a word": ("Step 1: a\nStep 2.1: x\nStep 2: b", ["Step 1: a\nStep 2.1: x", "Step 2: b"]),
    "prose about a step": ("Step 1: a\nStep 2 is hard.\nStep 2: b", ["Step 1: a\nStep 2 is hard.", "Step 2: b"]),
    "in the middle of a line": ("Step 1: a, then Step 2: b", ["Step 1: a, then Step 2: b"]),
    "a number left out": ("1. a\n3. b", ["1. a\n3. b"]),
    "a second list": ("1. a\n2. b\nAgain:\n1. c\n2. d\n3. e", ["1. a", "2. b\nAgain:\n1. c\n2. d", "3. e"]),
    "a year first": ("2024. was\n1. a\n2. b", ["2024. was\n1. a", "2. b"]),
    "zero": ("0. a\n1. b", ["0. a", "1. b"]),
    "a word goes on from anywhere": ("Step 4: a\nStep 5: b", ["Step 4: a", "Step 5: b"]),
    "text before and after": ("Let us see.\n\n1. a\n2. b\n\nSo 4.", ["Let us see.\n\n1. a", "2. b\n\nSo 4."]),
    "no marker": ("just\n\ntext", ["just\n\ntext"]),
    "a fence": ("1. a\n```\n2. x\n```\n2. b", ["1. a\n```\n2. x\n```", "2. b"]),
    "a fence opened by the marker's line": ("1. ```\n2. x\n```\n2. b", ["1. ```\n2. x\n```", "2. b"]),
    "a display": ("1. \\[\n2. x\n\\]\n2. b", ["1. \\[\n2. x\n\\]", "2. b"]),
    "CR": ("1. a\r2. b\r\r\n3. c", ["1. a", "2. b", "3. c"]),
    "a form feed starts no line": ("1. a\x0c2. b", ["1. a\x0c2. b"]),
}


@pytest.mark.parametrize(("text", "want"), NUMBERED.values(), ids=NUMBERED)
def test_numbered(text, want):
    assert steps("numbered", text) == want


def test_numbered_options():
    assert steps("numbered", "Hm.\n1. a\n2. b", preamble="own") == ["Hm.", "1. a", "2. b"]
    assert steps("numbered", "4. x\n5. a\n6. b\n1. c", first=5) == ["4. x\n5. a", "6. b\n1. c"]
    assert steps("numbered", "Step 1: x\nStep 2: a\nStep 3: b", first=2) == ["Step 1: x\nStep 2: a", "Step 3: b"]
    assert steps("numbered", "Шаг 1: а\nшаг 2: б\nStep 3: c", words=["шаг"]) == ["Шаг 1: а", "шаг 2: б\nStep 3: c"]
    assert steps("numbered", "a+b 1: x\naab 2: y\na+b 2: z", words=["a+b"]) == ["a+b 1: x\naab 2: y", "a+b 2: z"]
    assert steps("numbered", "Step 1: x\n1. a\n2. b", words=[]) == ["Step 1: x\n1. a", "2. b"]


def test_separator():
    assert steps("separator", "a\n\nb\r\n\r\n\r\nc\n \nd") == ["a", "b", "c\n \nd"]
    assert steps("separator", "a\r\nb") == ["a\r\nb"]
    assert steps("separator", "1+1=2 ки\n2+2=4 ки\nки", separator="ки") == ["1+1=2", "2+2=4"]
    assert steps("separator", "a.*b.c.*", separator=".*") == ["a", "b.c"]
    assert steps("separator", "a\r\n--\rb\n--\nc", separator="\n--\n") == ["a", "b", "c"]
    assert steps("separator", "a\nb\rc\r\nd", separator="\r\n") == ["a", "b", "c", "d"]
    assert steps("separator", "xxx", separator="xx") == ["x"]
    with pytest.raises(StepCreditError, match="separator is empty"):
        steps("separator", "a", separator="")


REACT = """Thought: who wrote it?
I will search.
Action: Search
Action Input: "Dune"
Observation: Dune is a novel.

It has an action: none.
**Thought 2:** by Herbert
**Action 2:** Finish[Herbert]
"""

TOOLS = """I start.
<think>Thought: a
Action: b</think>
<tool_call>{"x": 1}</tool_call>
<tool_call>{"x": 2}</tool_call>
<tool_response id="1">1
Thought: not mine <think>
</tool_response>
<tool_response>2</tool_response>
Now more. <think>c</think> text <think>d</think><answer>3</answer> Bye."""

ACTIONS = {
    "labels": (
        REACT,
        [REACT[: REACT.index("\nObservation")], "**Thought 2:** by Herbert\n**Action 2:** Finish[Herbert]"],
    ),
    "tags": (TOOLS, [TOOLS[: TOOLS.index("\n<tool_response")], TOOLS[TOOLS.index("Now more") :]]),
    "a thought after an action starts a step": (
        "Thought: a\nAction: b\nThought: c\nFinal Answer: d",
        ["Thought: a\nAction: b", "Thought: c\nFinal Answer: d"],
    ),
    "tags without observation": (
        "<think>a</think><search>b</search> \n<think>c</think>d",
        ["<think>a</think><search>b</search>", "<think>c</think>d"],
    ),
    "actions without thoughts": ("Action: a\nObservation: 1\nAction: b\nObservation: 2", ["Action: a", "Action: b"]),
    "thoughts in a row": ("Thought: a\nThought: b\nAction: c", ["Thought: a\nThought: b\nAction: c"]),
    "capitals and Chinese": (
        "THOUGHT: a\nACTION: b\nOBSERVATION: c\n思考：a\n行动：b\n观察：c",
        ["THOUGHT: a\nACTION: b", "思考：a\n行动：b"],
    ),
    "no marks": ("just text", ["just text"]),
    "environment first": ("Observation: x\nThought: a", ["Thought: a"]),
    "only environment": ("Observation: x\n\ny", []),
    "labels not at a line start": (
        "Thought: an Action: here\nmy Observation: none",
        ["Thought: an Action: here\nmy Observation: none"],
    ),
    "observation tag never closed": ("<think>a</think><observation>x\n<think>b</think>", ["<think>a</think>"]),
    "thought tag never closed": ("<think>a <observation>x</observation> b", ["<think>a", "b"]),
    "labels in a thought tag": ("<think>a\nAction: b\nThought: c</think>", ["<think>a\nAction: b\nThought: c</think>"]),
    "labels in an observation tag": (
        "<answer>a</answer><observation>\nAction: b\nThought: c\n</observation>d",
        ["<answer>a</answer>", "d"],
    ),
    "observation label in closed code": (
        "Action: a\n```\nObservation: 1\n```\nThought: b",
        ["Action: a\n```", "Thought: b"],
    ),
    "stray closing tag": ("a</think> <answer>b</answer>", ["a</think> <answer>b</answer>"]),
    "tags in a labelled observation": (
        "Action: a\nObservation: <search> <result> x\nThought: b",
        ["Action: a", "Thought: b"],
    ),
    "labels in closed code": (
        "Thought: a\nAction: b\n```\nThought: c\n```\nObservation: d\nThought: e",
        ["Thought: a\nAction: b\n```\nThought: c\n```", "Thought: e"],
    ),
    "code left open hides no observation": (
        "Action: b\n```\nx\nObservation: d\nThought: e\n```\nf\n```",
        ["Action: b\n```\nx", "Thought: e\n```\nf\n```"],
    ),
    "code left open hides no thought": ("Action: b\n```\nx\nThought: e", ["Action: b\n```\nx", "Thought: e"]),
    "labelled environment in code": (
        "Action: a\nObservation: 1\n```\nThought: x\n```\ny\nThought: b",
        ["Action: a", "Thought: b"],
    ),
    "CRLF": ("Thought: a\r\nAction: b\r\nObservation: c\r\nThought: d", ["Thought: a\r\nAction: b", "Thought: d"]),
}


@pytest.mark.parametrize(("text", "want"), ACTIONS.values(), ids=ACTIONS)
def test_thought_action(text, want):
    assert steps("thought_action", text) == want


def test_thought_action_tags_can_be_named():
    text = "<plan>a</plan><run>b</run><env>c</env><plan>d</plan><run>e</run><plan>f</plan><think>g</think>"
    named = {"thought_tags": ["plan"], "action_tags": ["run"], "observation_tags": ["env"]}
    assert steps("thought_action", text, **named) == [
        "<plan>a</plan><run>b</run>",
        "<plan>d</plan><run>e</run>",
        "<plan>f</plan><think>g</think>",
    ]


SOLUTION = """Let's solve it carefully.

### Step 1: Set up

The total is
\\[
1. \\quad x + y = 10

2. \\quad x - y = 2
\\]

1. Add them.
2. Halve the sum.

### Step 2: Compute

```python
# Step 3: not a step

x = (10 + 2) / 2
```

So $x = 6$. 2. is no marker here.

### Step 3: Answer

\\boxed{6}
"""


def test_a_realistic_solution():
    assert [step.splitlines()[0] for step in steps("numbered", SOLUTION, preamble="own")] == [
        "Let's solve it carefully.",
        "### Step 1: Set up",
        "### Step 2: Compute",
        "### Step 3: Answer",
    ]
    assert [len(step.splitlines()) for step in steps("paragraphs", SOLUTION)] == [1, 1, 6, 2, 1, 5, 1, 1, 1]
    assert len(steps("lines", SOLUTION)) == 17


@pytest.mark.parametrize("name", segment.text_names())
@pytest.mark.parametrize(
    "unit",
    [
        "a",
        " ",
        "\\",
        "`",
        "```\n",
        "\\[\n\n",
        "$$ ",
        "\\begin{align}\n\n",
        "1. a\n",
        "- ",
        "Thought:\n",
        "<think ",
        "<think>",
    ],
)
def test_a_megabyte_of_anything_ends(name, unit):
    text = unit * (1_000_000 // len(unit))
    assert len(segment.get(name)(text)) <= len(text) // 3


@pytest.mark.parametrize("name", ["sentences", "markers", "tagged", "strategic"])
@pytest.mark.parametrize("unit", ["a. ", ".", '."', "(. ", "*. ", "Dr. A. ", "let me ", "<p1>", "</p1>", "。", "So"])
def test_so_does_a_megabyte_of_what_they_look_for(name, unit):
    text = unit * (1_000_000 // len(unit))
    assert len(segment.get(name)(text)) <= len(text) // 3 + text.count("。")


@pytest.mark.parametrize("name", ["lines", "paragraphs", "numbered", "separator", "thought_action"])
def test_one_line_of_ten_megabytes(name):
    text = " " + "x = 1. " * 1_500_000
    assert segment.get(name)(text).tolist() == [[1, len(text) - 1]]
