"""The attacks by name: what each needs of a network, and which parameter is its radius.

Listing them imports none of them.
"""

from __future__ import annotations

from relrob.registry import Entry

_ART: tuple[Entry, ...] = tuple(
    Entry(
        f"art:{name}",
        f"relrob.attacks.art_attacks:Art{attribute}",
        f"ART's {words} (pip install 'relrob[art]')",
        needs=needs,
        radius=radius,
        extra="art",
        universal=name == "uap",
    )
    for name, attribute, words, needs, radius in (
        ("fgsm", "Fgsm", "FastGradientMethod, L-infinity", "gradients", "eps"),
        ("bim", "Bim", "BasicIterativeMethod", "gradients", "eps"),
        ("pgd", "Pgd", "ProjectedGradientDescent", "gradients", "eps"),
        ("deepfool", "DeepFool", "DeepFool", "gradients", ""),
        ("jsma", "Jsma", "SaliencyMapMethod", "gradients", ""),
        ("cw", "CarliniWagner", "CarliniL2Method", "gradients", ""),
        ("elastic-net", "ElasticNet", "ElasticNet, L1", "gradients", ""),
        ("uap", "Uap", "UniversalPerturbation with FGSM inside", "gradients", "eps"),
        ("boundary", "Boundary", "BoundaryAttack", "labels", ""),
        ("hopskipjump", "HopSkipJump", "HopSkipJump", "labels", ""),
        ("square", "Square", "SquareAttack", "outputs", "eps"),
    )
)

ATTACKS: tuple[Entry, ...] = (
    Entry(
        "fgsm",
        "relrob.attacks.fgsm:Fgsm",
        "one step along the sign of the gradient (Goodfellow et al. 2015)",
        needs="gradients",
        radius="eps",
    ),
    Entry(
        "ifgsm",
        "relrob.attacks.iterated:Ifgsm",
        "steps along the sign of the gradient, clipped (Kurakin et al. 2017, Zhao et al. 2018)",
        needs="gradients",
    ),
    Entry(
        "ifgm",
        "relrob.attacks.iterated:Ifgm",
        "steps along the gradient itself (Zhao et al. 2018)",
        needs="gradients",
    ),
    Entry(
        "pgd",
        "relrob.attacks.pgd:Pgd",
        "projected gradient descent with restarts, in L-infinity or L2 balls (Madry et al. 2018)",
        needs="gradients",
        radius="eps",
    ),
    Entry(
        "apgd-ce",
        "relrob.attacks.apgd:ApgdCe",
        "auto-PGD on the cross-entropy, with steps that it halves itself (Croce & Hein 2020)",
        needs="gradients",
        radius="eps",
    ),
    Entry(
        "apgd-t",
        "relrob.attacks.apgd:ApgdT",
        "auto-PGD on the DLR loss, one target class after the other (Croce & Hein 2020)",
        needs="gradients",
        radius="eps",
    ),
    Entry(
        "deepfool",
        "relrob.attacks.deepfool:DeepFool",
        "the nearest boundary of the linearised network, in L2 (Moosavi-Dezfooli et al. 2016)",
        needs="gradients",
    ),
    Entry(
        "ddn",
        "relrob.attacks.ddn:Ddn",
        "gradients for the direction, a radius that shrinks and grows, in L2 (Rony et al. 2019)",
        needs="gradients",
    ),
    Entry(
        "cw",
        "relrob.attacks.carlini_wagner:CarliniWagner",
        "distance and margin in one objective, in L2 (Carlini and Wagner 2017)",
        needs="gradients",
    ),
    Entry(
        "jsma",
        "relrob.attacks.jsma:Jsma",
        "two pixels at a time by their saliency, in L0 (Papernot et al. 2016)",
        needs="gradients",
    ),
    Entry(
        "uap",
        "relrob.attacks.uap:Uap",
        "one perturbation for all images, from FGSM steps (Moosavi-Dezfooli et al. 2017)",
        needs="gradients",
        radius="xi",
        universal=True,
    ),
    Entry(
        "uap-deepfool",
        "relrob.attacks.uap:UapDeepFool",
        "one perturbation for all images, from DeepFool steps (Moosavi-Dezfooli et al. 2017)",
        needs="gradients",
        radius="xi",
        universal=True,
    ),
    Entry(
        "sgd-uap",
        "relrob.attacks.sgd_uap:SgdUap",
        "one perturbation for all images, by gradient ascent on batches (Shafahi et al. 2020)",
        needs="gradients",
        radius="eps",
        universal=True,
    ),
    Entry(
        "square",
        "relrob.attacks.square:Square",
        "random squares, kept where the loss grows (Andriushchenko et al. 2020)",
        needs="outputs",
        radius="eps",
    ),
    Entry(
        "boundary",
        "relrob.attacks.boundary:Boundary",
        "a walk along the boundary, by labels alone (Brendel et al. 2018), in ART's form",
        needs="labels",
    ),
    Entry(
        "hopskipjump",
        "relrob.attacks.hop_skip_jump:HopSkipJump",
        "gradients at the boundary, by labels alone (Chen et al. 2020)",
        needs="labels",
    ),
    *_ART,
)
