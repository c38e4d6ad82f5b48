"""Sentences with a number or a comparison that no measurement can contradict, by the reason why.

Each is true of every report that shows it, whatever its networks do; what a measurement could make false belongs into a
computed value and has a rule.
"""

from __future__ import annotations

from collections.abc import Mapping

# A line is a sentence, or what stays of it beside its computed values.
SENTENCES: Mapping[str, str] = {
    "what a word or a measure means": """
        A digest is a fingerprint of a file’s content (SHA-256): two files with the same digest are the same.
        A convolutional network slides small patterns of weights, its filters, over a photo, keeps how well each fits at each place, and does so again with the result. At the end it adds up the evidence for each class.
        A transformer cuts a photo into patches, makes a token of each, and lets every token take something of the others, block by block: attention.
        of each, and lets every token take something of the others, block by block:
        Top-1 is the share of photos whose first answer is right
        top-5 the share of those that have the right name among the first five
        A confusion matrix has a row for each true class and a column for each answer. The diagonal is what it gets right; every other cell is a mistake, and says which.
        A network is calibrated if, of all answers that it gives with a confidence of 80 %, 80 % are right.
        One number, the temperature, divides all logits, the scores of the classes before the softmax makes probabilities of them;
        No images were left to fit a temperature on, a number that divides all logits, the scores of the classes before the softmax makes probabilities of them.
        An epoch is one pass over all training images. The loss is the price of a wrong answer, in nats: the less probability the network gave to the true class, the more it pays.
        A dead filter has a norm below 1 % of the largest; a duplicate points the same way as a larger one, with a cosine similarity of at least 0.9.
        A filter answers most where the photo looks like it.
        A layer’s stride is the step from one place of its filters to the next: with 2, its maps have half the width and height.
        The receptive field is the square of the photo, in pixels, that one unit of a layer can see;
        Grad-CAM (Selvaraju et al. 2017) weights each feature map of one layer by how much the score of a class would rise if the map did, adds them up, and keeps what is positive:
        the class’s logit, its score before the softmax makes probabilities of all.
        the temperature
        The smaller a map is, the more of the photo one unit of it can see:
        The test images choose nothing; they measure the result.
        The gap between the two is what it does better on images that it was trained with.
        One batch alone checks the code: a network that cannot memorise a single batch has a bug.
        it looks at nothing, and a map ought to do better.
    """,
    "how something is drawn, sorted or measured, which the program does for every report": """
        Classes that are often confused stand together.
        empty: never.
        classes by F1, best first
        A circle left of its diamond: missed more often than named by mistake.
        The maps of a stage are sorted by their mean, strongest first, and share one scale, dark for zero and bright for its end; the few larger ones get the end’s colour. The bar below a map is as long as its mean activation is large, so that strengths can be compared where the colours no longer can.
        A silent map, zero everywhere, is drawn as a stroke, after the others.
        Of several blocks alike at most 4 are drawn.
        As the course asks for them: the channels in their own order, not sorted
        Every filter of the layer, to one scale: mid-grey is a weight of zero.
        Every filter of the layer, to one scale: white is a weight of zero.
        filters, largest norm first
        those that fit some place of the photo best first.
        the 9 input channels that weigh most
        those that weigh most first
        with their slices for the input channels that weigh most.
        the channel’s answer is strongest, at most one an image
        its strongest answer before any normalisation, and the share of the images in which the channel fires at all.
        some channels of each layer most, cut out as large as one of its units can see
        A layer’s name leads to all of its channels, with their weights.
        No photo: each of these images began as noise and was changed step by step so that the network’s score for one class rose. It is kept from becoming noise that no photo has: low frequencies change most easily, every step sees the image moved, turned and scaled a little, and rough pixels are penalised (Olah et al. 2017).
        the layer’s weights correlate with the last ones by 0.9 or more
        the channels that gave most to
        in maps of single pixels the brightest 0.5 % look alike
        hiding this hurts most
        The maps of a photo share one scale: a dark map found little. On its own range it shows where that lies.
        Each map on its own range
        What is left asks for none
        , nor for gradients: these maps are made of answers alone
        (Petsiuk et al. 2018) shows the network the photo behind many random masks, and averages them, each weighted by how probable the answer is behind it.
        (Springenberg et al. 2015) goes back from the answer’s logit to the pixels and lets through at each rectifier only what raises it.
        each on its own range
        Each map goes from 0 to its own maximum: compare the raw maxima, not the colours.
        none strongest of a photo’s maps strongest of each map
        Brighter is stronger. These maps share one scale, from 0 to the largest of them, so a weak one stays dark; the raw maximum below each says how weak. So do the maps of all classes.
        Dots: the channel’s strongest patch
        left the channel’s strongest patch, right where it fired here
        above the channel’s strongest patch, below where it fired here
        Beside the channel’s strongest patch on another photo:
        Circles: Spearman’s rank correlation of the raw maps; squares: SSIM of the maps over the image; 1: unchanged.
        Whiskers: 95 % bootstrap intervals
        So the weights are drawn anew at random, layer by layer from the last to the first, and the map is compared with what it was.
        Deletion takes away the pixels that a map calls important, the brightest first,
        Each value with its 95 % interval; beside it what a baseline reaches on the same images and, in brackets, how far the method is ahead of it, image by image, in points. A difference whose interval holds 0 may be chance.
        dotted: how often the centre point hits on the very images of that bar. What to notice: a bar that ends left of its dotted line is worse than not looking at the photo at all.
        Circles: on all boxes
        At the right, how often map and centre hit on the very images of that row.
        lines: 95 % bootstrap intervals.
        What to notice: left of the line at 0, not looking at the photo at all does better.
        What to notice: a map of what the network learnt falls towards zero; one that stays up would be drawn by an untrained network too.
        Every map is that of the true class, also where the network is wrong.
        The middle is the one or four central pixels.
        For deletion and insertion all pixels are exchanged
        The random order takes patches as large as a cell of the map, for single pixels taken out at random are noise that harms a network more than any patch does.
        Intervals are 95 % percentile bootstrap intervals over the images;
        The heat map is Grad-CAM of one class
        The large map is stretched over its own range; the small ones share one scale
        Every channel of every stage for this very photo, on one scale a stage.
        with 8 bits a colour. 3×3 convolutions use Winograd’s minimal filtering; for the maps, gradients go back through the head alone.
        Some are cut-outs on a plain ground, and some show none of the classes.
        Some show none of the classes:
        Where a network is given a part only, lines mark it, and the rest is paler.
        more than there are, the rest being padding.
        more than there are, so that the whole image is shown, under a veil where the unit does not see it.
        Row 0 is the noise that training began with.
        at most the whole image.
        shows the network each image a little differently every time, so that it learns the object instead of the picture.
        Channels and their strongest patches
        In a transformer each token takes a share of all others, block by block, and each
        Each tile is a head’s, in their order, over its own range: from 0, dark, to its largest share.
        Where the answer is read from all tokens, it is the average over them.
        The bar below a tile is what all patches have together; the rest is of tokens that are no patches.
        the share of the images in which the channel fires at all.
        the channel’s strongest answer
        the filter’s norm, its strongest answer before any normalisation,
        the filter’s norm, and its strongest answer before any normalisation.
        The layer’s largest filters
        The course’s own training loop, run again on the same machine right before this program’s preset “quick”: a LeNet-like network on grey images that reads every file again in every epoch.
        (Chattopadhay et al. 2018): of each feature map only the cells whose rise would raise the score give it its weight.
        (Jiang et al. 2021): each cell of a feature map is weighted by its own gradient, where that is positive, instead of by the mean over all cells.
        (Chefer et al. 2021): block by block, what share of each patch the token that the head reads has taken, each attention weighted by its gradient where that is positive.
        Augmentation is meant to put that off: every image looks a little different each time.
        from bootstrap samples of the
        It is enlarged to the input’s size
        drew every figure and wrote the networks’ numbers on these pages from what was measured.
        The first sixteen maps after each max pooling of
        What to notice: of the whole layer
    """,
    "reasons that lie in a method or an architecture, with their source where there is one": """
        Where the head averages each map and passes the averages through one linear layer, the class’s logit is the sum of the map’s cells, and what is bright did raise it. Where the head flattens the maps and fully connected layers follow, as in AlexNet, each position has weights of its own: Grad-CAM averages over them, and can highlight places that lowered the logit or never touched it (HiResCAM, Draelos and Carin 2020, arXiv:2011.08891).
        The head flattens the maps and passes them through fully connected layers, so each position has its own weights, over which Grad-CAM averages; it can then highlight places that lowered the logit or never touched it (HiResCAM, Draelos and Carin 2020, arXiv:2011.08891).
        The head takes each channel’s maximum and passes these through one linear layer. A channel’s weight in Grad-CAM is then its weight for the class, as in the class activation map of Zhou et al. 2016; but only a channel’s strongest place counts in the logit, while the map shows all its places.
        The head flattens its maps and passes them through fully connected layers. There Grad-CAM averages gradients over positions that the head treats differently, and nothing guarantees that a highlighted place raised the class’s logit (Draelos and Carin 2020, arXiv:2011.08891).
        They show what raises the class’s score, which may be less than the object: a colour, a texture, or what usually surrounds it.
        Augmented images are harder than real ones, so training accuracy may lie below validation accuracy.
        An accuracy means little without what guessing would reach: above, both stand together.
        An accuracy means little without what guessing would reach
    """,
    "what a page or a link leads to": """
        so how often a map points at it could not be measured.
        What follows needs none.
        drew every figure and wrote the
        The options say all that a report.toml would; with `init` instead of `build` they write one.
        Which answer is to which image only the data set tells.
        report.toml asks for none.
        report.toml names none.
        Than as it is read
        the patches of real images that its channels answer most strongly
        its channels’ weights beside the patches of real images that they answer most strongly
        Top-1 of all outputs
        Top-1 with mirror image
        Top-1
        Top-5
        Which epoch’s weights the network has is not known, so none is marked.
        shows none of the network’s classes
        none of the classes
        No page of this report has this address. The overview leads to all of them.
        take off the end of the address, up to its last slash, and try once more.
        All numbers (JSON)
        All numbers
        Without the data set the report shows its bundled photos alone.
        python -m generator build --data tiny-imagenet-200
        the splits, the augmentation and the sample photos behind the networks of this report.
        Every test image that
        Confusion matrices, precision and recall of each class, top-1 and top-5 accuracy, and calibration of the networks.
        Confusion matrices, precision and recall of each class, top-1 accuracy, and calibration of the networks.
        Its model card tells more.
        Trained from scratch on 30 classes with this program.
        none of the classes.
        This report was built without the data set, so the images stand here by their file names only.
        python -m generator train cnn --preset best
        python -m generator train alexnet --preset best
        jinja2
        How often
        points ahead of the centre
        Pairs of classes that
        confuses most
        their most confident mistakes.
        Its most confident mistakes on the data set
        The most confident mistakes of
        every channel’s feature map, sorted by strength.
        every channel’s weights beside the patches of real images that it answers most strongly.
        Every channel and its strongest patches
        The learnt weights of every convolution, pixel for pixel, each channel beside the nine patches of real images that it answers most strongly, and an image made for every class.
        Grad-CAM heat maps of every sample photo for the predicted class, the true class and the runner-up, for each network.
        Every class
        every class: raw maximum, logit and probability
        Loss, accuracy and learning rate of every training run, the epoch that was kept, and how the first filters grew.
        beside what no map at all would reach.
        All measurements of
        its best answers, the heat map of any class, every feature map, and the sum behind any unit.
        its five best answers, the heat map of any class, every feature map, and the sum behind any unit.
        With it, in the layout of tiny-imagenet-200:
        none strongest in this map
        none strongest of a photo’s maps
        Colour scale from dark blue, least, over green to yellow, most.
        Colour scale from black, least, over red to pale yellow, most.
    """,
}
DEFINITIONS: Mapping[str, tuple[str, ...]] = {
    reason: tuple(line.strip() for line in text.strip().splitlines()) for reason, text in SENTENCES.items()
}
