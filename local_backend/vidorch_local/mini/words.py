"""The words the built-in model knows, and how a prompt becomes the seven of them that it draws.

Standard library only: whether a request lies in the model's world is known before anything is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

WORLD = (
    "one ball, square or triangle, or two alike, in red, orange, yellow, green, cyan, blue, purple or pink, that move left,\n"
    "right, up or down, fall, bounce, circle (one only) or stand still, on a dark or a light background; 2 seconds, no sound"
)

COUNTS = ("one", "two")
SIZES = ("small", "medium", "big")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")  # plain on both backgrounds
SHAPES = ("ball", "square", "triangle")
MOTIONS = ("left", "right", "up", "down", "falling", "bouncing", "still", "circling")
SPEEDS = ("slowly", "steadily", "quickly")  # only the four straight motions come in three speeds
BACKGROUNDS = ("dark", "light")

SLOTS = (COUNTS, SIZES, COLOURS, SHAPES, MOTIONS, SPEEDS, BACKGROUNDS)
VOCABULARY = ("<null>", *(word for slot in SLOTS for word in slot))
TOKEN = {word: number for number, word in enumerate(VOCABULARY)}
NULL_TOKENS = (0,) * len(SLOTS)
STRAIGHT = frozenset(("left", "right", "up", "down"))

_VERBS = {
    "left": "moving left",
    "right": "moving right",
    "up": "moving up",
    "down": "moving down",
    "falling": "falling",
    "bouncing": "bouncing",
    "still": "standing still",
    "circling": "circling",
}


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _table(**words: str) -> dict[str, str]:
    return {word: meaning for meaning, listed in words.items() for word in (meaning, *listed.split())}


_COUNT = _table(one="1 single lone", two="2 pair couple both twin")
_SIZE = _table(small="little tiny mini", medium="", big="large huge giant")
_COLOUR = _table(
    red="crimson scarlet",
    orange="",
    yellow="golden",
    green="lime emerald",
    cyan="turquoise aqua teal",
    blue="azure",
    purple="violet lilac",
    pink="magenta rose",
)
_SHAPE = _table(
    ball="balls circle circles disc discs disk disks dot dots sphere spheres orb orbs",
    square="squares box boxes cube cubes block blocks",
    triangle="triangles",
)
_PLURAL = _set("balls circles discs disks dots spheres orbs squares boxes cubes blocks triangles")
_MOTION = _table(
    left="leftward leftwards",
    right="rightward rightwards",
    up="upward upwards rising rises rise rose ascending ascends climbing climbs",
    down="downward downwards descending descends sinking sinks",
    falling="falls fall fell dropping drops drop dropped plummeting plummets",
    bouncing="bounces bounce bounced hopping hops hop jumping jumps jump bouncy",
    still="motionless stationary static resting rests sitting sits standing stands stand immobile unmoving",
    circling="orbiting orbits orbit revolving revolves",
)
_SPEED = _table(
    slowly="slow gently leisurely",
    steadily="steady",
    quickly="quick fast rapidly rapid swiftly swift speedily",
)
# A motion of which only the direction is missing.
_GENERIC = _set(
    "moving moves move rolling rolls roll sliding slides slide going goes travelling travels traveling drifting drifts "
    "gliding glides flying flies floating floats crossing crosses"
)
_BACKGROUND = _table(dark="black grey gray night", light="white bright pale")
_GROUND = frozenset(("background", "backdrop"))
_MANY = _set(
    "three four five six seven eight nine ten eleven twelve dozen several many few some multiple hundreds lots"
)
_NEGATIONS = _set(
    "no not without never none nor isn't doesn't don't aren't except instead neither cannot can't"
)
_FILLERS = _set(
    "a an the is are was be being that which it its of and with on in at to by this there s i me my we please show make "
    "create generate draw render animate want see video clip film animation movie shot scene short while as "
    "then from into across over against colour color coloured colored shape shapes object objects around just"
)

# Whole phrases, read before single words. `\b` on both ends is added below; each replacement is one known word,
# or a word in angle brackets that is dealt with by name.
_SIDE = {"left": "left", "right": "right", "top": "up", "bottom": "down"}
_FROM_TO = re.compile(
    r"\b(?:from )?(?:the )?(left|right|top|bottom)(?: side)? to (?:the )?(left|right|top|bottom)\b"
)
_FROM = re.compile(r"\bfrom (?:the )?(left|right|top|above|bottom|below)(?: side)?\b")
_PLACE = re.compile(
    r"\b(?:on|at|in|near) the (?:far |upper |lower |top |bottom )?(?:left|right|top|bottom)(?: side| half| corner| edge)?\b"
    r"|\b(?:left|right) of\b|\btop of\b|\bbottom of\b"
)
_STILL = re.compile(
    r"\b(?:(?:not|isn't|without|never|doesn't|don't|aren't) (?:moving|move)|(?:stand|stay|remain|sit|keep|rest)"
    r"(?:s|ing|ting)? still)\b"
)
_CIRCLING = re.compile(r"\b(?:in (?:a )?circles?|(?:going|goes|moving|moves) (?:a)?round(?: and round)?)\b")
_BOUNCING = re.compile(r"\b(?:bounc\w+|hop\w*|jump\w*) up and down\b")
_FALLING = re.compile(r"\b(?:fall\w*|fell|drop\w*) (?:straight )?(?:downwards?|down)\b")
_CIRCLES_VERB = re.compile(r"\b(ball|disc|disk|dot|sphere|orb|square|box|cube|block|triangle)(s?) circles?\b")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was understood of a prompt. With `missing` the request is not of the model's world, and `tokens` is empty."""

    tokens: tuple[int, ...]
    caption: str  # the sentence that will be drawn
    objects: tuple[str, ...]
    colours: tuple[str, ...]
    motions: tuple[str, ...]
    ignored: tuple[str, ...]  # words that were not used, in their order, without filler words
    notes: tuple[str, ...]  # plain sentences: what was ignored, and what was assumed
    missing: tuple[str, ...]  # of "object" and "motion"

    @property
    def understood(self) -> bool:
        return not self.missing


