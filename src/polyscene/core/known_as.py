"""What the field calls kinds that have another name here."""

from collections.abc import Collection, Mapping

KNOWN_AS: Mapping[str, tuple[str, ...]] = {
    "als": ("ials",),
    "autorec": ("autoencoder",),
    "cdae": ("denoising",),
    "cke": ("kg",),
    "dcnv2": ("dcn",),
    "diffnet": ("social",),
    "esasrec": ("sasrec",),
    "funksvd": ("svd",),
    "gpt": ("lm_ranker",),
    "hybrid": ("blend", "switch", "stack"),
    "itemknn": ("item_knn",),
    "kgat": ("kg",),
    "kgin": ("kg",),
    "lightgbm": ("lambdamart",),
    "logisticregression": ("logistic",),
    "lr": ("logistic",),
    "markov": ("covisit",),
    "mf": ("ials", "bpr", "svd"),
    "mostpop": ("popular",),
    "multdae": ("denoising",),
    "multvae": ("mult_vae",),
    "pop": ("popular",),
    "sknn": ("vsknn",),
    "svdpp": ("svd",),
    "tfidf": ("content_knn",),
    "tiger": ("generative",),
    "userknn": ("user_knn",),
    "vae": ("mult_vae", "recvae"),
    "weighted": ("blend",),
    "wrmf": ("ials",),
    "youtubednn": ("two_tower",),
}
"""By the name in small letters, without anything but letters."""


def known_as(name: str, kinds: Collection[str]) -> str:
    """``; here that is 'x'`` for a name under which the field knows one of these kinds, or nothing."""
    plain = "".join(letter for letter in name.lower().replace("+", "p") if letter.isalpha())
    meant = [repr(kind) for kind in KNOWN_AS.get(plain, ()) if kind in kinds]
    return f"; here that is {' or '.join(meant)}" if meant else ""
