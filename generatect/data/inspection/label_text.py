"""Whether a label and its report contradict each other in so many words.

A simple rule, made to be silent when in doubt, for those of CT-RATE's abnormalities that have one plain name. A report
is taken sentence by sentence. Label 1 contradicts a report that denies the finding ("no pleural effusion", "pleural
effusion was not observed") and says nothing else of its kind. Label 0 contradicts a report that states it ("pleural
effusion is observed") and nowhere doubts or denies anything of its kind. Everything else agrees.
"""

import re

NAMES = {
    "Cardiomegaly": (r"cardiomegaly", r"cardio|cardiac|heart|ventric|atri"),
    "Pericardial effusion": (r"pericardial effusion", r"effusion|pericard|fluid"),
    "Hiatal hernia": (r"hiatal hernia", r"hernia|hiat"),
    "Lymphadenopathy": (r"lymphadenopath(?:y|ies)", r"lymph|node|adenopath"),
    "Emphysema": (r"emphysema", r"emphysem|bull"),
    "Atelectasis": (r"atelectas[ie]s", r"atelecta|collaps|volume loss"),
    "Lung nodule": (r"(?:lung|pulmonary) nodules?", r"nodul|mass|metasta"),
    "Pleural effusion": (r"pleural effusions?", r"effusion|pleur|fluid|hydrothorax"),
    "Mosaic attenuation pattern": (r"mosaic (?:attenuation|pattern)", r"mosaic|air trapping"),
    "Peribronchial thickening": (r"peribronchial thickening", r"bronch"),
    "Consolidation": (r"consolidations?", r"consolidat|infiltrat|pneumon"),
    "Bronchiectasis": (r"bronchiectas[ie]s", r"bronchiect"),
    "Interlobular septal thickening": (r"interlobular septal thickening", r"sept"),
}
"""Label → its plain name, and whatever else might speak of it."""

_SENTENCE = re.compile(r"[^.;!?\n]+")
_NEGATION = r"no|not|without|never|neither|nor|absent|absence|negative"
_LIMITED = re.compile(
    r"\b(?:right|left|other|another|additional|new|further|more|residual|significant|pathologic\w*|large|obvious|"
    r"except|apart|but|however|although|though|while|increas\w*|decreas\w*|progress\w*|chang\w*|differ\w*)\b"
)
_DOUBT = re.compile(
    rf"\b(?:{_NEGATION}|cannot|possib\w*|probab\w*|suspic\w*|suspect\w*|suggest\w*|may|might|could|if|rule|exclud\w*|"
    r"differential|consider\w*|evaluat\w*|history|previous\w*|prior|former\w*|old|resol\w*|regress\w*|disappear\w*|"
    r"subcutaneous|thyroid|breast|liver|splenic|adrenal|normal|minimal|slight|mild|sequela\w*|favor\w*)\b"
)
_STATED = r"(?:is|are|was|were) (?:seen|observed|present|noted|detected|available)"
_DENIED = r"(?:is|are|was|were) not (?:seen|observed|present|noted|detected)"


def contradicts(label: str, value: int, text: str) -> bool:
    """Whether the report says, in so many words, the opposite of the label.

    Args:
        label: name of the abnormality; one that is not in `NAMES` is not judged.
        value: 0 or 1.
        text: the report.
    """
    if label not in NAMES:
        return False
    name, kind = NAMES[label]
    speaking = [sentence for sentence in _SENTENCE.findall(text.lower()) if re.search(kind, sentence)]
    if value == 1:
        return bool(speaking) and all(_denies(sentence, name) for sentence in speaking)
    return any(_states(sentence, name) for sentence in speaking) and not any(map(_DOUBT.search, speaking))


def _denies(sentence: str, name: str) -> bool:
    """Of the form "no … NAME", "without … NAME" or "NAME … was not observed", without a word that narrows it."""
    denial = rf"\b(?:no|without)\b[^:]*\b{name}\b|\b{name}\b[^:]*\b{_DENIED}\b"
    return re.search(denial, sentence) is not None and _LIMITED.search(sentence) is None


def _states(sentence: str, name: str) -> bool:
    """Of the form "there is … NAME" or "NAME … is observed"."""
    return re.search(rf"\bthere (?:is|are)\b[^:]*\b{name}\b|\b{name}\b[^:]*\b{_STATED}\b", sentence) is not None
