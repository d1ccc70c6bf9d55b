"""The phrases of phantom reports: banks of different phrases made of the same words.

One trains. One is for looking while recipes are found. One is kept for the numbers that are reported: nothing is chosen
by it.
"""

from dataclasses import dataclass

TRAIN, DEVELOPMENT, HELDOUT = "train", "development", "heldout"


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
        telegraphic_prob: how often a sentence goes without articles, as in dictation.
    """

    named: dict[str, tuple[str, ...]]
    bilateral: dict[str, tuple[str, ...]]
    denied: dict[str, tuple[str, ...]]
    normal: dict[str, tuple[str, ...]]
    naming: tuple[str, ...]
    denying: tuple[str, ...]
    telegraphic_prob: float = 0.0


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
                "in the left chest wall medical material, a pacemaker,",
                "a pacemaker on the left, its lead in the heart,",
                "on the left a pacemaker with a lead",
            ),
            "Arterial wall calcification": (
                "{size} calcification of the aortic wall",
                "{size} aortic calcification",
                "{size} calcification in the wall of the aorta",
                "aortic calcification, {size},",
                "in the wall of the aorta {size} calcification",
                "an aorta with {size} calcification of its wall",
            ),
            "Cardiomegaly": (
                "{size} cardiomegaly",
                "{size} enlargement of the heart",
                "an enlarged heart, {size} cardiomegaly,",
                "enlargement of the heart, {size},",
                "an enlarged heart",
                "cardiomegaly, an enlarged heart,",
            ),
            "Pericardial effusion": (
                "{a_size} pericardial effusion",
                "{a_size} effusion in the pericardium",
                "{a_size} pericardial effusion around the heart",
                "pericardial effusion, {size},",
                "in the pericardium {a_size} effusion",
                "an effusion around the heart in the pericardium, {size},",
            ),
            "Hiatal hernia": (
                "{a_size} hiatal hernia",
                "{a_size} hiatal hernia behind the heart",
                "a hiatal hernia, {size},",
                "{size} hiatal hernia",
                "hiatal hernia, {size}, behind the heart",
                "in the mediastinum {a_size} hiatal hernia",
            ),
            "Lymphadenopathy": (
                "{size} mediastinal lymphadenopathy",
                "+enlarged mediastinal lymph nodes",
                "{size} lymphadenopathy in the mediastinum",
                "mediastinal lymphadenopathy, {size},",
                "+lymph nodes in the mediastinum, enlarged,",
                "+enlarged lymph nodes of the mediastinum",
                "in the mediastinum lymphadenopathy, {size},",
            ),
            "Emphysema": (
                "{size} emphysema in both lungs",
                "{size} emphysema",
                "{size} emphysema of the upper lobes",
                "emphysema of both lungs, {size},",
                "in the upper lobes {size} emphysema",
                "emphysema, {size},",
            ),
            "Lung nodule": (
                "{a_size} nodule in the {side} {place} lobe",
                "{a_size} lung nodule in the {place} lobe on the {side}",
                "{a_size} mass in the {side} {place} lobe",
                "{a_size} nodule or mass in the {side} {place} lobe",
                "in the {place} lobe of the {side} lung {a_size} nodule",
                "on the {side} in the {place} lobe {a_size} mass",
                "a lung nodule, {size}, in the {side} {place} lobe",
                "a mass of the {place} lobe of the {side} lung, {size},",
            ),
            "Pleural effusion": (
                "{a_size} {side} pleural effusion",
                "{a_size} pleural effusion on the {side}",
                "{a_size} pleural effusion of the {side} side",
                "{a_size} effusion in the {side} pleural space",
                "a {side} pleural effusion, {size},",
                "in the {side} pleural space {a_size} effusion",
                "on the {side} side a pleural effusion, {size},",
                "a pleural effusion, {size}, on the {side}",
            ),
            "Consolidation": (
                "{size} consolidation in the {side} {place} lobe",
                "{a_size} consolidation in the {place} lobe of the {side} lung",
                "{size} consolidation of the {side} {place} lobe",
                "in the {side} {place} lobe {size} consolidation",
                "in the {place} lobe of the {side} lung {a_size} consolidation",
                "consolidation, {size}, of the {place} lobe on the {side}",
                "on the {side} {size} consolidation of the {place} lobe",
                "a consolidation in the {side} lung, {size}, in the {place} lobe",
            ),
        },
        bilateral={
            "Pleural effusion": (
                "+{size} bilateral pleural effusions",
                "+{size} pleural effusions on both sides",
                "{size} pleural effusion on the right and on the left",
                "+bilateral pleural effusions, {size},",
                "+in the pleural space on both sides {size} effusions",
                "on the left and on the right {a_size} pleural effusion",
            ),
        },
        denied=DENIED,
        normal={
            "Cardiomegaly": ("The heart size is normal.", "The heart is normal in size.", "Normal size of the heart."),
            "Arterial wall calcification": ("The aortic wall is normal.", "Normal aortic wall."),
            "Lymphadenopathy": (
                "The mediastinal lymph nodes are normal.",
                "Normal lymph nodes in the mediastinum.",
                "Mediastinal lymph nodes are normal in size.",
            ),
        },
        naming=(
            "There {is} {phrase}.",
            "{phrase} {is} seen.",
            "{phrase} {was} observed.",
            "{phrase} {is} present.",
            "{phrase} {is} noted.",
            "{phrase}.",
            "Observed {is} {phrase}.",
        ),
        denying=(
            "There is no {phrase}.",
            "No {phrase}.",
            "No {phrase} is seen.",
            "No {phrase} was observed.",
            "{phrase} was not observed.",
            "Without {phrase}.",
            "{phrase} is not present.",
            "{phrase} was not noted.",
        ),
        telegraphic_prob=0.3,
    ),
    DEVELOPMENT: WordBank(
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
    HELDOUT: WordBank(
        named={
            "Medical material": (
                "a pacemaker in the chest wall on the left",
                "a lead in the heart, its pacemaker in the left chest wall,",
            ),
            "Arterial wall calcification": (
                "calcification, {size}, in the wall of the aorta",
                "{size} calcification of the wall of the aorta",
            ),
            "Cardiomegaly": ("{a_size} cardiomegaly with enlargement of the heart", "a heart with {size} enlargement"),
            "Pericardial effusion": (
                "{size} effusion of the pericardium",
                "a pericardial effusion, {size}, around the heart",
            ),
            "Hiatal hernia": (
                "{a_size} hiatal hernia in the mediastinum behind the heart",
                "a hiatal hernia, {size}, in the mediastinum",
            ),
            "Lymphadenopathy": ("lymphadenopathy of the mediastinum, {size},", "+mediastinal lymph nodes, enlarged,"),
            "Emphysema": ("{size} emphysema of both lungs", "in both upper lobes emphysema, {size},"),
            "Lung nodule": (
                "a nodule, {size}, of the {side} {place} lobe",
                "a mass, {size}, in the {place} lobe on the {side}",
            ),
            "Pleural effusion": (
                "{a_size} effusion of the pleural space on the {side}",
                "on the {side} side {size} pleural effusion",
            ),
            "Consolidation": (
                "consolidation, {size}, in the {side} {place} lobe",
                "{a_size} consolidation on the {side} in the {place} lobe",
            ),
        },
        bilateral={
            "Pleural effusion": (
                "+pleural effusions, {size}, on both sides",
                "+on the left and on the right {size} pleural effusions",
            )
        },
        denied=DENIED,
        normal={
            "Cardiomegaly": ("The heart is of normal size.", "The heart is normal."),
            "Arterial wall calcification": ("The wall of the aorta is normal in size.",),
            "Lymphadenopathy": ("The lymph nodes in the mediastinum are normal in size.",),
        },
        naming=(
            "There {is} noted {phrase}.",
            "There {was} seen {phrase}.",
            "{phrase} {was} noted.",
            "{phrase} {was} seen.",
        ),
        denying=(
            "There is no {phrase} seen.",
            "No {phrase} was noted.",
            "{phrase} was not seen.",
            "There was no {phrase} observed.",
        ),
    ),
}
