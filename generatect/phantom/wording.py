"""The phrases of phantom reports: one bank for training, one of other phrases made of the same words."""

from dataclasses import dataclass

TRAIN, HELDOUT = "train", "heldout"


@dataclass(frozen=True)
class WordBank:
    """Phrases of one way of wording.

    A phrase may hold `{size}` (an adjective of severity), `{a_size}` (the same with its article), `{side}` and
    `{place}`; one that starts with `+` is plural. A carrier makes a sentence of a phrase:
    `{phrase}` with `{is}` or `{was}`.

    Attributes:
        named: finding → phrases that state it.
        bilateral: finding → phrases that state it on both sides.
        denied: finding → bare nouns that follow "no".
        normal: finding → whole sentences that deny it without a "no".
        naming: carriers of what is there.
        denying: carriers of one or several nouns that are not there.
    """

    named: dict[str, tuple[str, ...]]
    bilateral: dict[str, tuple[str, ...]]
    denied: dict[str, tuple[str, ...]]
    normal: dict[str, tuple[str, ...]]
    naming: tuple[str, ...]
    denying: tuple[str, ...]


DENIED = {
    "Medical material": ("pacemaker",),
    "Arterial wall calcification": ("aortic calcification", "calcification of the aortic wall"),
    "Cardiomegaly": ("cardiomegaly", "enlargement of the heart"),
    "Pericardial effusion": ("pericardial effusion",),
    "Hiatal hernia": ("hiatal hernia",),
    "Lymphadenopathy": ("lymphadenopathy", "enlarged mediastinal lymph node"),
    "Emphysema": ("emphysema",),
    "Lung nodule": ("lung nodule", "nodule or mass"),
    "Pleural effusion": ("pleural effusion",),
    "Consolidation": ("consolidation",),
}

BANKS = {
    TRAIN: WordBank(
        named={
            "Medical material": (
                "a pacemaker in the left chest wall",
                "a pacemaker with its lead in the heart",
                "medical material, a pacemaker with a lead,",
            ),
            "Arterial wall calcification": (
                "{size} calcification of the aortic wall",
                "{size} aortic calcification",
                "{size} calcification in the wall of the aorta",
            ),
            "Cardiomegaly": (
                "{size} cardiomegaly",
                "{size} enlargement of the heart",
                "an enlarged heart, {size} cardiomegaly,",
            ),
            "Pericardial effusion": (
                "{a_size} pericardial effusion",
                "{a_size} effusion in the pericardium",
                "{a_size} pericardial effusion around the heart",
            ),
            "Hiatal hernia": ("{a_size} hiatal hernia", "{a_size} hiatal hernia behind the heart"),
            "Lymphadenopathy": (
                "{size} mediastinal lymphadenopathy",
                "+enlarged mediastinal lymph nodes",
                "{size} lymphadenopathy in the mediastinum",
            ),
            "Emphysema": ("{size} emphysema in both lungs", "{size} emphysema", "{size} emphysema of the upper lobes"),
            "Lung nodule": (
                "{a_size} nodule in the {side} {place} lobe",
                "{a_size} lung nodule in the {place} lobe on the {side}",
                "{a_size} mass in the {side} {place} lobe",
            ),
            "Pleural effusion": (
                "{a_size} {side} pleural effusion",
                "{a_size} pleural effusion on the {side}",
                "{a_size} pleural effusion of the {side} side",
                "{a_size} effusion in the {side} pleural space",
            ),
            "Consolidation": (
                "{size} consolidation in the {side} {place} lobe",
                "{a_size} consolidation in the {place} lobe of the {side} lung",
                "{size} consolidation of the {side} {place} lobe",
            ),
        },
        bilateral={
            "Pleural effusion": (
                "+{size} bilateral pleural effusions",
                "+{size} pleural effusions on both sides",
                "{size} pleural effusion on the right and on the left",
            )
        },
        denied=DENIED,
        normal={
            "Cardiomegaly": ("The heart size is normal.", "The heart is normal in size."),
            "Arterial wall calcification": ("The aortic wall is normal.",),
            "Lymphadenopathy": ("The mediastinal lymph nodes are normal.",),
        },
        naming=(
            "There {is} {phrase}.",
            "{phrase} {is} seen.",
            "{phrase} {was} observed.",
            "{phrase} {is} present.",
            "{phrase} {is} noted.",
        ),
        denying=(
            "There is no {phrase}.",
            "No {phrase}.",
            "No {phrase} is seen.",
            "No {phrase} was observed.",
            "{phrase} was not observed.",
            "Without {phrase}.",
        ),
    ),
    HELDOUT: WordBank(
        named={
            "Medical material": (
                "in the left chest wall a pacemaker with its lead",
                "a pacemaker with a lead in the chest wall",
            ),
            "Arterial wall calcification": (
                "in the aortic wall {size} calcification",
                "{size} calcification of the aorta",
            ),
            "Cardiomegaly": ("cardiomegaly, {size},", "{a_size} enlarged heart"),
            "Pericardial effusion": ("around the heart {a_size} pericardial effusion", "{size} pericardial effusion"),
            "Hiatal hernia": ("behind the heart {a_size} hiatal hernia", "hiatal hernia, {size},"),
            "Lymphadenopathy": (
                "in the mediastinum {size} lymphadenopathy",
                "+enlarged lymph nodes in the mediastinum",
            ),
            "Emphysema": ("in both lungs {size} emphysema", "emphysema, {size}, in the lungs"),
            "Lung nodule": (
                "in the {side} {place} lobe {a_size} lung nodule",
                "{a_size} mass or nodule in the {place} lobe of the {side} lung",
            ),
            "Pleural effusion": (
                "on the {side} {a_size} pleural effusion",
                "{a_size} pleural effusion on the {side} side",
            ),
            "Consolidation": (
                "in the {place} lobe on the {side} {size} consolidation",
                "{size} consolidation in the {side} lung, {place} lobe,",
            ),
        },
        bilateral={
            "Pleural effusion": ("+on both sides {size} pleural effusions", "+bilateral {size} pleural effusions")
        },
        denied=DENIED,
        normal={
            "Cardiomegaly": ("Normal heart size.", "The size of the heart is normal."),
            "Arterial wall calcification": ("The wall of the aorta is normal.",),
            "Lymphadenopathy": ("Lymph nodes in the mediastinum are normal.",),
        },
        naming=("There {was} {phrase}.", "{phrase} {was} seen.", "{phrase} {was} noted.", "{phrase} {was} present."),
        denying=(
            "There was no {phrase}.",
            "No {phrase} is present.",
            "No {phrase} is noted.",
            "{phrase} is not seen.",
            "No {phrase} was seen.",
        ),
    ),
}