def describe(tokens: Iterable[int]) -> str:
    """The plain English sentence for seven tokens."""
    count, size, colour, shape, motion, speed, background = (VOCABULARY[t] for t in tokens)
    words = [
        "" if count == "one" else "two",
        "" if size == "medium" else size,
        colour,
        shape + ("s" if count == "two" else ""),
        _VERBS[motion],
        "" if speed == "steadily" else speed,
        f"on a {background} background",
    ]
    text = " ".join(word for word in words if word)
    return text if count == "two" else ("an " if text[0] == "o" else "a ") + text


def understand(prompt: str, *, seen: str | None = None) -> Reading:
    """Reads a prompt into the seven words the model draws, and says what it left out or filled in. Never raises.

    `seen` is the background, "dark" or "light", of an image that the clip is to begin with: it goes before the prompt's.
    """
    words = _words(prompt)
    found: dict[str, list[str]] = {
        name: [] for name in ("count", "size", "colour", "shape", "motion", "speed", "ground")
    }
    ignored: list[str] = []
    notes: list[str] = []
    wrong: dict[str, str] = {}  # "object" or "motion" -> why the request is out of the world
    plural = generic = False
    skip = 0
    for i, word in enumerate(words):
        if skip:
            skip -= 1
            continue
        after = words[i + 1] if i + 1 < len(words) else ""
        before = [w for w in words[max(0, i - 2) : i] if w not in ("a", "an", "the", "is")][-1:]
        if word.startswith("<place:"):
            ignored.append(word[7:-1].replace("_", " "))
        elif (word in _BACKGROUND or word in _COLOUR) and after in _GROUND:
            skip = 1
            if word in _BACKGROUND:
                found["ground"].append(_BACKGROUND[word])
            else:
                ignored += [word, after]
                notes.append(f"Backgrounds are dark or light: the {word} one was ignored.")
        elif (
            word in _GROUND
            and words[i + 1 : i + 2] == ["is"]
            and words[i + 2 : i + 3]
            and words[i + 2] in _BACKGROUND
        ):
            found["ground"].append(_BACKGROUND[words[i + 2]])
            skip = 2
        elif (
            word in _BACKGROUND and before[:1] in (["on"], ["against"], ["in"], ["at"]) and not _known(after)
        ):
            found["ground"].append(_BACKGROUND[word])
        elif word in _NEGATIONS:
            ignored.append(word)
            target = next((w for w in words[i + 1 : i + 4] if _known(w)), "")
            if target:
                part = "motion" if target in _MOTION or target in _GENERIC or target in _SPEED else "object"
                wrong.setdefault(
                    part, f"It does not understand what should not be there: '{word} ... {target}'."
                )
        elif word in _MANY or (word.isdigit() and word not in ("1", "2") and _known(after)):
            ignored.append(word)
            if any(w in _PLURAL for w in words[i + 1 : i + 5]):
                wrong.setdefault("object", f"It draws one or two objects, not {word}.")
        elif word in _SHAPE:
            found["shape"].append(_SHAPE[word])
            plural |= word in _PLURAL
        elif word in _COLOUR:
            found["colour"].append(_COLOUR[word])
        elif word in _MOTION:
            found["motion"].append(_MOTION[word])
        elif word in _COUNT:
            found["count"].append(_COUNT[word])
        elif word in _SIZE:
            found["size"].append(_SIZE[word])
        elif word in _SPEED:
            found["speed"].append(_SPEED[word])
        elif word in _GENERIC:
            generic = True
        elif word not in _FILLERS and word not in _GROUND:
            ignored.append(word)
    one = {name: tuple(dict.fromkeys(listed)) for name, listed in found.items()}
    motions = one["motion"]
    if "still" in motions and len(motions) > 1 and "standing" in words:
        motions = tuple(
            m for m in motions if m != "still"
        )  # "standing" is no more than "there is" beside another
    shapes = one["shape"]
    if not shapes:
        wrong.setdefault("object", "It found no object that it can draw.")
    elif len(shapes) > 1:
        wrong.setdefault("object", f"It draws objects of one kind, not {_listed(shapes)} together.")
    elif len(one["colour"]) > 1:
        wrong.setdefault("object", f"It draws objects of one colour, not {_listed(one['colour'])} together.")
    elif len(one["size"]) > 1:
        wrong.setdefault("object", f"It draws objects of one size, not {_listed(one['size'])} together.")
    if not motions and generic:
        motions = ("right",)
        notes.append("No direction was given: it moves to the right.")
    if not motions:
        wrong.setdefault("motion", "It found no motion that it can draw.")
    elif len(motions) > 1:
        wrong.setdefault("motion", f"It draws one motion, not {_listed(motions)} together.")
    count = "two" if "two" in one["count"] or (plural and "one" not in one["count"]) else "one"
    if count == "two" and motions == ("circling",):
        wrong.setdefault("motion", "It draws one object that circles, not two.")
    if ignored:
        rest = f" and {len(ignored) - 12} more" if len(ignored) > 12 else ""
        notes.insert(0, "Ignored: " + ", ".join(f"'{w}'" for w in ignored[:12]) + rest + ".")
    missing = tuple(part for part in ("object", "motion") if part in wrong)
    if missing:
        reasons = tuple(wrong[part] for part in missing)
        return Reading((), "", shapes, one["colour"], motions, tuple(ignored), (*reasons, *notes), missing)

    if plural and not one["count"]:
        notes.append("No number was given: two are drawn.")
    colour = one["colour"][0] if one["colour"] else "red"
    if not one["colour"]:
        notes.append("No colour that it knows was given: red is drawn.")
    size = one["size"][0] if one["size"] else "medium"
    if count == "two" and size == "big":
        size = "medium"
        notes.append("Two big objects do not fit: they are drawn at medium size.")
    speed = one["speed"][0] if one["speed"] else "steadily"
    if speed != "steadily" and motions[0] not in STRAIGHT:
        notes.append(f"Only straight motions have a speed: '{speed}' was ignored.")
        speed = "steadily"
    if len(one["speed"]) > 1:
        notes.append(f"One speed is drawn: {one['speed'][0]}.")
    if len(one["ground"]) > 1:
        notes.append(f"One background is drawn: {one['ground'][0]}.")
    ground = seen or (one["ground"][0] if one["ground"] else "dark")
    if seen and one["ground"] and one["ground"][0] != seen:
        notes.append(f"The image has a {seen} background: the {one['ground'][0]} one was ignored.")
    if not seen and not one["ground"]:
        notes.append("No background that it knows was given: a dark one is drawn.")
    tokens = tuple(TOKEN[w] for w in (count, size, colour, shapes[0], motions[0], speed, ground))
    return Reading(tokens, describe(tokens), shapes, (colour,), motions, tuple(ignored), tuple(notes), ())


