"""Words for how a model is trained."""

from jaxdict._entry import term

term(
    "adaptive_learning_rate",
    """A rate of its own for each parameter, from the gradients that the parameter has seen. Steep directions take
    shorter steps and flat ones longer, so that one setting of the rate serves many problems.""",
    aliases=("adaptive gradient",),
    sources=("S1 1.3", "S2 11.3.3", "S3", "S4"),
    see_also=("adam", "learning_rate"),
)
term(
    "annealing",
    """Lowering the learning rate as training goes on: by a fixed curve, in stairs, or when the loss stops falling.
    Large steps get far at the beginning, small ones settle at the end.""",
    aliases=("learning rate decay", "learning rate schedule", "learning rate annealing"),
    sources=("S3", "S4"),
    see_also=("cosine_annealing", "exponential", "warm_restart", "learning_rate"),
)
term(
    "class_imbalance",
    """Classes of very different frequency in the data, so that the loss is nearly that of the frequent ones. Weights
    for classes or examples give the rare ones their say.""",
    aliases=("class weight", "sample weight"),
    sources=("S2 10.2.1.3",),
    see_also=("sparse_softmax_cross_entropy", "accuracy"),
)
term(
    "early_stopping",
    """Ending the training when the validation loss has not fallen for a number of epochs, the patience, and going back
    to the best parameters. It saves time and regularizes, for the number of epochs no longer has to be right.""",
    aliases=("patience",),
    sources=("S2 10.2.5.2",),
    see_also=("best", "validation_set", "overfitting"),
)
term(
    "epoch",
    """One pass through the whole training set. Its examples come in a new order each time, cut into minibatches with
    one step of the optimizer for each.""",
    sources=("S2 10.1.4", "S3"),
    see_also=("minibatch", "learning_curve"),
)
term(
    "fine_tuning",
    """Going on with training from weights that another task has left, usually at a smaller learning rate. Lower layers
    stay frozen at first and are released from the top down, the more of them the more data there is.""",
    aliases=("freezing", "frozen layer", "unfreezing"),
    sources=("S2 11.2", "S4"),
    see_also=("transfer_learning", "learning_rate"),
)
term(
    "hyperparameter",
    """A number or choice that is set before training and not by the gradient, such as the learning rate, the width or
    the strength of a penalty. It is judged by the score on validation data.""",
    sources=("S0 4.3", "S2 10.3", "S4"),
    see_also=("hyperparameter_search", "learning_rate", "validation_set"),
)
term(
    "hyperparameter_search",
    """Training with many settings and keeping the one that does best on validation data: all of a grid, random ones,
    or more and more of them near the good ones. Random settings usually beat a grid of the same size, for they try
    more values of what matters.""",
    aliases=("grid search", "random search", "tuning"),
    sources=("S2 10.3", "Bergstra and Bengio 2012, JMLR 13:281"),
    see_also=("hyperparameter", "cross_validation"),
)
term(
    "learning_curve",
    """Loss or score against the epoch, for training and for validation data. Training values are means over the epoch
    in which they were taken, half an epoch earlier than the validation values beside them.""",
    aliases=("training curve",),
    sources=("S2 10.2.1.3",),
    see_also=("epoch", "overfitting", "validation_set"),
)
term(
    "learning_rate",
    """How long a step is for a gradient of given size, the η of the update rules. It is the first hyperparameter to
    tune: too large and the loss jumps or diverges, too small and nothing seems to happen.""",
    aliases=("step size", "eta"),
    sources=("S0 6", "S1 1.3", "S2 10.2.1.3", "S3", "S4"),
    errata=(
        "S1 1.3 says that Adagrad needs no tuning of the rate and most leave it at 0.01: on Beale's function from"
        " (2, −2) it is still far off after 10,000 steps with 0.01, and arrives with 4.2.",
    ),
    see_also=("gradient_descent", "annealing", "adaptive_learning_rate", "hyperparameter"),
)
term(
    "loss_function",
    """The number that training makes small: how far predictions are from their targets, a mean over the examples.
    Penalties are added to it, and what is minimized in the end is called the objective or cost.""",
    aliases=("cost function", "objective", "objective function", "criterion"),
    sources=("S0 1", "S2 10.1.4", "S3", "S4"),
    see_also=("target", "mean_squared_error", "softmax_cross_entropy"),
)
term(
    "minibatch",
    """The examples whose mean gradient makes one step: more than one, fewer than all. Its gradient is the whole one
    plus noise, at a small part of the price; one example at a time is called stochastic, all at once batch
    descent.""",
    aliases=("mini-batch", "batch", "batch size", "stochastic gradient"),
    sources=("S0 5.5", "S2 10.1.4", "S3", "S4"),
    see_also=("epoch", "gradient_descent"),
)
term(
    "momentum",
    """The share of the last step that is kept in the next one, or the method that does so. Steps that agree add up to
    1/(1 − μ) times the plain one, and zigzags cancel.""",
    aliases=("velocity", "momentum coefficient"),
    sources=("S0 6.2", "S1 1.1", "S2 11.3.1", "S3", "S4"),
    see_also=("gradient_descent", "local_minimum"),
)
term(
    "self_supervised_learning",
    """Training on targets that are made from the data itself, such as a word that was taken out of its sentence. No
    one has to label anything, and the features serve other tasks afterwards.""",
    aliases=("auxiliary task", "self-supervision"),
    sources=("S2 11.2.3",),
    see_also=("unsupervised_pretraining", "transfer_learning"),
)
term(
    "transfer_learning",
    """Taking the lower layers of a network that was trained on one task into a network for another. It needs less data
    and time, and works best where both tasks have the same kind of inputs.""",
    aliases=("reusing layers", "pretrained layers"),
    sources=("S2 11.2", "S4"),
    see_also=("fine_tuning", "unsupervised_pretraining"),
)
term(
    "unsupervised_pretraining",
    """Training the lower layers on unlabelled data first, by an autoencoder for example, and then the whole with the
    few labels that there are. It helps where labels are scarce and no trained model of a similar task is at hand.""",
    aliases=("pretraining",),
    sources=("S2 11.2.2",),
    see_also=("autoencoder", "transfer_learning", "self_supervised_learning"),
)
term(
    "warm_restart",
    """Setting the learning rate back to its high start while keeping the weights. Each cycle begins from a better
    point than the one before, and the end of each leaves a model that can join an ensemble.""",
    aliases=("sgdr", "cyclic cosine annealing"),
    sources=("S3", "Loshchilov and Hutter 2017, arXiv:1608.03983"),
    see_also=("cosine_annealing", "annealing", "ensemble"),
)
