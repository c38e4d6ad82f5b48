"""Records -> figures: which figures the report has, with captions and text alternatives made from the numbers.

One module a page of the report; each function returns the page's figures for one network, photo or report. Nothing here
reads or writes a file. A figure that would have nothing to show is not made.
"""

from generator.exhibits.activations import feature_maps
from generator.exhibits.curves import training
from generator.exhibits.dataset import data_figures, photos
from generator.exhibits.heatmaps import failures, grad_cam, roles
from generator.exhibits.hero import header_tile, hero
from generator.exhibits.mistakes import mistakes
from generator.exhibits.prototypes import class_images
from generator.exhibits.scores import evaluation
from generator.exhibits.trust import trust
from generator.exhibits.units import contributions, units
from generator.exhibits.weights import filters, first_layer_scale

__all__ = [
    "class_images",
    "contributions",
    "data_figures",
    "evaluation",
    "failures",
    "feature_maps",
    "filters",
    "first_layer_scale",
    "grad_cam",
    "header_tile",
    "hero",
    "mistakes",
    "photos",
    "roles",
    "training",
    "trust",
    "units",
]