def _words(prompt: str) -> list[str]:
    """Lower-case words, with whole phrases already turned into the one word they mean."""
    text = " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)?", prompt.casefold().replace("\u2019", "'")))
    text = _STILL.sub("still", text)
    text = _CIRCLING.sub("circling", text)
    text = _CIRCLES_VERB.sub(r"\1\2 circling", text)
    text = _BOUNCING.sub("bouncing", text)
    text = _FALLING.sub("falling", text)
    text = _FROM_TO.sub(lambda m: _SIDE[m[2]] if m[1] != m[2] else m[0], text)
    opposite = {
        "left": "right",
        "right": "left",
        "top": "down",
        "above": "down",
        "bottom": "up",
        "below": "up",
    }
    text = _FROM.sub(lambda m: "" if _directed(text) else opposite[m[1]], text)
    text = _PLACE.sub(lambda m: f" <place:{m[0].replace(' ', '_')}> ", text)
    return text.split()


def _directed(text: str) -> bool:
    """Whether a text names a motion besides a "from ..."; what falls from above simply falls."""
    return any(w in _MOTION for w in _FROM.sub("", text).split())


def _known(word: str) -> bool:
    return any(word in table for table in (_SHAPE, _COLOUR, _MOTION, _COUNT, _SIZE, _SPEED, _GENERIC))


def _listed(words: tuple[str, ...]) -> str:
    return " and ".join((", ".join(words[:-1]), words[-1]))
