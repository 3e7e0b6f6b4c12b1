"""What the built-in model understands of a prompt, and what it says about the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidorch_local.mini.words import (
    COLOURS,
    MOTIONS,
    NULL_TOKENS,
    SHAPES,
    SLOTS,
    TOKEN,
    VOCABULARY,
    describe,
    understand,
)

DARK, LIGHT = " on a dark background", " on a light background"


@pytest.mark.parametrize(
    ("prompt", "caption"),
    [
        ("a red ball rolling left", "a red ball moving left" + DARK),
        ("Two blue squares bouncing!", "two blue squares bouncing" + DARK),
        ("an orange circle drops on a grey background", "an orange ball falling" + DARK),
        (
            "a small cyan ball moving left slowly on a light background",
            "a small cyan ball moving left slowly" + LIGHT,
        ),
        (
            "the ball is green and it rolls quickly to the right, the background is white",
            "a green ball moving right quickly" + LIGHT,
        ),
        ("a huge violet box falls down", "a big purple square falling" + DARK),
        ("a pair of pink discs standing still", "two pink balls standing still" + DARK),
        ("a yellow triangle not moving", "a yellow triangle standing still" + DARK),
        ("a teal sphere rising fast", "a cyan ball moving up quickly" + DARK),
        ("a red square moving from left to right", "a red square moving right" + DARK),
        ("a red square coming from the right", "a red square moving left" + DARK),
        ("a red ball from top to bottom", "a red ball moving down" + DARK),
        ("a red ball bouncing up and down", "a red ball bouncing" + DARK),
        ("a red ball circles", "a red ball circling" + DARK),
        ("two red circles dropping", "two red balls falling" + DARK),
        ("a red ball going round in a circle", "a red ball circling" + DARK),
        ("a blue cube moving in circles against white", "a blue square circling" + LIGHT),
        ("there is a green triangle standing and it jumps", "a green triangle bouncing" + DARK),
    ],
)
def test_many_ways_of_saying_it_lead_to_one_sentence(prompt, caption):
    """Synonyms, plurals, number words and phrases are read into the canonical sentence."""
    assert caption == understand(prompt).caption
    assert understand(prompt).missing == ()


@pytest.mark.parametrize(
    ("prompt", "missing", "because"),
    [
        ("a dragon in a castle", ("object", "motion"), "no object"),
        ("a red ball", ("motion",), "no motion"),
        ("a red ball on the left", ("motion",), "no motion"),
        ("rolling left", ("object",), "no object"),
        ("", ("object", "motion"), "no object"),
        ("a red ball and a blue square falling", ("object",), "not ball and square together"),
        ("a red and blue ball falling", ("object",), "not red and blue together"),
        ("a big ball and a small ball falling", ("object",), "not big and small together"),
        ("three balls falling", ("object",), "one or two objects, not three"),
        ("5 squares moving up", ("object",), "one or two objects, not 5"),
        ("a triangle moving left then right", ("motion",), "not left and right together"),
        ("no ball moving left", ("object",), "should not be there"),
        ("a ball, not red, falling", ("object",), "should not be there"),
        ("a red ball never falling", ("motion",), "should not be there"),
        ("two green balls circling", ("motion",), "one object that circles"),
    ],
)
def test_a_prompt_outside_the_world_is_said_to_be_with_the_reason(prompt, missing, because):
    """What cannot be drawn is missing, never approximated, and the first notes say why."""
    reading = understand(prompt)
    assert missing == reading.missing
    assert because in " ".join(reading.notes)
    assert () == reading.tokens


def test_words_outside_the_world_are_ignored_and_noted():
    """An understood prompt keeps a list of the words that did not count; filler words are not among them."""
    reading = understand("a red ball rolling left past a dragon in Paris")
    assert ("past", "dragon", "paris") == reading.ignored
    assert "Ignored: 'past', 'dragon', 'paris'." in reading.notes


@pytest.mark.parametrize(
    ("prompt", "note"),
    [
        ("a ball falling", "No colour that it knows was given: red is drawn."),
        ("a white ball falling", "Ignored: 'white'."),
        ("a red ball falling", "No background that it knows was given: a dark one is drawn."),
        (
            "a red ball falling on a green background",
            "Backgrounds are dark or light: the green one was ignored.",
        ),
        ("a red ball rolling", "No direction was given: it moves to the right."),
        ("red balls falling", "No number was given: two are drawn."),
        ("two big red balls falling", "Two big objects do not fit: they are drawn at medium size."),
        ("a red ball falling slowly", "Only straight motions have a speed: 'slowly' was ignored."),
    ],
)
def test_what_was_assumed_is_noted(prompt, note):
    """Every choice the prompt left open is told in a sentence."""
    assert note in understand(prompt).notes


def test_every_sentence_of_the_world_is_read_back_as_itself():
    """`describe` and `understand` are inverse over all shapes, colours, motions and backgrounds."""
    for shape in SHAPES:
        for colour in COLOURS:
            for motion in MOTIONS:
                for ground in ("dark", "light"):
                    words = ("one", "small", colour, shape, motion, "steadily", ground)
                    tokens = tuple(TOKEN[w] for w in words)
                    assert tokens == understand(describe(tokens)).tokens
                    assert () == understand(describe(tokens)).notes


def test_the_vocabulary_has_no_word_twice():
    """A token means one thing, whatever its slot."""
    assert len(VOCABULARY) == len(set(VOCABULARY)) == 1 + sum(map(len, SLOTS))
    assert len(NULL_TOKENS) == len(SLOTS)


@given(st.text(max_size=200))
def test_no_text_makes_it_raise(prompt):
    """Any text is read; its tokens are one word of each slot, or none when something is missing."""
    reading = understand(prompt)
    if reading.missing:
        assert () == reading.tokens
    else:
        assert all(VOCABULARY[t] in slot for t, slot in zip(reading.tokens, SLOTS, strict=True))


WORDS = st.sampled_from(
    [
        "a",
        "red",
        "blue",
        "ball",
        "squares",
        "two",
        "three",
        "not",
        "the",
        "background",
        "light",
        "dark",
        "falling",
        "left",
        "circles",
        "big",
        "quickly",
        "from",
        "to",
        "on",
        "dragon",
    ]
)


@given(st.lists(WORDS, max_size=14).map(" ".join))
def test_no_sequence_of_its_own_words_makes_it_raise(prompt):
    """Words it knows, in any order, give a reading whose notes are sentences."""
    assert all(note[0].isupper() and note.endswith(".") for note in understand(prompt).notes)
