"""Sentences on hard cases, written by hand, and on texts that people and models wrote."""

import re

import pytest
from segment_texts import solutions

from stepcredit import segment

# A bar stands where a sentence ends and another begins.
CASES = {
    "stops": "One.|Two!|Three?|Four: five; six, seven",
    "decimals": "It is 3.14.|He has $3.50.|She has 1,000.5 kg.",
    "versions and addresses": "Use v1.2.3.|See http://x.org/a.b?c=d!e.|Open file.txt now.|Ask a.b@c.org.|Done",
    "a number at the end": "She has 18.|Then 2.|So x2.|End.",
    "titles": "Mr. and Mrs. Lee met Dr. Roe, Prof. Poe and Gen. Day.|They left.",
    "in the middle": "Half (i.e. 3) is left, e.g. Ann's, cf. Bob vs. Carl.|Yes.",
    "that may end": "Pens, etc. are cheap.|He sells pens, etc.|She left at 5 p.m.|They came at 8 a.m. and left.",
    "companies": "Apple Inc. sells it.|It is by Apple Inc.|They know.",
    "et al.": "As Roe et al. (2020) say, and Poe et al. 2021 too.|So do Day et al.|Fine.",
    "before numbers": "See Fig. 3, Eq. (2), pp. 4 and No. 5.|On Jan. 5 too.|I say no.|The end.",
    "units": "It is 30 lbs. by then, 5 in. long, 3 km. wide.|It weighs 4 kg.|Then more.",
    "Saint and street": "He went to St. Louis and Mt. Everest.|She is on Main St.|The end.",
    "acronyms": "The U.S. Senate met in the U.S.|It left.|The U.S. economy grew.|A Ph.D. student came.",
    "initials": "J. K. Rowling met George W. Bush and Gerald R. Ford.|By A. B. Cee.|It is H. pylori.|Iram N. left.",
    "letters that name things": "Movie A is long.|It is longer than Movie B.|Movie C is short.",
    "letters that name things of any kind": "It beats Zug B.|Zug C is slow.",
    "letters that name things, further": "It holds more than Box A.|Juice is in Box B.|Plan C.|Then stop.",
    "the word I": "Take vitamin C.|It helps.|So do I.|Then he did.|You and I.|Bob left.",
    "joined to a sign": "A bag of M&Ms.|The first bag.|He is an ex-Gen.|The end.",
    "ellipses": "Hmm... so it is.|Well...|But no… not so.|Wait…|Then go.",
    "marks in a row": "What?!|No!!|Really?|Yes.",
    "questions go on in small letters": "what is it?|it is 4.|so x = 3.|y is 4.",
    "exclamations inside": "The Yahoo! site and Wow! that.|Stop!|Now.",
    "factorials": "There are 5! ways and n! = 6 and (n-1)! more.|That is 5!|Then go.",
    "quotes": '"Why?" he asked.|"No!" she said.|He said "Stop."|Then he left.|“Go.”|‘Yes.’|»Ja.«',
    "brackets": "He left (it was late).|(See Fig. 3.)|[It was.]|Then (approx. 5) more.|It (so he says.) is.",
    "emphasis and mathematics": "**Bold.**|*So.*|It is `x.`|So $x = 5.$|And \\(y = 6.\\)|Then.",
    "list items": "1. Add.|Then stop.\n|2. Halve.\n|**3.** Sum.\n|- 4. Go.\n|a. One.\n|(b. Two.)\n|iv. Six.\n|1.2. X.",
    "steps": "Step 1. Add.|So 4.\n|Step 2.\n|Case 3. None.",
    "Chinese": "他说：“好。”|然后走了！|真的？|是。|圆周率是3.14。|３．１４是它。|1.设x=3。|End.|然后",
    "other scripts": "यह है।|वह है।|هل؟|نعم۔|Да.|Нет.",
    "line ends": "A: 18\n|B\r\n|\r\n|C\r|D. e.g.\n|E",
    "code and displays": "Run it.|\n|```py\na. B. C\n\nd\n```|\nSo $$a. B. c$$ holds.|\\[ a. B \\]",
    "a display right after a stop": ".$$。a$$",
    "nothing but a stop": ".|...|!",
    "no space": "One.Two!Three?",
}


def steps(text, **options):
    return [text[a:b] for a, b in segment.get("sentences")(text, **options)]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_sentences(case):
    want = [piece.strip() for piece in case.split("|") if piece.strip()]
    # Chinese goes on without a space; elsewhere a blank stands where the bar does.
    glue = "" if "他" in case else " "
    assert steps(re.sub(r"\|(?=\s|$)|(?<=\n)\|", "", case).replace("|", glue)) == want


def test_text_that_was_wrapped():
    text = "Dr.\nLee came to\nthe U.S. in May.\nShe left\n\nNext.\n1. One\ntwo."
    assert steps(text, lines=False) == ["Dr.\nLee came to\nthe U.S. in May.", "She left", "Next.", "1. One\ntwo."]


def test_abbreviations_of_ones_own():
    assert steps("The Abt. Foo is big. abt. Bar too.") == ["The Abt.", "Foo is big.", "abt.", "Bar too."]
    assert steps("The Abt. Foo is big. abt. Bar too.", abbreviations=["Abt"]) == [
        "The Abt. Foo is big.",
        "abt. Bar too.",
    ]


NAIVE = re.compile(
    r"(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bDr\.)(?<=[.?!])\s+|(?<=[.?!][”\")])\s+(?=[A-Z])",
)


def test_grade_school_problems_and_solutions(data):
    """A stop and a space end a sentence there, titles apart, but in nine texts, where it is harder than that."""
    harder: list[str] = []
    sentences = 0
    for text in solutions(data, questions=True):
        naive = [s.strip() for line in text.split("\n") for s in NAIVE.split(line) if s.strip()]
        got = steps(text)
        sentences += len(got)
        if got != naive:
            harder += [s for s in got if s not in naive]
    assert sentences == 16_946
    assert sorted(s[:45] for s in harder) == sorted(
        [
            "Mary buys 3 bags of M&Ms.",
            "The first bag has 300 M&Ms in it.",
            "If she works between 8 a.m. and 11 a.m. and p",
            "For a New Year's resolution, Andy wants to lo",
            "If Andy needs to burn 3500 calories to lose a",
            "The restaurants need 40 * 2 = <<40*2=80>>80 l",
            "So 200 - 80 = <<200-80=120>>120 lbs. of carro",
            "Since she overstated the number by 20%, 48 is",
            "The time period she takes to do the task is 1",
            "If she works for 8 a.m. to 11 a.m., she earns",
            "Since an hour is 60 minutes, then working 8 a",
            "The T. rex ate half of a small triceratops, s",
        ]
    )
