"""Words for how good a model is, and what makes it better on new data."""

from jaxdict._entry import term

term(
    "bagging",
    """Training several models, each on its own bootstrap sample of the data, and letting them vote or averaging what
    they say. It lowers the variance, the more so the less their errors agree.""",
    aliases=("bootstrap aggregating", "bootstrap aggregation"),
    sources=("S3", "S4", "Breiman 1996, doi:10.1007/BF00058655"),
    see_also=("bootstrap_sample", "ensemble", "variance", "dropout"),
)
term(
    "bias",
    """The error that stays when a model's predictions are averaged over all training sets: what it gets wrong because
    it is too simple or too strongly penalized. More capacity lowers it and usually raises the variance.""",
    aliases=("statistical bias", "systematic error"),
    sources=("S0 5", "Geman, Bienenstock and Doursat 1992, doi:10.1162/neco.1992.4.1.1"),
    errata=("S0 5 calls bias the tendency to generalize: it is the systematic error of too simple a model.",),
    see_also=("variance", "bias_variance_tradeoff", "bias_parameter"),
)
term(
    "bias_variance_tradeoff",
    """The expected squared error is bias² plus variance plus the noise of the targets. A simpler model has more bias
    and less variance, and regularization looks for the least sum.""",
    aliases=("bias-variance decomposition", "bias variance dilemma"),
    sources=("S0 5", "Geman, Bienenstock and Doursat 1992, doi:10.1162/neco.1992.4.1.1"),
    see_also=("bias", "variance", "regularization"),
)
term(
    "bootstrap_sample",
    """As many examples as the data set has, drawn from it with replacement. Some come twice and more; about 63.2 % of
    the set, 1 − 1/e, come at least once.""",
    aliases=("bootstrap", "bootstrap data set"),
    sources=("S3", "S4", "Efron 1979, doi:10.1214/aos/1176344552"),
    errata=(
        "S4 writes 1 − e^(−K) ≈ 64 % beside K sets: one set holds 63.2 % of the examples whatever K is, and 1 − e^(−K)"
        " is the share that is in at least one of K sets, 86.5 % for two.",
    ),
    see_also=("bagging",),
)
term(
    "capacity",
    """How rich the set of functions is that a model can become, growing with its width, its depth and the size of its
    weights. With too little it cannot fit the data, with too much and few data it fits the noise.""",
    aliases=("model capacity", "model complexity"),
    sources=("S2 11", "S3", "Goodfellow, Bengio and Courville 2016, section 5.2"),
    see_also=("overfitting", "regularization", "parameter_efficiency"),
)
term(
    "co_adaptation",
    """Units that are useful only together, each mending what the others get wrong on the training set. Dropout breaks
    it up, for no unit can rely on another to be there.""",
    aliases=("coadaptation",),
    sources=("S3", "S4", "Hinton et al. 2012, arXiv:1207.0580"),
    see_also=("dropout", "overfitting"),
)
term(
    "cross_validation",
    """Splitting the data into k parts, and training k times with another part held out each time for the score. Every
    example is tested once, which gives a steadier score where data are few.""",
    aliases=("k-fold", "k-fold cross-validation"),
    sources=("S2 10.3",),
    see_also=("validation_set", "hyperparameter_search"),
)
term(
    "data_augmentation",
    """Changing training examples in ways that leave their meaning as it is: turning, flipping, shifting or zooming
    images, or adding noise. It makes more data out of what there is, and teaches the model what not to mind.""",
    aliases=("augmentation",),
    sources=("S0 5.6",),
    see_also=("overfitting", "regularization"),
)
term(
    "ensemble",
    """Several models whose predictions are averaged or put to the vote. With k of them the squared error falls towards
    1/k of one's where their errors are independent, and not at all where they are the same.""",
    aliases=("ensemble method", "model averaging", "committee"),
    sources=("S3", "S4"),
    see_also=("bagging", "snapshot_ensemble", "dropout"),
)
term(
    "generalization",
    """How well a model does on examples that it has not been trained on. The difference between its error there and on
    the training set is called the generalization gap.""",
    aliases=("generalization error", "generalization gap"),
    sources=("S2 11.3.5", "S3", "S4"),
    see_also=("overfitting", "regularization", "validation_set"),
)
term(
    "overfitting",
    """Fitting what is peculiar to the training examples, their noise included, so that new ones are predicted worse.
    It shows as a validation loss that rises while the training loss still falls.""",
    aliases=("overfit",),
    sources=("S0 5.6", "S2 11", "S3"),
    see_also=("regularization", "early_stopping", "capacity", "variance"),
)
term(
    "parameter_efficiency",
    """How few parameters a kind of model needs for a function of given difficulty. Deep networks need far fewer than
    shallow ones for functions that are made of parts, because they use the parts again.""",
    sources=("S2 10.3.1",),
    see_also=("capacity", "hidden_layer"),
)
term(
    "regularization",
    """Whatever makes a model do better on new data at the cost of its fit to the training data. Penalties on weights,
    dropout, augmentation, early stopping and noise are of this kind.""",
    aliases=("regularizer",),
    sources=("S0 5", "S2 11.1.3", "S3"),
    see_also=("penalty l1", "penalty l2", "dropout", "overfitting", "bias_variance_tradeoff"),
)
term(
    "self_normalization",
    """A network whose layers bring their outputs back to mean 0 and variance 1 by themselves, however deep it is.
    SELU does so in plain stacks of dense layers with LeCun-normal weights and standardized inputs.""",
    aliases=("self-normalizing network", "snn"),
    sources=("S2 11.1.2", "Klambauer et al. 2017, arXiv:1706.02515"),
    see_also=("selu", "lecun_normal", "batch_norm"),
)
term(
    "snapshot_ensemble",
    """An ensemble from a single run: a learning rate that goes down and up again in cycles, and a copy of the model at
    the end of each. The predictions of the copies are averaged, at no more training than one model takes.""",
    aliases=("snapshot ensembling",),
    sources=("S4", "Huang et al. 2017, arXiv:1704.00109"),
    errata=("S4 speaks of averaging snapshots of the model: their predictions are averaged, not their weights.",),
    see_also=("ensemble", "warm_restart", "cosine_annealing"),
)
term(
    "validation_set",
    """Examples that are held out of training and looked at during it, to choose hyperparameters and the moment to
    stop. Whatever was chosen by it looks better on it than it is, so a third part, the test set, has the last word.""",
    aliases=("validation data", "held-out data", "development set"),
    sources=("S2 10.2.1.3", "S2 10.3"),
    see_also=("early_stopping", "cross_validation", "generalization"),
)
term(
    "variance",
    """How much a model's predictions change from one training set to another of the same kind. More data,
    regularization and averaging over models lower it.""",
    aliases=("model variance",),
    sources=("S0 5", "S3"),
    see_also=("bias", "bias_variance_tradeoff", "overfitting", "bagging"),
)
term(
    "weight_scaling",
    """Using the whole network after dropout, with every unit scaled by the probability of having been kept. It stands
    for the geometric mean over all masks: exact for one softmax layer, and a good guess for deep networks.""",
    aliases=("weight scaling inference rule",),
    sources=("S0 5.4", "S4", "Srivastava et al. 2014, JMLR 15:1929"),
    errata=("S0 5.4 scales by P, its probability of dropping out: it must be the probability of keeping.",),
    see_also=("dropout", "ensemble"),
)
